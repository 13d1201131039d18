"""A playable instrument as one file: generator, encoder, vocoder, components and the config that they are built by."""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import fitted, flat, halved, not_one, read_weights, restored, write_weights
from drumgan_jax.latents.components import Components
from drumgan_jax.systems.encoder import Encoding, build_encoder
from drumgan_jax.systems.gan import Gan, gan_at
from drumgan_jax.systems.vocoder import TrainedVocoder, Vocoded, build_vocoder, section_of, shapes_of, vocoded

FORMAT = "drumgan instrument 1"
_OWNER = "an instrument"


class Packed(NamedTuple):
    """What a file holds.

    Attributes:
        config: of the run, without what only its machine knew.
        label_names: classes that condition the generator, in order.
        step: of training.
        gan: the parts, as far grown as at that step.
        variables: the generator's collections, float32.
        encoding: the encoder, if there is one.
        components: principal components of w.
        card: what is known of the model; as JSON can hold it.
    """

    config: dict[str, Any]
    label_names: tuple[str, ...]
    step: int
    gan: Gan
    variables: dict[str, Any]
    encoding: Encoding | None
    components: Components
    card: dict[str, Any]


def save_instrument(path: str | os.PathLike[str], instrument: Any, card: Mapping[str, Any]) -> None:
    """Write an instrument.Instrument as one .npz, parameters in half precision; whole or not at all.

    The same instrument and card give the same bytes. What is loaded again has the rounded parameters, and so another
    digest: latents are of the one or of the other.

    Raises:
        BadInput: the path does not end in .npz or cannot be written, or a weight is not finite.
    """
    gan, encoding = instrument.gan, instrument.encoding
    vocoder = gan.representation if isinstance(gan.representation, Vocoded) else None
    header = {
        "format": FORMAT,
        "config": anywhere(instrument.config),
        "labels": list(instrument.label_names),
        "step": instrument.step,
        "encoder": None if encoding is None else encoding.section,
        "vocoder": None if vocoder is None else section_of(vocoder.maker),
        "card": dict(card),
    }
    generator = {name: tree for name, tree in instrument.variables.items() if name != "growth"}
    used = gan.in_use("generator", generator["params"])
    # Later stages' parameters are as initialised; zeros take no room in the file.
    params = {
        name: tree if name in used else jax.tree.map(np.zeros_like, tree) for name, tree in generator["params"].items()
    }
    arrays = _prefixed("generator", halved(flat({**generator, "params": params})))
    fitted(_prefixed("generator", flat(generator)), {"generator": _generator_shapes(gan, len(instrument.label_names))})
    if encoding is not None:
        shapes = jax.eval_shape(encoding.encoder.init, jax.random.key(0))
        fitted(_prefixed("encoder", flat(encoding.variables)), {"encoder": shapes})
        arrays |= _prefixed("encoder", halved(flat(encoding.variables)))
    if vocoder is not None:
        fitted(_prefixed("vocoder", flat(vocoder.weights)), {"vocoder": shapes_of(vocoder.maker)})
        arrays |= _prefixed("vocoder", halved(flat(vocoder.weights)))
    components = _prefixed("components", instrument.components().arrays())
    if odd := [name for name, array in components.items() if not np.isfinite(array).all()]:
        raise BadInput(
            f"{odd[0]} holds NaN or infinite values; delete the run's components-*.npz, or pack another step."
        )
    arrays |= components
    write_weights(path, json.loads(json.dumps(header)), arrays)


def read_instrument(path: str | os.PathLike[str]) -> Packed:
    """Read a file that `save_instrument` wrote; nothing in it is run.

    Raises:
        BadInput: the file cannot be read, is damaged or of another kind, or its arrays do not fit its header.
    """
    header, arrays, _ = read_weights(path, FORMAT, _OWNER)
    try:
        config, labels, step, section, card = (header[key] for key in ("config", "labels", "step", "encoder", "card"))
        components = Components.of_arrays(_part("components", arrays))
        if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels) or type(step) is not int:
            raise ValueError("labels or step are of another type")
    except (KeyError, ValueError, TypeError) as error:
        raise not_one(path, _OWNER, error) from error
    try:
        gan, growth = gan_at(config, len(labels), step)
        variables = restored(_part("generator", arrays), _generator_shapes(gan, len(labels)))
        encoding = None
        if section is not None:
            encoder = build_encoder({"encoder": section}, gan, len(labels))
            shapes = jax.eval_shape(encoder.init, jax.random.key(0))
            encoding = Encoding(encoder, section, jax.device_put(restored(_part("encoder", arrays), shapes)))
        if header.get("vocoder") is not None:
            vocoder = build_vocoder(header["vocoder"])
            weights = restored(_part("vocoder", arrays), shapes_of(vocoder))
            sounding = vocoded(gan.representation, TrainedVocoder(vocoder, weights, {}), path)
            gan = dataclasses.replace(gan, representation=sounding)
        if components.mean.shape != (gan.generator.w_dim,):
            raise BadInput("its components are of another size than the generator's w; write it again.")
    except (BadInput, KeyError, TypeError, AttributeError) as problem:
        raise BadInput(f"{path} does not fit this version: {problem}") from problem
    return Packed(config, tuple(labels), step, gan, {**variables, **growth}, encoding, components, card)


def anywhere(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's config without where its data and its vocoder lay on one machine, which says nothing to anyone else."""
    kept = {name: value for name, value in config.items() if name != "data"}
    if "vocoder" in kept["representation"]:
        kept["representation"] = {**kept["representation"], "vocoder": ""}
    return kept


def _generator_shapes(gan: Gan, num_labels: int) -> dict[str, Any]:
    labels = jnp.zeros((1, num_labels)) if num_labels else None
    return jax.eval_shape(gan.generator.init, jax.random.key(0), jnp.zeros((1, gan.generator.z_dim)), labels, None)


def _prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def _part(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays under a prefix, by what follows it."""
    return {name.removeprefix(f"{prefix}/"): array for name, array in arrays.items() if name.startswith(f"{prefix}/")}
