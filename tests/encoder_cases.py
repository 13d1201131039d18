"""What the encoder's tests share: runs of generators that were never trained, and a config of seconds."""

import json
import os
from pathlib import Path
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from training_cases import LABELS, tiny_config

from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.runs.checkpoints import Checkpoints
from drumgan_jax.systems.gan import build_gan
from drumgan_jax.training import run

COMPLEX = {"kind": "complex", "sample_rate": 8000, "n_fft": 16, "hop_length": 8, "num_frames": 16}
BATCH = 8
# Of the progressive generator below: the last stage from 32 images on, wholly faded in from 48 on.
GROWN, GROWING, FADING = 8, 3, 5
PROGRESSIVE: dict[str, Any] = {
    "representation": COMPLEX,
    "decoder": {},
    "generator": {"kind": "progressive", "base": (2, 8), "z_dim": 6, "channels": (8, 8, 4)},
    "discriminator": {"kind": "progressive", "base": (2, 8), "channels": (8, 8, 4)},
    "growth": {"kind": "progressive", "images": (16, 16, 32), "fade": 0.5},
}


@flax.struct.dataclass
class Saved:
    """The least of a state that checkpoints can be made of."""

    step: Any
    ema: Any


def write_gan_run(folder: Path, data_dir: Path, *steps: int, seed: int = 0, **sections: Any) -> Path:
    """A GAN's run directory with checkpoints of some steps, each with fresh weights; StyleGAN2 by default."""
    config = tiny_config(data_dir)
    for name, values in sections.items():
        config[name] = {**values}
    frozen = run.freeze(config, open_dataset(data_dir))
    run.claim(folder, frozen)
    conditional = frozen["task"]["conditional"]
    gan = build_gan(frozen, len(LABELS) if conditional else 0)
    z, labels = jnp.zeros((1, gan.generator.z_dim)), jnp.zeros((1, len(LABELS))) if conditional else None
    checkpoints = Checkpoints(folder, len(steps), "fid/log_mel", config=frozen)
    init = jax.jit(gan.generator.init)
    for step in steps:
        variables = init(jax.random.key(seed + step), z, labels, jax.random.key(0))
        ema = {"params": variables["params"], "statistics": variables.get("statistics", {})}
        checkpoints.save(step, Saved(jnp.int32(step), ema))
    checkpoints.close()
    return folder


def encoder_config(data_dir: Path, gan_run: Path, **sections: dict[str, Any]) -> ConfigDict:
    """An encoder's config that fits `write_gan_run`; keyword arguments update its sections."""
    config = ConfigDict(
        {
            "name": "toy_encoder",
            "seed": 5,
            "representation": json.loads((gan_run / "config.json").read_text())["representation"],
            "encoder": {
                "kind": "convolution",
                "view": {"kind": "thresholded", "floor_db": 40.0},
                "channels": (8, 8),
                "dense": (32,),
            },
            # With the usual epsilon Adam's first steps are the gradient's sign, which rounding decides near zero.
            "optimizer": {"encoder": {"learning_rate": 0.01, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-3}},
            "task": {
                "kind": "encoder",
                "run": os.fspath(gan_run),
                "step": "last",
                "num_latents": 0,
                "latent_weight": 1.0,
                "spectral_weight": 3.0,
            },
            "train": {
                "batch_size": BATCH,
                "total_images": 4 * BATCH,
                "accumulation": 1,
                "compute_dtype": "float32",
                "ema_half_life_images": 100,
                "ema_rampup": 0.5,
            },
            "data": {"dir": os.fspath(data_dir), "prefetch": 2},
            "mesh": {"data": -1, "fsdp": 1},
            "logging": {"every": 1, "samples_every": 0, "num_samples": 4},
            "checkpoint": {"every": 2, "keep": 2},
            "evaluation": {"every": 0, "num_samples": 12, "metric": "latent/mse"},
        }
    )
    for section, values in sections.items():
        config[section].update(values)
    return config


def frozen_config(data_dir: Path, gan_run: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    """The same as a run keeps it."""
    return run.freeze(encoder_config(data_dir, gan_run, **sections), open_dataset(data_dir))


def labels_of(count: int) -> np.ndarray:
    """One-hot labels [count, labels] in turns."""
    return np.eye(len(LABELS), dtype=np.float32)[np.arange(count) % len(LABELS)]
