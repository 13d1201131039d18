"""A GAN instrument as header and arrays: generator, encoder, decoder and components, parameters in half precision."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.core.weight_file import fitted, flat, halved, restored
from drumgan_jax.latents.components import Components
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.systems.decoders import unpack_decoder
from drumgan_jax.systems.encoder import Encoder, Encoding, build_encoder
from drumgan_jax.systems.gan import Gan, gan_at, generator_shapes


class UnpackedGan(NamedTuple):
    """The parts of an instrument, from a file.

    Attributes:
        gan: the parts, at the stage of growth of the step.
        variables: the generator's collections, float32.
        encoding: the encoder, if there is one.
        components: principal components of w.
    """

    gan: Gan
    variables: dict[str, Any]
    encoding: Encoding | None
    components: Components


def pack_gan(instrument: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a play.instrument.Instrument, parameters in half precision.

    The unpacked instrument has the rounded parameters, and so another digest: latents are of the one or of the other.

    Raises:
        BadInput: a weight or a component is not finite.
    """
    gan, encoding = instrument.gan, instrument.encoding
    decoder, decoder_arrays = gan.decoder.packed()
    header = {"encoder": None if encoding is None else encoding.section, "decoder": decoder}
    generator = {name: tree for name, tree in instrument.variables.items() if name != "growth"}
    used = gan.in_use("generator", generator["params"])
    # Later stages' parameters are as initialised; zeros take no room in the file.
    params = {
        name: tree if name in used else jax.tree.map(np.zeros_like, tree) for name, tree in generator["params"].items()
    }
    arrays = _prefixed("generator", halved(flat({**generator, "params": params})))
    fitted(
        _prefixed("generator", flat(generator)), {"generator": generator_shapes(gan, len(instrument.conditions.names))}
    )
    if encoding is not None and isinstance(encoding.encoder, Encoder):
        fitted(_prefixed("encoder", flat(encoding.variables)), {"encoder": _encoder_shapes(encoding.encoder)})
        arrays |= _prefixed("encoder", halved(flat(encoding.variables)))
    arrays |= _prefixed("decoder", decoder_arrays)
    components = _prefixed("components", instrument.components().arrays())
    if odd := [name for name, array in components.items() if not np.isfinite(array).all()]:
        raise BadInput(
            f"{odd[0]} holds NaN or infinite values; delete the run's components-*.npz, or pack another step."
        )
    return header, arrays | components


def unpack_gan(
    header: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    conditions: Conditions,
    step: int,
    path: str,
) -> UnpackedGan:
    """The parts of header and arrays.

    Args:
        header: from `pack_gan`, also of a file of format 1.
        arrays: likewise.
        config: of the run, in the present form.
        conditions: of the generator.
        step: of training.
        path: of the file, for messages.

    Raises:
        BadInput, KeyError, TypeError, AttributeError: they do not fit each other, or are damaged.
    """
    try:
        components = Components.of_arrays(_part("components", arrays))
    except (KeyError, ValueError) as problem:
        raise BadInput(
            f"its principal components are damaged ({first_line(problem)}); write it with `drumgan pack`."
        ) from problem
    num_labels = len(conditions.classes)
    gan, growth = gan_at(config, num_labels, step)
    variables = restored(_part("generator", arrays), generator_shapes(gan, len(conditions.names)))
    encoding = None
    if header["encoder"] is not None:
        encoder = build_encoder({"encoder": header["encoder"]}, gan, num_labels)
        weights = restored(_part("encoder", arrays), _encoder_shapes(encoder))
        encoding = Encoding(encoder, header["encoder"], jax.device_put(weights))
    # In format 1 a decoder was called a vocoder, in the header as in the arrays.
    name = "decoder" if "decoder" in header else "vocoder"
    if header.get(name) is not None:
        decoder = unpack_decoder(header[name], _part(name, arrays), gan.representation, path)
        gan = gan.with_decoder(decoder)
    if components.mean.shape != (gan.generator.w_dim,):
        raise BadInput("its components are of another size than the generator's w; write it again.")
    return UnpackedGan(gan, {**variables, **growth}, encoding, components)


def _encoder_shapes(encoder: Encoder) -> dict[str, Any]:
    return jax.eval_shape(encoder.init, jax.random.key(0))


def _prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def _part(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays under a prefix, by what follows it."""
    return {name.removeprefix(f"{prefix}/"): array for name, array in arrays.items() if name.startswith(f"{prefix}/")}
