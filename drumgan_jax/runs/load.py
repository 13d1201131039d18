"""Networks of run directories: a generator, its encoder, a vocoder, a classifier."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from drumgan_jax.audio.level import check_sounds
from drumgan_jax.core.errors import BadInput, about, brief, shown
from drumgan_jax.core.places import name_of, place
from drumgan_jax.core.weight_file import flat, misfit_of, variables_digest
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.embedders import classifier as classifier_embedders
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.config import CHECKPOINTS, CONFIG_NAME, find_step, read_config
from drumgan_jax.runs.digests import has_digests
from drumgan_jax.runs.identity import check_identity, without_config
from drumgan_jax.systems.classifier import build_classifier
from drumgan_jax.systems.decoders import anywhere, choose_decoder
from drumgan_jax.systems.encoder import Encoding, build_encoder
from drumgan_jax.systems.formats import labels_of
from drumgan_jax.systems.gan import Gan, gan_at, gan_task_settings, generator_shapes
from drumgan_jax.systems.vocoder import TrainedVocoder, build_vocoder, read_vocoder, shapes_of

PACKAGED = "drums"


@dataclasses.dataclass(frozen=True)
class TrainedGan:
    """A generator's moving average, ready to be applied.

    Attributes:
        run: the run directory.
        gan: the parts, at the stage of growth of `step`.
        variables: the generator's collections, NumPy arrays: "params", "statistics", and "growth" with `alpha`.
        config: the run's config.
        label_names: classes that condition the generator.
        label_key: the part of a batch that conditions it, "labels" or "soft_labels"; None without labels.
        step: training steps done.
        conditions: the classes that condition it, and attributes.
    """

    run: str
    gan: Gan
    variables: dict[str, Any]
    config: dict[str, Any]
    label_names: tuple[str, ...]
    label_key: str | None
    step: int
    conditions: Conditions

    @property
    def digest(self) -> np.ndarray:
        """`variables_digest` as bytes [32] uint8."""
        return np.frombuffer(bytes.fromhex(variables_digest(self.variables)), np.uint8)


def load_network(
    run: str | os.PathLike[str], config: Mapping[str, Any], step: int | None = None
) -> tuple[dict[str, Any], int]:
    """The EMA weights of a run's checkpoint, and its step; see `load_ema`.

    Args:
        run: the run directory.
        config: the run's, as it was read.
        step: of the checkpoint; None for the last.

    Raises:
        BadInput: there is no such checkpoint, it is damaged, or it was saved with another config.
    """
    variables, at = load_ema(run, step)
    checkpoint = place(run) / CHECKPOINTS / str(at)
    if not check_identity(checkpoint, config, place(run) / CONFIG_NAME) and has_digests(checkpoint):
        logging.warning("%s", without_config(checkpoint))
    return variables, at


def load_gan(
    run: str | os.PathLike[str], step: int | str = "last", vocoder: str | os.PathLike[str] | None = None
) -> TrainedGan:
    """Read the generator of a run's checkpoint.

    Args:
        run: the run directory.
        step: "last", "best", images such as "800kimg", or a number.
        vocoder: see `with_vocoder`.

    Raises:
        BadInput: the folder is no run directory, has no such checkpoint, or its task trains no GAN.
    """
    config = read_config(run)
    kind = config.get("task", {}).get("kind")
    if kind != "gan":
        raise BadInput(f"{run} is a run of task {shown(kind)}; give the run of a GAN.")
    variables, at = load_network(run, config, find_step(run, step) if isinstance(step, str) else step)
    # The config's own vocoder is not read if another one is wanted: it may be lost.
    built = config if vocoder is None else {**config, "decoder": anywhere(config.get("decoder", {}))}
    with about(place(run) / CONFIG_NAME):
        task = gan_task_settings(config)
        label_names = labels_of(config) if task.conditional else ()
        conditions = Conditions.of(config, label_names)
        gan, growth = gan_at(built, len(label_names), at)
        check_sounds(config)
        _check_fits(variables, generator_shapes(gan, len(conditions.names)), at)
    return TrainedGan(
        run=os.fspath(run),
        gan=with_vocoder(gan, built, vocoder),
        variables={**variables, **growth},
        config=config,
        label_names=label_names,
        label_key=("soft_labels" if task.soft_labels else "labels") if task.conditional else None,
        step=at,
        conditions=conditions,
    )


def load_encoder(run: str | os.PathLike[str], gan: Gan, num_labels: int, model: str) -> Encoding:
    """Read the encoder of its run's last checkpoint.

    Args:
        run: the encoder's run directory.
        gan: the generator's parts.
        num_labels: number of classes that condition the generator.
        model: `variables_digest` of the generator.

    Raises:
        BadInput: the encoder was trained on another generator, or cannot be read.
    """
    config = read_config(run)
    variables, at = load_network(run, config)
    if bytes(np.asarray(variables.pop("generator", ()), np.uint8)).hex() != model:
        task = config.get("task", {})
        step, generator = (brief(str(task.get(*one))) for one in (("step", "last"), ("run", "another run")))
        raise BadInput(
            f"{run} is an encoder of another generator: it was trained on the checkpoint config.task.step={step} of"
            f" {generator}; give that step (--step={step}), or train the encoder again."
        )
    with about(place(run) / CONFIG_NAME):
        encoder = build_encoder(config, gan, num_labels)
        _check_fits(variables, jax.eval_shape(encoder.init, jax.random.key(0)), at)
    return Encoding(encoder, config["encoder"], jax.device_put(variables))


def open_classifier(name: str, step: str = "best") -> Embedder:
    """A trained classifier as an embedder, whose name ends with the start of its weights' hash.

    Args:
        name: "drums" for the packaged one, a file that `drumgan pack` wrote, or a classifier's run directory.
        step: checkpoint of a run, see find_step.

    Raises:
        BadInput: there is no such file or run, or it holds no classifier.
    """
    if name == PACKAGED:
        packaged = classifier_embedders.build()
        return dataclasses.replace(packaged, name=f"{PACKAGED}@{packaged.weights_hash[:8]}")
    if not (place(name) / CONFIG_NAME).is_file():
        return classifier_embedders.from_file(name)
    config = read_config(name)
    kind = config.get("task", {}).get("kind")
    if kind != "classifier":
        raise BadInput(f"{name} is a run of task {shown(kind)}; give one of task 'classifier'.")
    variables, at = load_network(name, config, find_step(name, step))
    with about(place(name) / CONFIG_NAME):
        classifier = build_classifier(config, labels_of(config))
        _check_fits(variables, jax.eval_shape(classifier.init, jax.random.key(0)), at)
    return classifier_embedders.from_classifier(classifier, variables, name_of(place(name)), _digest(variables))


def load_vocoder(path: str | os.PathLike[str]) -> TrainedVocoder:
    """Read a vocoder: of a run's best checkpoint (the last if none was evaluated), or of a packed file.

    Raises:
        BadInput: the path is neither, or cannot be read.
    """
    if place(path).suffix == ".npz":
        return read_vocoder(path)
    config = read_config(path)
    kind = config.get("task", {}).get("kind")
    if kind != "vocoder":
        raise BadInput(f"{path} is a run of task {shown(kind)}; give the run of a vocoder.")
    try:
        step = find_step(path, "best")
    except BadInput:
        step = None
    variables, at = load_network(path, config, step)
    with about(place(path) / CONFIG_NAME):
        vocoder = build_vocoder(config)
        _check_fits(variables, shapes_of(vocoder), at)
    return TrainedVocoder(vocoder, variables, {})


def with_vocoder(gan: Gan, config: Mapping[str, Any], vocoder: str | os.PathLike[str] | None) -> Gan:
    """The parts of a GAN with another vocoder.

    Args:
        gan: the parts.
        config: of its run.
        vocoder: a run or file; empty for the decoder without one; None for the present decoder.

    Raises:
        BadInput: it cannot be read, or has another mel scale.
    """
    choice = None if vocoder is None else os.fspath(vocoder)
    return gan.with_decoder(choose_decoder(gan.decoder, config.get("decoder", {}), choice, load_vocoder))


def _check_fits(variables: Mapping[str, Any], expected: Mapping[str, Any], step: int) -> None:
    """Refuse a checkpoint of another network than the config's, which would be played otherwise than it was trained."""
    arrays = flat(variables)
    if misfit := misfit_of(arrays, expected):
        raise BadInput(f"its network is not that of the checkpoint of step {step} ({misfit}); restore the config.")
    if odd := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
        raise BadInput(f"the checkpoint of step {step} holds NaN or infinite values in {odd[0]}; give another step.")


def _digest(variables: Mapping[str, Any]) -> str:
    """SHA-256 of the names and values of a tree of arrays, in hex."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables):
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
