"""A vocoder: from the log-mel bands of a representation to waveforms, and the one file it is kept in."""

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
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array, Representation
from drumgan_jax.core.settings import build_part, check_shapes
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
# Of log10: more than rounding makes of the floor.
_ABOVE = 1e-4
# What decides how a waveform is written as mel bands; how many frames there are does not.
_SCALE = ("sample_rate", "n_fft", "hop_length", "win_length", "num_mels", "fmin", "fmax", "floor")


@dataclasses.dataclass(frozen=True)
class Vocoder:
    """The parts of a vocoder, ready to initialise.

    Attributes:
        representation: that it is trained on, with fitted statistics.
        network: see VOCODERS.
    """

    representation: LogMel
    network: nn.Module

    def init(self, key: Array) -> dict[str, Any]:
        """Fresh variables: `params`."""
        return dict(self.network.init(key, jnp.zeros((1, self.representation.num_mels, 1, 1))))

    def synthesize(self, variables: Mapping[str, Any], features: Array) -> Array:
        """Waveforms [batch, frames * hop_length] of features before normalisation [batch, num_mels, frames, 1].

        Frames with nothing above the floor are silent: of what does not change, a network without noise can but make a
        tone at the hop rate.
        """
        waveforms: Any = self.network.apply(variables, self.representation.normalize(features))
        heard = jnp.any(features > math.log10(self.representation.floor) + _ABOVE, axis=(1, 3))
        return jnp.where(jnp.repeat(heard, self.representation.hop_length, axis=1), waveforms, 0.0)

    def render(self, variables: Mapping[str, Any], features: Array) -> Array:
        """As `synthesize`, for waveforms that are heard or measured, not trained on."""
        # Accelerators would otherwise multiply with fewer bits, which is heard as noise. Training is left to that, in
        # both networks, forward and back, as in all tasks.
        with jax.default_matmul_precision("highest"):
            return self.synthesize(variables, features)


class TrainedVocoder(NamedTuple):
    """A vocoder that can be used.

    Attributes:
        vocoder: the parts.
        variables: the weights.
        card: what is known of it: what it was trained on, how good it is; as JSON can hold it.
    """

    vocoder: Vocoder
    variables: Mapping[str, Any]
    card: Mapping[str, Any]


def build_vocoder(config: Mapping[str, Any]) -> Vocoder:
    """The vocoder that a config asks for.

    Args:
        config: sections `representation`, of kind log_mel, and `vocoder`.

    Raises:
        BadInput: a section names an unknown part or setting, a value is out of range, or the network's ratios do not
            make a hop of each frame.
    """
    representation = build_representation(config["representation"])
    if not isinstance(representation, LogMel):
        raise BadInput(f"config.representation.kind is {config['representation']['kind']!r}; a vocoder takes log_mel.")
    if "vocoder" not in config:
        raise BadInput("the config has no section vocoder; add it (see configs/melgan.py).")
    network: Any = build_part(VOCODERS, config["vocoder"], "vocoder")
    vocoder = Vocoder(representation, network)
    check_shapes("vocoder", vocoder.init)
    hop = math.prod(network.ratios)
    if hop != representation.hop_length:
        raise BadInput(
            f"config.vocoder.ratios are {network.ratios}, which make {hop} samples of a frame, where"
            f" config.representation.hop_length is {representation.hop_length}; their product must be that."
        )
    return vocoder


def check_fits(representation: Representation, vocoder: Vocoder, path: str | os.PathLike[str]) -> None:
    """Raise BadInput, which names the vocoder's path and each value that differs, unless mel bands mean the same."""
    if not isinstance(representation, LogMel):
        raise BadInput(f"{path} is a vocoder of mel bands, and this representation has none; leave it out.")
    ours, others = (_scale(one) for one in (representation, vocoder.representation))
    differing = [f"{name}: {ours[name]} against {others[name]}" for name in _SCALE if ours[name] != others[name]]
    if differing:
        raise BadInput(
            f"{path} is a vocoder of another mel scale than config.representation, which differs in"
            f" {', '.join(differing)}; train one on a data set of this representation."
        )


def save_vocoder(path: str | os.PathLike[str], trained: TrainedVocoder) -> None:
    """Write a vocoder as one .npz, parameters in half precision, and a header in JSON; whole or not at all.

    The same vocoder and card give the same bytes.

    Raises:
        BadInput: the path does not end in .npz or cannot be written, or a weight is not finite.
    """
    header = {**section_of(trained.vocoder), "card": dict(trained.card)}
    fitted(flat(trained.variables), shapes_of(trained.vocoder))
    write_weights(path, FORMAT, header, halved(flat(trained.variables)))


def read_vocoder(path: str | os.PathLike[str]) -> TrainedVocoder:
    """Read a file that `save_vocoder` wrote; nothing in it is run.

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
    """The sections `representation` and `vocoder` that build it again; can be written as JSON."""
    kind = next(kind for kind, network in VOCODERS.items() if network is type(vocoder.network))
    fields = [f.name for f in dataclasses.fields(vocoder.network) if f.name not in ("parent", "name")]
    settings = {name: getattr(vocoder.network, name) for name in fields}
    return {"representation": settings_of(vocoder.representation), "vocoder": {"kind": kind, **settings}}


def shapes_of(vocoder: Vocoder) -> dict[str, Any]:
    """Its variables' shapes and dtypes."""
    return jax.eval_shape(vocoder.init, jax.random.key(0))


def _scale(representation: LogMel) -> dict[str, Any]:
    """What decides how a waveform is written as mel bands, defaults filled in."""
    values = {name: getattr(representation, name) for name in _SCALE}
    values["win_length"] = representation.win_length or representation.n_fft
    values["fmax"] = representation.sample_rate / 2 if representation.fmax is None else representation.fmax
    return values
