"""The config of a run directory, and the checkpoints that names such as "best" stand for."""

import math
import os
import re
from typing import Any

from drumgan_jax.core.errors import BadInput, about, listed, shown
from drumgan_jax.core.json_files import read_json
from drumgan_jax.core.places import place, run_place
from drumgan_jax.core.settings import read_section
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.runs.digests import CHECKPOINTS, CONFIG_NAME, complete_steps
from drumgan_jax.runs.metrics import read_metrics
from drumgan_jax.runs.settings import CheckpointSettings, EvaluationSettings, TrainSettings
from drumgan_jax.systems.decoders import located
from drumgan_jax.systems.formats import CONFIG_FORMAT, check_sections, current_config, version_of

_IMAGES = re.compile(r"(\d+(?:\.\d+)?)kimg")


def read_config(run_dir: str | os.PathLike[str]) -> dict[str, Any]:
    """The frozen config of a run of any version, in the present form, its own files named by where the run lies now.

    Raises:
        BadInput: there is none, or it is damaged, or of a later version.
    """
    stored = _stored_config(run_dir)
    with about(place(run_dir) / CONFIG_NAME):
        current = current_config(stored)
        check_sections(current)
    return {**current, "decoder": located(current["decoder"], run_dir)} if "decoder" in current else current


def check_resumable(run_dir: str | os.PathLike[str]) -> None:
    """Refuse to go on with a training that an earlier version began; it can still be played.

    Raises:
        BadInput: the run's random keys and optimiser state are those of an earlier version.
    """
    if version_of(_stored_config(run_dir)) < CONFIG_FORMAT:
        raise BadInput(
            f"{run_dir} was begun by an earlier version, whose random keys and optimiser state differ, so its training"
            " cannot go on; it can be played and measured as it is. Train with another --workdir."
        )


def _stored_config(run_dir: str | os.PathLike[str]) -> dict[str, Any]:
    remedy = "restore it (a training that goes on writes it again), or give another run directory"
    return read_json(place(run_dir) / CONFIG_NAME, remedy)


def find_step(run_dir: str | os.PathLike[str], step: str) -> int | None:
    """The step of the checkpoint that "last", "best", a number or "800kimg" stands for; None for the last.

    "best" is the checkpoint whose evaluation in training had the best `evaluation.metric`; "800kimg" is that of the
    first step by which 800,000 images had been seen, such as a milestone (`checkpoint.milestones`).

    Raises:
        BadInput: the text is none of these, no remaining checkpoint was evaluated, or there is none at so many images.
    """
    if step.isdecimal():
        return int(step)
    if step == "last":
        return None
    if images := _IMAGES.fullmatch(step):
        return _step_at(run_dir, round(1000 * float(images[1])))
    if step != "best":
        raise BadInput(f"the step {shown(step)} is neither a number nor last, best or images such as 800kimg.")
    config = read_config(run_dir)
    with about(place(run_dir) / CONFIG_NAME):
        metric = read_section(config, "evaluation", EvaluationSettings).metric
    name, sign = f"evaluation/{metric}", -1.0 if is_higher_better(metric) else 1.0
    kept = complete_steps(run_place(run_dir) / CHECKPOINTS)
    scored = [(sign * line[name], int(line["step"])) for line in read_metrics(run_dir) if name in line]
    scored = [(score, at) for score, at in scored if at in kept and math.isfinite(score)]
    if not scored:
        raise BadInput(f"{run_dir} has no checkpoint with an evaluation of {metric}; give a step's number, or last.")
    return min(scored)[1]


def _step_at(run_dir: str | os.PathLike[str], images: int) -> int:
    """The step of the checkpoint at so many images; BadInput names the milestones that there are."""
    config = read_config(run_dir)
    with about(place(run_dir) / CONFIG_NAME):
        settings = read_section(config, "train", TrainSettings)
        milestones = read_section(config, "checkpoint", CheckpointSettings).milestones
    kept = complete_steps(run_place(run_dir) / CHECKPOINTS)
    if (step := settings.steps_of(images)) in kept:
        return step
    names = [f"{one / 1000:g}kimg" for one in sorted(milestones) if settings.steps_of(one) in kept]
    raise BadInput(
        f"{run_dir} has no checkpoint of {images / 1000:g}kimg (step {step}); it has"
        f" {'the milestones ' + listed(names) if names else 'no milestones'} and the steps"
        f" {listed(map(str, kept)) or 'none'}."
    )
