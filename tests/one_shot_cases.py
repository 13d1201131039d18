"""The two one-shot systems, tiny, on a small data set; `python one_shot_cases.py` trains one and prints its losses."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from training_cases import write_dataset

from drumgan_jax.configs import drumgan_vst, style_drumsynth
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.soft_labels import SoftLabels, write_soft_labels

SYSTEMS = {"drumgan_vst": drumgan_vst, "style_drumsynth": style_drumsynth}


def system_config(system: str, data_dir: Path, steps: int) -> Any:
    """A system's tiny config, that saves after half of the steps; stages of one, two and more batches of 8."""
    config = SYSTEMS[system].tiny()
    if "growth" in config:
        config.growth.images = (8, 32, 64)
    config.train.total_images = 8 * steps
    config.data.dir = str(data_dir)
    config.logging.update(every=1, samples_every=0)
    config.checkpoint.every = steps // 2
    return config


def write_system_data(system: str, folder: Path) -> Path:
    """A data set of the system's representation, with soft labels."""
    representation = SYSTEMS[system].tiny().representation.to_dict()
    directory = write_dataset(folder, representation=representation)
    dataset = open_dataset(directory)
    rows = np.random.default_rng(0).dirichlet(np.ones(len(dataset.label_names)), 24).astype(np.float32)
    print_of = dataset.fingerprint("train", len(rows))
    write_soft_labels(directory, SoftLabels(dataset.label_names, "test@0", {"train": rows}, {"train": print_of}))
    return directory.parent


if __name__ == "__main__":
    from drumgan_jax.training.loop import train

    system, data, run, steps = sys.argv[1:]
    result = train(system_config(system, Path(data), int(steps)), run)
    print(json.dumps([{k: v for k, v in line.items() if k.startswith("loss/")} for line in result.history]))
