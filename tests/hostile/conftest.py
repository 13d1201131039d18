"""What the hostile suites damage: a run of a toy GAN with an encoder, whose weights are drawn, not trained."""

import copy
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from verbs import CLASSES, CONFIG, ENCODER, write_run

from drumgan_jax.core.weight_file import variables_digest
from drumgan_jax.systems.encoder import build_encoder
from drumgan_jax.systems.gan import build_gan, generator_shapes


@pytest.fixture(scope="session")
def toy_config() -> dict[str, Any]:
    """The run's config, with the sections that say how its sounds are finished."""
    more = {
        "slicing": {"kind": "one_shot", "fade_out": 0.001},
        "preparation": {"normalization": "peak", "level": -6.0},
        "labels": list(CLASSES),
        "format": 2,
    }
    return copy.deepcopy({**CONFIG, **more})


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory, toy_config: dict[str, Any]) -> Path:
    """A run directory that is only read and copied."""
    folder, rng = tmp_path_factory.mktemp("hostile") / "toy", np.random.default_rng(0)

    def drawn(leaf: Any) -> jax.Array:
        return jax.device_put(rng.standard_normal(leaf.shape).astype(leaf.dtype))

    gan = build_gan(toy_config, len(CLASSES))
    variables = jax.tree.map(drawn, dict(generator_shapes(gan, len(CLASSES))))
    write_run(folder, toy_config, variables)
    encoder = build_encoder({"encoder": ENCODER}, gan, len(CLASSES))
    weights = jax.tree.map(drawn, jax.eval_shape(encoder.init, jax.random.key(0)))
    digest = np.frombuffer(bytes.fromhex(variables_digest(variables)), np.uint8)
    section = {"encoder": ENCODER, "task": {"kind": "encoder", "run": str(folder)}}
    write_run(folder / "encoder", {**toy_config, **section}, {**weights, "generator": jax.device_put(digest)})
    return folder
