"""A projected GAN of a few channels on a small data set of mel spectrograms."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict
from training_cases import tiny_config

LOG_MEL = {
    "kind": "log_mel",
    "sample_rate": 8000,
    "n_fft": 256,
    "hop_length": 32,
    "num_mels": 32,
    "num_frames": 64,
}


def projected_config(data_dir: Path, **sections: dict[str, Any]) -> ConfigDict:
    """As `tiny_config`, through the classifier `loops.npz` in the data's folder; hinge loss, no labels."""
    config = tiny_config(data_dir)
    config.representation = LOG_MEL
    config.discriminator = {"kind": "projected", "chunks": 2, "mixing_channels": 2, "stddev_group": 4}
    config.feature_networks = {"loops": {"kind": "short_chunk", "weights": str(data_dir / "loops.npz"), "input": ""}}
    config.objective = {"kind": "hinge"}
    config.task.conditional = False
    for section, values in sections.items():
        config[section].update(values)
    return config
