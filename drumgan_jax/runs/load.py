"""The generator of a run that was trained, the encoder that was trained on it, and the vocoder that it sounds by."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core import distributed
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.embedders import classifier as classifier_embedders
from drumgan_jax.runs.checkpoints import load_ema
from drumgan_jax.runs.config import CONFIG_NAME, VOCODER_NAME, find_step, read_config, vocoder_of, with_vocoder_at
from drumgan_jax.systems.classifier import build_classifier
from drumgan_jax.systems.encoder import Encoding, build_encoder
from drumgan_jax.systems.gan import Gan, gan_at, variables_digest
from drumgan_jax.systems.vocoder import (
    TrainedVocoder,
    build_vocoder,
    by_itself,
    check_fits,
    read_vocoder,
    save_vocoder,
    vocoded,
)

PACKAGED = "drums"


@dataclasses.dataclass(frozen=True)
class TrainedGan:
    """A generator's moving average, ready to be applied.

    Attributes:
        run: the run directory.
        gan: the parts, as far grown as they were at `step`.
        variables: of the generator, NumPy arrays: "params", "statistics", and "growth" with `alpha`.
        config: of the run.
        label_names: classes that it is conditioned on.
        label_key: the part of a batch that conditions it, "labels" or "soft_labels"; None for none.
        step: training steps done.
    """

    run: str
    gan: Gan
    variables: dict[str, Any]
    config: dict[str, Any]
    label_names: tuple[str, ...]
    label_key: str | None
    step: int

    @property
    def digest(self) -> np.ndarray:
        """`variables_digest` as bytes [32] uint8."""
        return np.frombuffer(bytes.fromhex(variables_digest(self.variables)), np.uint8)


def load_gan(
    run: str | os.PathLike[str], step: int | str = "last", vocoder: str | os.PathLike[str] | None = None
) -> TrainedGan:
    """Read the generator of a run's checkpoint: the step "last", "best" or a number; `vocoder` is as of `with_vocoder`.

    Raises:
        BadInput: the folder is no run directory, has no such checkpoint, or is of a task that makes no sounds.
    """
    config = read_config(run)
    kind = config.get("task", {}).get("kind")
    if kind != "gan":
        raise BadInput(f"{run} is a run of task {kind!r}; give the run of a GAN.")
    conditional = bool(config["task"].get("conditional"))
    label_names = tuple(config["labels"]) if conditional else ()
    variables, at = load_ema(run, find_step(run, step) if isinstance(step, str) else step)
    gan, growth = gan_at(config, len(label_names), at)
    return TrainedGan(
        run=os.fspath(run),
        gan=with_vocoder(gan, vocoder),
        variables={**variables, **growth},
        config=config,
        label_names=label_names,
        label_key=("soft_labels" if config["task"].get("soft_labels") else "labels") if conditional else None,
        step=at,
    )


def load_encoder(run: str | os.PathLike[str], gan: Gan, num_labels: int, model: str) -> Encoding:
    """Read the encoder of its run's last checkpoint.

    Args:
        run: the encoder's run directory.
        gan: the generator's parts.
        num_labels: classes that it is conditioned on.
        model: `variables_digest` of the generator.

    Raises:
        BadInput: it was trained on another generator, or cannot be read.
    """
    config, (variables, _) = read_config(run), load_ema(run)
    if bytes(np.asarray(variables.pop("generator", ()), np.uint8)).hex() != model:
        task = config.get("task", {})
        step = task.get("step", "last")
        raise BadInput(
            f"{run} is an encoder of another generator: it was trained on the checkpoint config.task.step={step} of"
            f" {task.get('run', 'another run')}; give that step (--step={step}), or train the encoder again."
        )
    return Encoding(build_encoder(config, gan, num_labels), config["encoder"], jax.device_put(variables))


def open_classifier(name: str, step: str = "best") -> Embedder:
    """A trained classifier; its name has the start of its weights' hash.

    Args:
        name: "drums" for the packaged one, a file that `drumgan pack` wrote, or a classifier's run directory.
        step: of a run: which checkpoint, see find_step.

    Raises:
        BadInput: there is no such file or run, or it is no classifier's.
    """
    if name == PACKAGED:
        packaged = classifier_embedders.build()
        return dataclasses.replace(packaged, name=f"{PACKAGED}@{packaged.weights_hash[:8]}")
    if not (Path(name) / CONFIG_NAME).is_file():
        return classifier_embedders.from_file(name)
    config = read_config(name)
    kind = config.get("task", {}).get("kind")
    if kind != "classifier":
        raise BadInput(f"{name} is a run of task {kind!r}; give one of task 'classifier'.")
    variables, _ = load_ema(name, find_step(name, step))
    classifier = build_classifier(config, config["labels"])
    return classifier_embedders.from_classifier(classifier, variables, Path(name).resolve().name, _digest(variables))


def load_vocoder(path: str | os.PathLike[str]) -> TrainedVocoder:
    """Read the vocoder of a run: of its best checkpoint, or the last where none was evaluated; or a file of one.

    Raises:
        BadInput: it is neither, or cannot be read.
    """
    if Path(path).suffix == ".npz":
        return read_vocoder(path)
    config = read_config(path)
    kind = config.get("task", {}).get("kind")
    if kind != "vocoder":
        raise BadInput(f"{path} is a run of task {kind!r}; give the run of a vocoder.")
    try:
        step = find_step(path, "best")
    except BadInput:
        step = None
    variables, _ = load_ema(path, step)
    return TrainedVocoder(build_vocoder(config), variables, {})


def keep_vocoder(config: Mapping[str, Any], run_dir: Path, write: bool) -> dict[str, Any]:
    """A config that names the run's own copy of the vocoder that it named.

    So the run sounds the same wherever it lies, whatever becomes of the original. A copy that was made of the same
    path is not made again.

    Args:
        config: from `run.freeze`.
        run_dir: the run directory.
        write: whether this process writes; the others wait for it.

    Raises:
        BadInput: the vocoder cannot be read, or is of another mel scale, or the copy cannot be written.
    """
    source, copy = vocoder_of(config), run_dir / VOCODER_NAME
    if not source:
        return dict(config)
    if not _is_copy(copy, source):
        try:
            trained = load_vocoder(source)
            check_fits(build_representation(config["representation"]), trained.vocoder, source)
        except BadInput as problem:
            raise BadInput(f"config.representation.vocoder cannot be used: {problem}") from problem
        if write:
            try:
                run_dir.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise BadInput(f"{run_dir} cannot be made ({error.strerror}); give another --workdir.") from error
            save_vocoder(copy, trained._replace(card={**trained.card, "source": source}))
    distributed.meet("vocoder")
    return with_vocoder_at(config, os.fspath(copy))


def with_vocoder(gan: Gan, vocoder: str | os.PathLike[str] | None = None) -> Gan:
    """The parts of a GAN that sounds by a vocoder.

    Args:
        gan: the parts.
        vocoder: its run or file; None for that of the representation's setting `vocoder`, empty for none.

    Raises:
        BadInput: it cannot be read, or is of another mel scale.
    """
    path = getattr(gan.representation, "vocoder", "") if vocoder is None else os.fspath(vocoder)
    if not path:
        return gan if vocoder is None else dataclasses.replace(gan, representation=by_itself(gan.representation))
    try:
        representation = vocoded(gan.representation, load_vocoder(path), path)
    except BadInput as problem:
        named = "the vocoder that the config names" if vocoder is None else "this vocoder"
        raise BadInput(f"{named} cannot be used; give another, or an empty name for none: {problem}") from problem
    return dataclasses.replace(gan, representation=representation)


def _is_copy(path: Path, source: str) -> bool:
    """Whether a file is a vocoder that was copied from a source."""
    try:
        return path.exists() and read_vocoder(path).card.get("source") == source
    except BadInput:
        return False


def _digest(variables: Mapping[str, Any]) -> str:
    """SHA-256 of the names and values of a tree of arrays, in hex."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
