"""Models that are fitted in closed form, without steps: a run directory with a config and the fitted arrays."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.audio.representations import build_representation, settings_of
from drumgan_jax.audio.spectrograms import LogMagnitude
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.places import run_place
from drumgan_jax.core.settings import build_section, read_section, text
from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.data.dataset import Dataset, open_dataset
from drumgan_jax.evaluation.quality.judge import fit_judge, save_judge
from drumgan_jax.evaluation.quality.thumbnails import thumbnails
from drumgan_jax.play.pca_gaussian import save_fitted
from drumgan_jax.runs import settings as sections
from drumgan_jax.runs.config import CHECKPOINTS, complete_steps
from drumgan_jax.systems.formats import current_config
from drumgan_jax.systems.pca_gaussian import PcaGaussianSettings, fit_pca_gaussian, most_examples
from drumgan_jax.training import run

__all__ = ["FITS", "fit"]

SPLIT = "train"
# In the run directory of a judge.
JUDGE = "judge.npz"
_BATCH = 64


@dataclasses.dataclass(frozen=True)
class JudgeSettings:
    """Section `task` of a judge's config.

    Attributes:
        kind: "judge".
    """

    kind: str = text(choices=("judge",))


def fit(config: Mapping[str, Any], workdir: str | os.PathLike[str]) -> Path:
    """Fit a config of `FITS` to its data set and write a run directory.

    Returns:
        The run directory.

    Raises:
        BadInput: the kind of the task is trained, not fitted; a setting or the data set cannot be used; or the
            directory holds a training run, or cannot be written.
    """
    kind = config.get("task", {}).get("kind")
    if kind not in FITS:
        raise BadInput(f"config.task.kind is {shown(kind)}; drumgan fit knows {', '.join(sorted(FITS))}.")
    run_dir = run_place(workdir)
    if complete_steps(run_dir / CHECKPOINTS):
        raise BadInput(f"{run_dir} holds a training run; give another --workdir.")
    dataset = open_dataset(read_section(config, "data", sections.DataSettings).dir)
    plain = json.loads(json.dumps(config.to_dict() if hasattr(config, "to_dict") else dict(config)))
    with only_writer(run_dir, "drumgan fit", "give another --workdir"):
        FITS[kind]({**current_config(plain), "labels": list(dataset.label_names)}, dataset, run_dir)
    return run_dir


def _fit_pca_gaussian(config: dict[str, Any], dataset: Dataset, run_dir: Path) -> None:
    settings = build_section(PcaGaussianSettings, config["task"], "task")
    representation = build_representation(config["representation"])
    if not isinstance(representation, LogMagnitude):
        raise BadInput("config.representation.kind must be 'log_magnitude' for principal components.")
    stored = dataset.representation
    for name in ("sample_rate", "num_samples"):
        if getattr(stored, name) != getattr(representation, name):
            raise BadInput(
                f"{dataset.directory} has a {name} of {getattr(stored, name)}, and the config of "
                f"{getattr(representation, name)}; prepare it with this config."
            )
    count = min(settings.examples, most_examples(representation), dataset.num_examples(SPLIT))
    labels = dataset.class_weights(SPLIT, count)
    fitted, with_statistics = fit_pca_gaussian(
        dataset.waveforms(SPLIT, count, _BATCH), labels, representation, settings
    )
    complete = {**config, "representation": settings_of(with_statistics)}
    run.claim(run_dir, complete)
    save_fitted(run_dir, fitted, complete)


def _fit_judge(config: dict[str, Any], dataset: Dataset, run_dir: Path) -> None:
    build_section(JudgeSettings, config["task"], "task")
    count = dataset.num_examples(SPLIT)
    weights = dataset.class_weights(SPLIT, count)
    if not weights.shape[1]:
        raise BadInput(f"{dataset.directory} has no classes; a judge needs recordings in a folder for each class.")
    rate = dataset.representation.sample_rate
    kept = np.concatenate([thumbnails(batch, rate) for batch in dataset.waveforms(SPLIT, count, _BATCH)])
    classes = weights.argmax(axis=1)
    judge = fit_judge(kept, classes, dataset.label_names, {"data": dataset.directory.parent.name, "sounds": count})
    run.claim(run_dir, config)
    save_judge(run_dir / JUDGE, judge)


FITS: dict[str, Callable[[dict[str, Any], Dataset, Path], None]] = {
    "pca_gaussian": _fit_pca_gaussian,
    "judge": _fit_judge,
}
