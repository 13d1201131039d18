"""What the tests of the vocoder's task share: a config of seconds."""

import json
import os
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.training import run

BATCH = 4
# A crop is 8 of 16 frames, 128 of 256 samples.
MEL = {
    "kind": "log_mel",
    "sample_rate": 8000,
    "n_fft": 64,
    "hop_length": 16,
    "num_mels": 8,
    "num_frames": 16,
}


def vocoder_config(data_dir: Path, **sections: dict[str, Any]) -> ConfigDict:
    """A vocoder's config; keyword arguments update its sections."""
    # With the usual epsilon Adam's first steps are the gradient's sign, which rounding decides near zero.
    adam = {"learning_rate": 0.01, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3}
    config = ConfigDict(
        {
            "name": "toy_vocoder",
            "seed": 5,
            "representation": MEL,
            "vocoder": {"kind": "melgan", "ratios": (4, 4), "width": 2, "residual_blocks": 1},
            "discriminator": {"kind": "multi_scale", "width": 4, "width_max": 8, "strided": 1, "scales": 2},
            "optimizer": {"generator": dict(adam), "discriminator": dict(adam)},
            "task": {
                "kind": "vocoder",
                "crop_frames": 8,
                "matching_weight": 10.0,
                "spectral_weight": 0.5,
                "bass_weight": 1.0,
                "warmup_images": 0,
            },
            "train": {
                "batch_size": BATCH,
                "total_images": 4 * BATCH,
                "accumulation": 1,
                "compute_dtype": "float32",
                "ema_half_life_images": 20,
                "ema_rampup": 0.5,
            },
            "data": {"dir": os.fspath(data_dir), "prefetch": 2},
            "mesh": {"data": -1, "fsdp": 1},
            "logging": {"every": 1, "samples_every": 0, "num_samples": 4},
            "checkpoint": {"every": 2, "keep": 2},
            "evaluation": {"every": 0, "num_samples": 6, "metric": "vocoder/multi_scale_spectral"},
        }
    )
    for section, values in sections.items():
        config[section].update(values)
    return config


def frozen_config(data_dir: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    """The same as a run keeps it."""
    return json.loads(json.dumps(run.freeze(vocoder_config(data_dir, **sections), open_dataset(data_dir))))
