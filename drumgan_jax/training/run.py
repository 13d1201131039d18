"""The run directory's config: frozen, complete, and what may change when a run goes on."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drumgan_jax.atomic import replacing
from drumgan_jax.audio.representations import build_representation, differences, settings_of
from drumgan_jax.errors import BadInput
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.features import described
from drumgan_jax.training.checkpoints import FOLDER, complete_steps
from drumgan_jax.training.data import Dataset
from drumgan_jax.training.settings import EvaluationSettings, read_section
from drumgan_jax.training.writers import read_metrics

CONFIG_NAME = "config.json"
# The run's own copy of the vocoder that its representation names.
VOCODER_NAME = "vocoder.npz"
# What a run may be resumed with other values of; everything else is its identity. Of what a task.step names a run
# keeps its own copy, and that is what it goes on with.
FREE = (
    "train.total_images",
    "task.step",
    "representation.vocoder",
    "logging",
    "checkpoint",
    "evaluation",
    "data",
    "mesh",
)


def freeze(config: Mapping[str, Any], dataset: Dataset, run_dir: Path | None = None) -> dict[str, Any]:
    """The config as the run directory keeps it.

    The representation has the data set's statistics, `labels` are the data set's classes, in order, and `features` the
    layouts and hashes of the frozen networks.

    Args:
        config: all sections.
        dataset: that it is trained on.
        run_dir: the run directory; what its config says of frozen networks needs no file of theirs any more.

    Raises:
        BadInput: the data set has another representation than the config, or the weights of a frozen network are not
            here or not those that the config names.
    """
    frozen: dict[str, Any] = json.loads(json.dumps(config.to_dict() if hasattr(config, "to_dict") else dict(config)))
    representation, stored = build_representation(frozen["representation"]), settings_of(dataset.representation)
    others = differences(representation, dataset.representation)
    if others:
        raise BadInput(
            f"{dataset.directory} was prepared with another representation: the config's differs in "
            f"{', '.join(others)}; prepare it with this config, or train with that one's."
        )
    # How phases are found in decoding is the config's to say; only the statistics are the data set's.
    statistics = {name: stored[name] for name in ("mean", "std") if name in stored}
    frozen["representation"] = settings_of(representation) | statistics
    frozen["labels"] = list(dataset.label_names)
    if "features" in frozen:
        begun = run_dir is not None and bool(complete_steps(run_dir / FOLDER))
        before = read_config(run_dir).get("features") if run_dir is not None and begun else None
        frozen["features"] = described(frozen["features"], before)
    return frozen


def check(run_dir: Path, frozen: dict[str, Any]) -> None:
    """Check that a run directory is this config's, or nobody's: a run that has saved nothing yet may change.

    Raises:
        BadInput: the folder holds a run of another config; names the keys that differ.
    """
    if (run_dir / CONFIG_NAME).exists() and complete_steps(run_dir / FOLDER):
        others = _differing(read_config(run_dir), frozen)
        if others:
            raise BadInput(
                f"{run_dir} holds a run of another config, which differs in {', '.join(others)}; give "
                "another --workdir, or the config of that run."
            )


def claim(run_dir: Path, frozen: dict[str, Any]) -> None:
    """Make a run directory this config's; made if need be. See `check`, which comes first.

    Raises:
        BadInput: it cannot be written.
    """
    path = run_dir / CONFIG_NAME
    if vocoder_of(frozen) == os.fspath(run_dir / VOCODER_NAME):
        frozen = with_vocoder_at(frozen, VOCODER_NAME)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(frozen, indent=2) + "\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); give another --workdir.") from error


def vocoder_of(config: Mapping[str, Any]) -> str:
    """The vocoder that a config's representation names; empty for none."""
    vocoder: str = config.get("representation", {}).get("vocoder", "")
    return vocoder


def with_vocoder_at(config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The config, its representation naming the vocoder of a path."""
    return {**config, "representation": {**config["representation"], "vocoder": path}}


def read_config(run_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """The frozen config of a run; its own copy of a vocoder is named by the path where the run lies now.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    path = Path(run_dir) / CONFIG_NAME
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); give a run directory.") from error
    except ValueError as error:
        raise BadInput(f"{path} is damaged ({error}); restore it, or use another run directory.") from error
    copied = vocoder_of(config) == VOCODER_NAME
    return with_vocoder_at(config, os.path.join(run_dir, VOCODER_NAME)) if copied else config


def find_step(run_dir: str | os.PathLike[str], step: str) -> int | None:
    """The checkpoint's step that "last", "best" or a number means; None for the last.

    "best" is the checkpoint whose evaluation in training had the best `evaluation.metric`.

    Raises:
        BadInput: it is none of these, or no checkpoint that is kept was evaluated.
    """
    if step.isdecimal():
        return int(step)
    if step == "last":
        return None
    if step != "best":
        raise BadInput(f"the step {step!r} is neither a number nor last or best.")
    metric = read_section(read_config(run_dir), "evaluation", EvaluationSettings).metric
    name, sign = f"evaluation/{metric}", -1.0 if is_higher_better(metric) else 1.0
    kept = complete_steps(Path(run_dir).absolute() / FOLDER)
    scored = [(sign * line[name], int(line["step"])) for line in read_metrics(run_dir) if name in line]
    scored = [(score, at) for score, at in scored if at in kept and math.isfinite(score)]
    if not scored:
        raise BadInput(f"{run_dir} has no checkpoint with an evaluation of {metric}; give a step's number, or last.")
    return min(scored)[1]


def _differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    flat_a, flat_b = _flat(a), _flat(b)
    differing = [key for key in sorted(flat_a.keys() | flat_b.keys()) if flat_a.get(key) != flat_b.get(key)]
    return [key for key in differing if not any(key == free or key.startswith(f"{free}.") for free in FREE)]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat.update(_flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value})
    return flat
