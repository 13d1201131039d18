"""Sound classifiers as embedders: the packaged drum classifier, and any classifier file."""

import dataclasses
import os
from importlib import resources
from pathlib import Path
from typing import Any

import jax

from drumgan_jax.evaluation.embedder import DeviceEmbedder, EmbedderOutput
from drumgan_jax.systems.classifier import Classifier, load_classifier

Array = jax.Array


def build() -> DeviceEmbedder:
    """The packaged classifier of kicks, snares and cymbals, described in drums.md in this folder."""
    with resources.as_file(resources.files("drumgan_jax.evaluation.embedders") / "drums.npz") as path:
        return dataclasses.replace(from_file(path), name="drums")


def from_file(path: str | os.PathLike[str]) -> DeviceEmbedder:
    """Load a classifier file written by `drumgan pack`; the embedding is the layer before the class logits.

    The embedder is named after the file and the start of its hash, because figures of different files with the same
    name are not comparable.

    Raises:
        BadInput: the file cannot be read, is damaged or of another kind.
    """
    classifier, variables, card, sha256 = load_classifier(path)
    # Tags do not exclude each other, so that a tagger's logits are no distribution of classes.
    exclusive = card.get("config", {}).get("task", {}).get("kind") != "tagger"
    return from_classifier(classifier, variables, Path(path).stem, sha256, exclusive)


def from_classifier(
    classifier: Classifier, variables: Any, name: str, weights_hash: str, exclusive: bool = True
) -> DeviceEmbedder:
    """A classifier as an embedder, as in `from_file`; the start of the weights' hash is appended to its name.

    Without `exclusive` labels it has an embedding only, and no classes.
    """

    def function(variables: Any, windows: Array) -> EmbedderOutput:
        logits, embedding = classifier.predict(variables, windows)
        return EmbedderOutput(embedding, logits if exclusive else None)

    names = classifier.label_names if exclusive else ()
    samples = classifier.front_end.num_samples
    windows = jax.ShapeDtypeStruct((1, samples), "float32")
    return DeviceEmbedder(
        name=f"{name}@{weights_hash[:8]}",
        sample_rate=classifier.front_end.sample_rate,
        window=samples,
        hop=samples,
        dimensions=jax.eval_shape(function, variables, windows).embedding.shape[1],
        weights_hash=weights_hash,
        variables=variables,
        function=function,
        num_classes=len(names),
        classes=names,
    )
