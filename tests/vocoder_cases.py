"""What the vocoder's tests share: a small mel scale, a vocoder that was never trained, and its file."""

from pathlib import Path
from typing import Any

import jax
import numpy as np

from drumgan_jax.systems.vocoder import TrainedVocoder, build_vocoder, save_vocoder

RATE = 8000
REPRESENTATION: dict[str, Any] = {
    "kind": "log_mel",
    "sample_rate": RATE,
    "n_fft": 64,
    "hop_length": 16,
    "num_mels": 8,
    "num_frames": 16,
    "mean": [[[band / 8 - 2.0]] for band in range(8)],
    "std": [[[0.5 + band / 8]] for band in range(8)],
}
NETWORK: dict[str, Any] = {"kind": "melgan", "ratios": [4, 4], "width": 2, "residual_blocks": 1}
SECTIONS = {"representation": REPRESENTATION, "vocoder": NETWORK}
CARD = {"step": 7, "figures": {"vocoder/multi_scale_spectral": 3.5}}


def make_vocoder(seed: int = 0, **changes: Any) -> TrainedVocoder:
    """A vocoder of random weights; keyword arguments change its representation's settings."""
    vocoder = build_vocoder({"representation": {**REPRESENTATION, **changes}, "vocoder": NETWORK})
    variables = jax.jit(vocoder.init)(jax.random.key(seed))
    louder = {name: {**layer, "g": 2.0 * layer["g"]} for name, layer in variables["params"].items()}
    return TrainedVocoder(vocoder, jax.tree.map(np.asarray, {"params": louder}), CARD)


def write_vocoder(path: Path, seed: int = 0) -> Path:
    """Its file."""
    save_vocoder(path, make_vocoder(seed))
    return path
