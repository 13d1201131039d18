"""The encoders' configs: each variant fits its system's variant, and the full one the paper."""

from types import ModuleType
from typing import Any

import jax
import pytest

from drumgan_jax.configs import drumgan_vst, drumgan_vst_encoder, style_drumsynth, style_drumsynth_encoder
from drumgan_jax.core.settings import read_section
from drumgan_jax.runs.settings import (
    AdamSettings,
    CheckpointSettings,
    EvaluationSettings,
    LoggingSettings,
    TrainSettings,
)
from drumgan_jax.systems.encoder import build_encoder
from drumgan_jax.systems.gan import build_gan
from drumgan_jax.training.tasks.encoder import EncoderTaskSettings

SYSTEMS = {"vst": (drumgan_vst, drumgan_vst_encoder), "style": (style_drumsynth, style_drumsynth_encoder)}
# Bounds of the parameters in thousands.
SIZES = {
    ("vst", "full"): (13_000, 14_000),
    ("vst", "small"): (3_000, 4_000),
    ("vst", "packaged"): (900, 1_300),
    ("vst", "tiny"): (3, 20),
    ("style", "full"): (5_000, 20_000),
    ("style", "small"): (300, 6_000),
    ("style", "packaged"): (100, 3_000),
    ("style", "tiny"): (1, 100),
}


@pytest.mark.parametrize(("system", "variant"), SIZES)
def test_every_variant_encodes_for_its_systems_variant(system: str, variant: str) -> None:
    of_gan, of_encoder = (module.get_config(variant).to_dict() for module in SYSTEMS[system])
    for section in ("representation", "slicing", "preparation"):
        assert of_encoder[section] == of_gan[section]
    gan = build_gan(of_gan, 3)
    encoder = build_encoder(of_encoder, gan, 3)
    shapes: Any = jax.eval_shape(encoder.init, jax.random.key(0))
    least, most = SIZES[system, variant]
    assert least < sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) / 1000 < most
    x = jax.ShapeDtypeStruct((2, *gan.representation.shape), "float32")
    assert jax.eval_shape(encoder.predict, shapes, x).shape == (2, gan.generator.w_dim)

    task = {name: value for name, value in of_encoder["task"].items() if name != "kind"} | {"run": "runs/gan"}
    read_section({"task": task}, "task", EncoderTaskSettings)
    for name, section in (
        ("train", TrainSettings),
        ("logging", LoggingSettings),
        ("checkpoint", CheckpointSettings),
        ("evaluation", EvaluationSettings),
        ("optimizer.encoder", AdamSettings),
    ):
        read_section(of_encoder, name, section)


def test_the_papers_values_are_the_full_variants() -> None:
    vst, style = drumgan_vst_encoder.get_config(), style_drumsynth_encoder.get_config()
    assert (vst.train.batch_size, vst.optimizer.encoder.learning_rate) == (28, 1e-4)
    assert (vst.task.latent_weight, vst.task.spectral_weight) == (1.0, 3.0)
    assert (style.task.num_latents, style.task.spectral_weight) == (10_000, 0.0)


@pytest.mark.parametrize("module", [drumgan_vst_encoder, style_drumsynth_encoder])
def test_unknown_variants_are_told(module: ModuleType) -> None:
    with pytest.raises(ValueError, match="there is no variant 'huge'"):
        module.get_config("huge")
