"""Tiny instruments of three kinds of generator, with random variables."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.core.weight_file import variables_digest
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.systems.gan import gan_at

CLASSES = ("kick", "snare", "hat")
RATE = 8000
TRAIN = {"compute_dtype": "float32", "batch_size": 4}
TASK = {"kind": "gan", "conditional": True}
PREPARATION = {"normalization": "peak", "level": -6.0}
SPECTRUM = {"sample_rate": RATE, "n_fft": 32, "hop_length": 16, "num_frames": 32}
LOGISTIC = {"kind": "logistic", "r1_gamma": 1.0}

STYLED: dict[str, Any] = {
    "representation": {"kind": "log_magnitude", **SPECTRUM, "mean": -3.0, "std": 0.3},
    "decoder": {"kind": "griffin_lim", "iterations": 4},
    "generator": {"kind": "stylegan2", "base": (4, 8), "z_dim": 8, "w_dim": 8, "mapping_layers": 2, "channel_max": 8},
    "discriminator": {"kind": "stylegan2", "base": (4, 8), "channel_max": 8},
}
GROWING: dict[str, Any] = {
    "representation": {"kind": "complex", **SPECTRUM, "mean": 0.0, "std": 0.5},
    "generator": {"kind": "progressive", "base": (4, 8), "channels": (8, 8, 4), "z_dim": 8},
    "discriminator": {"kind": "progressive", "base": (4, 8), "channels": (8, 8, 4)},
    "growth": {"kind": "progressive", "images": (40, 40, 40), "fade": 0.5},
}


def config_of(parts: dict[str, Any]) -> dict[str, Any]:
    """A config with all that an instrument reads."""
    common = {"objective": LOGISTIC, "train": TRAIN, "task": TASK, "preparation": PREPARATION, "labels": list(CLASSES)}
    return {**common, **parts, "slicing": {"kind": "one_shot", "fade_out": 0.005}, "data": {"dir": "/some/where"}}


def make_instrument(parts: dict[str, Any], step: int = 12, **fields: Any) -> Instrument:
    """An instrument of random variables."""
    config = config_of(parts)
    gan, growth = gan_at(config, len(CLASSES), step)
    rng = np.random.default_rng(0)
    z, labels = jnp.zeros((1, gan.generator.z_dim)), jnp.zeros((1, len(CLASSES)))
    shapes = jax.eval_shape(gan.generator.init, jax.random.key(0), z, labels, None)

    # Drawn here, since compiling an initialisation takes longer than all that is done with it.
    def drawn(path: Any, leaf: Any) -> np.ndarray:
        scale = 100.0 if "mapping" in str(path) and "dense" in str(path) else 1.0
        return (scale * rng.standard_normal(leaf.shape)).astype(np.float32)

    variables = {**jax.tree_util.tree_map_with_path(drawn, dict(shapes)), **growth}
    return Instrument(gan, variables, CLASSES, step, config, variables_digest(variables), **fields)


def drum(seconds: float = 0.05, rate: int = RATE) -> np.ndarray:
    """A decaying tone [samples] that starts at once."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * 400 * time) * np.exp(-60 * time)).astype(np.float32)
