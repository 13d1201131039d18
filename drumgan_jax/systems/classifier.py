"""A classifier of sounds: front end, network and class names, and the file format that stores them."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import jax
from flax import linen as nn

from drumgan_jax.audio.attributes import check_attributes
from drumgan_jax.audio.front_end import FRONT_ENDS, FrontEnd, settings_of
from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import build_part, check_shapes, section_at
from drumgan_jax.core.weight_file import FileFormat, fitted, flat, not_one, read_weights, write_weights
from drumgan_jax.networks.mel_inception import MelInception
from drumgan_jax.networks.short_chunk import ShortChunk

Array = jax.Array

# Modules from (mel [batch, mel, frames, 1], train) to (logits [batch, labels], embedding [batch, d]).
CLASSIFIERS: dict[str, type[nn.Module]] = {"mel_inception": MelInception, "short_chunk": ShortChunk}

FORMAT = FileFormat("drumgan classifier", 1)
_OWNER = "a classifier"


@dataclasses.dataclass(frozen=True)
class Classifier:
    """The parts of a classifier, ready to initialise.

    Attributes:
        front_end: computes the network's input from waveforms.
        network: see CLASSIFIERS.
        label_names: the classes, in the order of the logits.
        attributes: names of the attributes that it predicts too, after the logits.
    """

    front_end: FrontEnd
    network: nn.Module
    label_names: tuple[str, ...]
    attributes: tuple[str, ...] = ()

    def init(self, key: Array) -> dict[str, Any]:
        """Fresh variables: `params`, and `batch_stats` if the network has any."""
        return dict(self.network.init(key, jax.numpy.zeros((1, *self.front_end.shape))))

    def predict(self, variables: Mapping[str, Any], waveform: Array) -> tuple[Array, Array]:
        """Logits [batch, labels] and embeddings [batch, d] of waveforms [batch, samples] in [-1, 1]."""
        # Accelerators would otherwise multiply at lower precision, and figures would differ between machines.
        with jax.default_matmul_precision("highest"):
            # A cast, because Linen's return type allows for updated collections; none are mutable here.
            outputs, embedding = cast(Any, self.network.apply(variables, self.front_end(waveform)))
        return outputs[:, : len(self.label_names)], embedding

    def predict_attributes(self, variables: Mapping[str, Any], waveform: Array) -> Array:
        """Ranks of attributes [batch, attributes], from 0 to 1, of waveforms [batch, samples] in [-1, 1]."""
        with jax.default_matmul_precision("highest"):
            outputs, _ = cast(Any, self.network.apply(variables, self.front_end(waveform)))
        return jax.nn.sigmoid(outputs[:, len(self.label_names) :])


class ClassifierFile(NamedTuple):
    """Contents of a classifier's file.

    Attributes:
        classifier: the parts.
        variables: the weights, as NumPy arrays.
        card: facts about it, such as training data and accuracy; JSON-serialisable.
        sha256: hash of the file, in hex.
    """

    classifier: Classifier
    variables: dict[str, Any]
    card: dict[str, Any]
    sha256: str


def build_classifier(config: Mapping[str, Any], label_names: Sequence[str]) -> Classifier:
    """Build the classifier of a config.

    Args:
        config: has sections `representation`, for the rate and length of sounds, `front_end`, of kind "mel" by default,
            and `network`; section `task` may name attributes.
        label_names: classes of the data set.

    Raises:
        BadInput: a section names an unknown part or setting, or a value is out of range.
    """
    sounds = build_representation(section_at(config, "representation"))
    front_end = {
        "sample_rate": sounds.sample_rate,
        "num_samples": sounds.num_samples,
        **section_at(config, "front_end"),
    }
    attributes = config.get("task", {}).get("attributes", ())
    return _build(front_end, section_at(config, "network"), label_names, attributes)


def save_classifier(
    path: str | os.PathLike[str], classifier: Classifier, variables: Mapping[str, Any], card: Mapping[str, Any]
) -> None:
    """Write a classifier atomically as one .npz: its arrays, and a header in JSON.

    The same classifier, variables and card give the same bytes.

    Raises:
        BadInput: the path does not end in .npz or cannot be written, or a weight is not finite.
    """
    kind = next(kind for kind, network in CLASSIFIERS.items() if network is type(classifier.network))
    header = {
        "front_end": settings_of(classifier.front_end),
        "network": {"kind": kind, **_settings(classifier.network)},
        "labels": list(classifier.label_names),
        **({"attributes": list(classifier.attributes)} if classifier.attributes else {}),
        "card": dict(card),
    }
    weights = flat(variables)
    fitted(weights, _shapes(classifier))
    write_weights(path, FORMAT, header, weights)


def load_classifier(path: str | os.PathLike[str]) -> ClassifierFile:
    """Read a file written by `save_classifier`; no code in it is executed.

    Raises:
        BadInput: the file cannot be read, is damaged or of another kind, or its arrays do not fit its header.
    """
    _, header, arrays, sha256 = read_weights(path, FORMAT, _OWNER)
    try:
        front_end, network, labels, card = (header[key] for key in ("front_end", "network", "labels", "card"))
        if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels) or type(card) is not dict:
            raise ValueError("labels or card are of another type")
    except (KeyError, ValueError) as error:
        raise not_one(path, _OWNER, error) from error
    try:
        classifier = _build(front_end, network, labels, header.get("attributes", ()))
        variables = fitted(arrays, _shapes(classifier))
    except (BadInput, TypeError, AttributeError) as problem:
        raise BadInput(f"{path} does not fit this version: {problem}") from problem
    return ClassifierFile(classifier, variables, card, sha256)


def _build(
    front_end: Mapping[str, Any], network: Mapping[str, Any], label_names: Sequence[str], attributes: Sequence[str]
) -> Classifier:
    check_attributes([attributes] if isinstance(attributes, str) else attributes, "config.task.attributes")
    if len(label_names) < 2:
        raise BadInput(f"a classifier needs two labels or more, not {len(label_names)}; prepare a data set with them.")
    classifier = Classifier(
        front_end=build_part(FRONT_ENDS, {"kind": "mel", **front_end}, "front_end"),
        network=build_part(CLASSIFIERS, network, "network", num_labels=len(label_names) + len(attributes)),
        label_names=tuple(label_names),
        attributes=tuple(attributes),
    )
    check_shapes("network", classifier.init)
    return classifier


def _settings(network: nn.Module) -> dict[str, Any]:
    """The fields of a module that are set by its section of the config."""
    given = ("parent", "name", "num_labels")
    return {f.name: getattr(network, f.name) for f in dataclasses.fields(network) if f.name not in given}


def _shapes(classifier: Classifier) -> dict[str, Any]:
    return jax.eval_shape(classifier.init, jax.random.key(0))
