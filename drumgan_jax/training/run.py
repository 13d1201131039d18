"""The config of a run directory: frozen, complete, and checked when a run is resumed."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import logging

from drumgan_jax.audio.representations import build_representation, differences, settings_of
from drumgan_jax.core import distributed, places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, about, listed, shown
from drumgan_jax.core.settings import section_at
from drumgan_jax.core.write_lock import WriteLock, only_writer
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.runs.config import CHECKPOINTS, CONFIG_NAME, check_resumable, complete_steps, read_config
from drumgan_jax.runs.identity import (
    CHANGES,
    config_at_save,
    different_keys,
    flat,
    is_identity,
    is_onward,
)
from drumgan_jax.runs.load import load_vocoder
from drumgan_jax.systems.decoders import keep_decoder, relative
from drumgan_jax.systems.feature_networks import described
from drumgan_jax.systems.formats import check_sections, current_config


@contextlib.contextmanager
def only_training(run_dir: Path, command: str = "drumgan train") -> Iterator[WriteLock | None]:
    """Hold a run directory against all other writers: the first process does so for all processes of the run.

    Raises:
        BadInput: another process writes the directory, or it cannot be written; on every process.
    """
    with contextlib.ExitStack() as held:
        lock, problem = None, None
        if jax.process_index() == 0:
            try:
                lock = held.enter_context(only_writer(run_dir, command, "give another --workdir"))
            except BadInput as refusal:
                problem = refusal
        distributed.raise_on_all(problem)
        yield lock


def freeze(config: Mapping[str, Any], dataset: Dataset, run_dir: Path | None = None) -> dict[str, Any]:
    """Complete a config for storage in the run directory.

    The representation gets the data set's mean and std, `labels` the data set's classes, or tags, in order,
    `attributes` the scale of its attributes if it has any, and `feature_networks` the layouts and hashes of the frozen
    networks.

    Args:
        config: all sections.
        dataset: the training data.
        run_dir: the run directory; frozen networks already described in its config no longer need their files.

    Raises:
        BadInput: the data set has another representation than the config, or the weights of a frozen network are
            missing or not those named by the config.
    """
    frozen = with_data(checked(config), dataset)
    if "feature_networks" in frozen:
        steps = complete_steps(run_dir / CHECKPOINTS) if run_dir is not None else []
        before = _stored(run_dir, steps).get("feature_networks") if run_dir is not None and steps else None
        frozen["feature_networks"] = described(frozen["feature_networks"], before)
    return frozen


def checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config as plain values in the present form; BadInput if a section is unknown or unfit."""
    plain = json.loads(json.dumps(config.to_dict() if hasattr(config, "to_dict") else dict(config)))
    full = current_config(plain)
    with about("the config"):
        check_sections(full)
    return full


def with_data(config: Mapping[str, Any], dataset: Dataset) -> dict[str, Any]:
    """A config with the statistics, the classes or tags, and the attributes' scale of a data set.

    Raises:
        BadInput: the data set has another representation than the config.
    """
    frozen = dict(config)
    representation = build_representation(section_at(config, "representation"))
    stored = settings_of(dataset.representation)
    others = differences(representation, dataset.representation)
    if others:
        raise BadInput(
            f"{dataset.directory} was prepared with another representation: the config's differs in "
            f"{', '.join(others)}; prepare it with this config, or train with the config it was prepared with."
        )
    statistics = {name: stored[name] for name in ("mean", "std") if name in stored}
    frozen["representation"] = settings_of(representation) | statistics
    frozen["labels"] = list(dataset.label_names or dataset.tag_names)
    if dataset.attributes.names:
        frozen["attributes"] = dataset.attributes.to_json()
    return frozen


def keep_files(frozen: Mapping[str, Any], run_dir: Path, write: bool) -> dict[str, Any]:
    """Copy the decoder's vocoder to the run directory, and return the frozen config that uses the copy.

    Args:
        frozen: result of `freeze`.
        run_dir: the run directory.
        write: whether this process writes; the others wait for it.

    Raises:
        BadInput: the vocoder cannot be read or has another mel scale, or the copy cannot be written.
    """
    if not frozen.get("decoder"):
        return dict(frozen)
    representation = build_representation(frozen["representation"])
    kept = keep_decoder(frozen["decoder"], representation, run_dir, load_vocoder, write)
    distributed.meet("decoder")
    return {**frozen, "decoder": kept}


def check(run_dir: Path, frozen: dict[str, Any]) -> dict[str, Any]:
    """Check that a run directory belongs to this config, or has no checkpoint yet and may change.

    Returns:
        The config. Where it goes on otherwise than the run began (runs.identity), its list CHANGES says so: for each
        time the step from which it did, and what the changed keys were before.

    Raises:
        BadInput: the folder holds a run of another config; names the differing keys.
    """
    steps = complete_steps(run_dir / CHECKPOINTS)
    if not steps:
        return frozen
    stored = _stored(run_dir, steps)
    keys = different_keys(stored, current_config(frozen))
    changed = [key for key in keys if is_onward(key)]
    if others := list(filter(is_identity, keys)):
        raise BadInput(
            f"{run_dir} holds a run of another config, which differs in {listed(others)}; give "
            "another --workdir, or that run's config."
        )
    changes = list(stored.get(CHANGES, []))
    if changed:
        before, now = flat(stored), flat(current_config(frozen))
        told = ", ".join(f"{key} ({shown(before.get(key))}, now {shown(now.get(key))})" for key in changed)
        if jax.process_index() == 0:
            logging.warning("%s goes on from step %d with another %s.", run_dir, steps[-1], told)
        changes.append({"step": steps[-1], "before": {key: before.get(key) for key in changed}})
    return {**frozen, CHANGES: changes} if changes else frozen


def _stored(run_dir: Path, steps: Sequence[int]) -> dict[str, Any]:
    """The config of a run that has checkpoints: its file, or if that is lost, the copy in the last one that has one."""
    if (run_dir / CONFIG_NAME).exists():
        check_resumable(run_dir)
        return read_config(run_dir)
    kept = (config_at_save(run_dir / CHECKPOINTS / str(step)) for step in reversed(steps))
    if found := next(filter(None, kept), None):
        return found
    raise BadInput(f"{run_dir} has checkpoints and no {CONFIG_NAME}; restore it, or give another --workdir.")


def claim(run_dir: Path, frozen: dict[str, Any]) -> None:
    """Write a config to its run directory, created if absent; call `check` first.

    Raises:
        BadInput: it cannot be written.
    """
    path = run_dir / CONFIG_NAME
    if "decoder" in frozen:
        frozen = {**frozen, "decoder": relative(frozen["decoder"], run_dir)}
    try:
        places.make(run_dir)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(frozen, indent=2) + "\n")
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); give another --workdir.") from error
