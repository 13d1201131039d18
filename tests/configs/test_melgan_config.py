"""The vocoder's config: every variant builds, of the mel scale that the loop generator has, and the full one lowers."""

import jax
import pytest

from drumgan_jax.audio.representations import build_representation, differences
from drumgan_jax.configs import melgan, pjloopgan
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.data_pipelines.conditioning import build_preparation
from drumgan_jax.data_pipelines.slicing import build_slicing
from drumgan_jax.systems.vocoder import build_vocoder, check_fits
from drumgan_jax.training.tasks import build_task

# The loop generator's variant that each is of.
LOOPS = {"full": "full", "small": "small", "packaged": "full", "tiny": "tiny"}


@pytest.mark.parametrize("variant", LOOPS)
def test_every_variant_is_of_a_generators_mel_scale(variant: str) -> None:
    config = melgan.get_config(variant)
    vocoder = build_vocoder(config.to_dict())
    loops = build_representation(pjloopgan.get_config(LOOPS[variant]).representation.to_dict())
    check_fits(loops, vocoder, variant)
    # What a generator's data set holds is taken as it is, but by the packaged one, which is of short stretches.
    assert (differences(loops, vocoder.representation) == []) == (variant != "packaged")
    build_slicing(config.slicing)
    build_preparation(config.preparation)
    values = {**config.to_dict(), "labels": []}
    values["representation"].update(mean=-2.0, std=1.0)
    task = build_task(values, make_mesh())
    assert task.keys == ("waveforms",)


@pytest.mark.smoke
def test_full_size_lowers_on_four_devices() -> None:
    values = {**melgan.full().to_dict(), "labels": []}
    values["representation"].update(mean=-2.0, std=1.0)
    task = build_task(values, make_mesh())
    assert 3.1e6 < sum(leaf.size for leaf in jax.tree.leaves(task.shapes.ema["params"])) < 3.3e6
    batch = {"waveforms": jax.ShapeDtypeStruct((16, 200 * 160), "float32")}
    lowered = task.lower(batch)
    assert set(lowered) == {"warmup", "adversarial"}
    assert all("stablehlo.convolution" in step.as_text() for step in lowered.values())
