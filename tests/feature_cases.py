"""Classifiers, small and untrained, whose features a projected discriminator can look through."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from drumgan_jax.systems.classifier import build_classifier, save_classifier


def write_classifier(path: Path, representation: Mapping[str, Any], seed: int = 0, **changes: Any) -> Path:
    """A classifier's file that hears the bands of a log_mel representation."""
    mels = {name: representation[name] for name in ("n_fft", "hop_length", "num_mels")}
    samples = representation["hop_length"] * representation["num_frames"]
    config = {
        "representation": {
            "kind": "waveform",
            "sample_rate": representation["sample_rate"],
            "num_samples": samples,
        },
        "front_end": {"kind": "log_mel", **mels},
        "network": {"kind": "short_chunk", "channels": 2, "blocks": [1, 1, 1, 2, 2]},
    }
    classifier = build_classifier(config | changes, ("house", "break"))
    random = np.random.default_rng(seed)
    shapes = jax.eval_shape(classifier.init, jax.random.key(0))
    variables = jax.tree.map(lambda leaf: random.uniform(0.1, 0.5, leaf.shape).astype(np.float32), shapes)
    save_classifier(path, classifier, variables, {})
    return path
