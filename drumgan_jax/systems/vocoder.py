"""A vocoder from the log-mel bands of a representation to waveforms, and the file format that stores it."""

import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.audio.representations import build_representation, current_settings, settings_of
from drumgan_jax.audio.spectrograms import LogMel
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.parts import Array, Representation
from drumgan_jax.core.settings import build_part, check_shapes, section_at
from drumgan_jax.core.weight_file import (
    FileFormat,
    fitted,
    flat,
    halved,
    not_one,
    read_weights,
    restored,
    write_weights,
)
from drumgan_jax.networks.hifigan import HifiGan
from drumgan_jax.networks.melgan import Generator

# Modules from mel bands [batch, bands, frames, 1] to waveforms [batch, frames * product of `ratios`].
VOCODERS: dict[str, type[nn.Module]] = {"melgan": Generator, "hifigan": HifiGan}

FORMAT = FileFormat("drumgan vocoder", 2)
_OWNER = "a vocoder"
# Margin above the floor, in log10: greater than rounding errors.
_ABOVE = 1e-4
# Settings that define the mel scale; the number of frames is not one of them.
_SCALE = ("sample_rate", "n_fft", "hop_length", "win_length", "num_mels", "fmin", "fmax", "floor")


@dataclasses.dataclass(frozen=True)
class Vocoder:
    """The parts of a vocoder, ready to initialise.

    Attributes:
        representation: representation of its input, with fitted statistics.
        network: see VOCODERS.
    """

    representation: LogMel
    network: nn.Module

    def init(self, key: Array) -> dict[str, Any]:
        """Fresh variables: `params`."""
        return dict(self.network.init(key, jnp.zeros((1, self.representation.num_mels, 1, 1))))

    def synthesize(self, variables: Mapping[str, Any], features: Array) -> Array:
        """Synthesise waveforms [batch, frames * hop_length] from unnormalised features [batch, num_mels, frames, 1].

        The noise-free network would turn constant frames into a tone at the hop rate, so frames at the floor are
        rendered as silence.
        """
        waveforms: Any = self.network.apply(variables, self.representation.normalize(features))
        audible = jnp.any(features > math.log10(self.representation.floor) + _ABOVE, axis=(1, 3))
        return jnp.where(jnp.repeat(audible, self.representation.hop_length, axis=1), waveforms, 0.0)

    def render(self, variables: Mapping[str, Any], features: Array) -> Array:
        """`synthesize` at full precision, for waveforms that are played or measured rather than trained on."""
        # Accelerators would otherwise multiply at lower precision, which is audible as noise. Training uses the lower
        # precision in both networks, forward and backward, as in all tasks.
        with jax.default_matmul_precision("highest"):
            return self.synthesize(variables, features)


class TrainedVocoder(NamedTuple):
    """A vocoder with its weights.

    Attributes:
        vocoder: the parts.
        variables: the weights.
        card: facts about it, such as training data and scores; JSON-serialisable.
    """

    vocoder: Vocoder
    variables: Mapping[str, Any]
    card: Mapping[str, Any]


def build_vocoder(config: Mapping[str, Any]) -> Vocoder:
    """Build the vocoder of a config.

    Args:
        config: has sections `representation`, of kind log_mel, and `vocoder`.

    Raises:
        BadInput: a section names an unknown part or setting, a value is out of range, or the product of the network's
            ratios is not the hop length.
    """
    representation = build_representation(section_at(config, "representation"))
    if not isinstance(representation, LogMel):
        raise BadInput(
            f"config.representation.kind is {shown(config['representation']['kind'])}; a vocoder takes log_mel."
        )
    network: Any = build_part(VOCODERS, section_at(config, "vocoder"), "vocoder")
    vocoder = Vocoder(representation, network)
    check_shapes("vocoder", vocoder.init)
    hop = math.prod(network.ratios)
    if hop != representation.hop_length:
        raise BadInput(
            f"config.vocoder.ratios are {network.ratios} with product {hop}; it must equal"
            f" config.representation.hop_length, which is {representation.hop_length}."
        )
    return vocoder


def check_fits(representation: Representation, vocoder: Vocoder, path: str | os.PathLike[str]) -> None:
    """Check that a vocoder has the mel scale of a representation.

    Raises:
        BadInput: the scales differ; names the vocoder's path and each differing value.
    """
    if not isinstance(representation, LogMel):
        raise BadInput(f"{path} is a vocoder of mel bands, but this representation has none; leave it out.")
    ours, others = (_scale(one) for one in (representation, vocoder.representation))
    differing = [f"{name}: {ours[name]} against {others[name]}" for name in _SCALE if ours[name] != others[name]]
    if differing:
        raise BadInput(
            f"{path} is a vocoder of another mel scale than config.representation, which differs in"
            f" {', '.join(differing)}; train a vocoder on a data set of this representation."
        )


def save_vocoder(path: str | os.PathLike[str], trained: TrainedVocoder) -> None:
    """Write a vocoder atomically as one .npz: its parameters in half precision, and a header in JSON.

    The same vocoder and card give the same bytes.

    Raises:
        BadInput: the path does not end in .npz or cannot be written, or a weight is not finite.
    """
    header = {**section_of(trained.vocoder), "card": dict(trained.card)}
    fitted(flat(trained.variables), shapes_of(trained.vocoder))
    write_weights(path, FORMAT, header, halved(flat(trained.variables)))


def read_vocoder(path: str | os.PathLike[str]) -> TrainedVocoder:
    """Read a file written by `save_vocoder`; no code in it is executed.

    Raises:
        BadInput: the file cannot be read, is damaged or of another kind, or its arrays do not fit its header.
    """
    _, header, arrays, _ = read_weights(path, FORMAT, _OWNER)
    try:
        representation, card = current_settings(header["representation"]), header["card"]
        section = {"representation": representation, "vocoder": header["vocoder"]}
        if type(card) is not dict:
            raise ValueError("the card is of another type")
    except (KeyError, ValueError) as error:
        raise not_one(path, _OWNER, error) from error
    try:
        vocoder = build_vocoder(section)
        variables = restored(arrays, shapes_of(vocoder))
    except (BadInput, KeyError, TypeError, AttributeError) as problem:
        raise BadInput(f"{path} does not fit this version: {problem}") from problem
    return TrainedVocoder(vocoder, variables, card)


def section_of(vocoder: Vocoder) -> dict[str, Any]:
    """The sections `representation` and `vocoder` that rebuild a vocoder; JSON-serialisable."""
    kind = next(kind for kind, network in VOCODERS.items() if network is type(vocoder.network))
    fields = [f.name for f in dataclasses.fields(vocoder.network) if f.name not in ("parent", "name")]
    settings = {name: getattr(vocoder.network, name) for name in fields}
    return {"representation": settings_of(vocoder.representation), "vocoder": {"kind": kind, **settings}}


def shapes_of(vocoder: Vocoder) -> dict[str, Any]:
    """Shapes and dtypes of a vocoder's variables."""
    return jax.eval_shape(vocoder.init, jax.random.key(0))


def _scale(representation: LogMel) -> dict[str, Any]:
    """Settings that define a mel scale, with defaults filled in."""
    values = {name: getattr(representation, name) for name in _SCALE}
    values["win_length"] = representation.win_length or representation.n_fft
    values["fmax"] = representation.sample_rate / 2 if representation.fmax is None else representation.fmax
    return values
