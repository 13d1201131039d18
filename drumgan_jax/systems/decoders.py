"""How examples become sound: exactly, by Griffin-Lim, or by a vocoder. No other module asks which."""

import dataclasses
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.phase import noise_phasors, onset_phasors, random_phasors, refine_phases
from drumgan_jax.audio.representations import current_settings
from drumgan_jax.audio.spectrograms import LogMel, check_example
from drumgan_jax.core import places
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.parts import Representation
from drumgan_jax.core.settings import build_part, check_fields, real, text, whole
from drumgan_jax.core.weight_file import fitted, flat, halved, restored, variables_digest
from drumgan_jax.systems.vocoder import (
    TrainedVocoder,
    Vocoder,
    build_vocoder,
    check_fits,
    read_vocoder,
    save_vocoder,
    section_of,
    shapes_of,
)

Array = jax.Array
# From the path of a vocoder's run or file to the vocoder.
ReadVocoder = Callable[[str], TrainedVocoder]
# A run's own copy of the vocoder that its config names.
VOCODER_NAME = "vocoder.npz"
# Frames on either side of a loop that a vocoder is given besides; MelGAN's waveforms depend on fewer.
_FRAMES_AROUND = 32


class Decoder(Protocol):
    """From examples to waveforms; frozen, hashable, pure."""

    @property
    def representation(self) -> Any:
        """Of the examples."""

    @property
    def differentiable(self) -> bool:
        """Whether a gradient through `decode` is cheap: the decoder does not search for phases."""

    @property
    def digest(self) -> str | None:
        """SHA-256 of the decoder's weights, in hex; None if it has none."""

    def decode(self, x: Array, keys: Array) -> Array:
        """Waveforms [batch, samples] of examples [batch, freq, time, channels]; `keys` [batch] start unknown phases."""

    def packed(self) -> tuple[dict[str, Any] | None, dict[str, np.ndarray]]:
        """A section for JSON, its `kind` a key of UNPACKERS, and arrays by path; None if it has no weights."""


@dataclasses.dataclass(frozen=True)
class Exact:
    """The inverse of a representation that keeps phases."""

    representation: Any

    differentiable: ClassVar[bool] = True
    digest: ClassVar[None] = None

    def decode(self, x: Array, keys: Array) -> Array:
        """See Decoder; the keys are not used."""
        waveforms: Array = self.representation.invert(x)
        return waveforms

    def packed(self) -> tuple[None, dict[str, np.ndarray]]:
        """See Decoder."""
        return None, {}

    @classmethod
    def suits(cls, representation: Representation) -> bool:
        """Whether it decodes examples of this representation."""
        return representation.keeps_phase


@dataclasses.dataclass(frozen=True)
class GriffinLim:
    """Griffin-Lim, for representations of magnitudes (Griffin and Lim 1984; Perraudin et al. 2013).

    Attributes:
        representation: of the examples.
        iterations: projections.
        momentum: 0 for the plain algorithm, 0.99 for the fast one.
        phases: initial ones: "random" in each cell; those of the spectra of white "noise"; or these with an "onset" at
            the end of the silence.
        silence: seconds at the start of every sound that are known to be silent.
    """

    representation: Any
    iterations: int = whole(1, 32, most=100_000)
    momentum: float = real(0.0, 1.0, 0.99)
    phases: str = text("random", choices=("random", "noise", "onset"))
    silence: float = real(0.0, 1e3, 0.0)

    differentiable: ClassVar[bool] = False
    digest: ClassVar[None] = None

    def __post_init__(self) -> None:
        check_fields(self, "decoder")

    def decode(self, x: Array, keys: Array) -> Array:
        """See Decoder."""
        magnitude = self.representation.magnitude(x)
        # One key an example: the phases that a sound starts from must not depend on its neighbours in the batch.
        return jax.vmap(self._search)(magnitude, keys)

    def packed(self) -> tuple[None, dict[str, np.ndarray]]:
        """See Decoder."""
        return None, {}

    @classmethod
    def suits(cls, representation: Representation) -> bool:
        """Whether it decodes examples of this representation."""
        return not representation.keeps_phase

    def _search(self, magnitude: Array, key: Array) -> Array:
        framing, length = self.representation.framing, self.representation.num_samples
        silence = round(self.silence * self.representation.sample_rate)
        if self.phases == "random":
            phasors = random_phasors(key, magnitude.shape)
        elif self.phases == "noise":
            phasors = noise_phasors(key, framing, length)
        else:
            phasors = onset_phasors(key, framing, length, silence)
        return refine_phases(
            magnitude[None],
            phasors,
            framing=framing,
            length=length,
            iterations=self.iterations,
            momentum=self.momentum,
            silence=silence,
        )[0]


@dataclasses.dataclass(frozen=True)
class VocoderDecoder:
    """A trained vocoder, for log-mel representations.

    Attributes:
        representation: of the examples; its mean and std may differ from the vocoder's own.
        vocoder: the vocoder's parts.
        digest: `variables_digest` of its weights.
        weights: its variables; left out of comparisons, where the digest stands for them.
    """

    representation: LogMel
    vocoder: Vocoder
    digest: str
    weights: Any = dataclasses.field(compare=False, repr=False)

    differentiable: ClassVar[bool] = True

    def decode(self, x: Array, keys: Array) -> Array:
        """See Decoder; the keys are not used."""
        shown = self.representation
        check_example(shown, x)
        # Behind the barrier, XLA does not fold the weights' own constant expressions, which takes it long.
        weights = jax.lax.optimization_barrier(jax.tree.map(jnp.asarray, self.weights))
        # The vocoder was trained on recordings, which are never below the floor nor above the loudest bands.
        loudest = shown.loudest_bands[:, None, None]
        bands = jnp.clip(shown.denormalize(x), math.log10(shown.floor), loudest)
        if not shown.circular:
            return self.vocoder.render(weights, bands)
        # The vocoder hears what comes before and after, so that the end leads to the start.
        around = min(_FRAMES_AROUND, shown.num_frames)
        bands = jnp.pad(bands, ((0, 0), (0, 0), (around, around), (0, 0)), mode="wrap")
        first = around * shown.hop_length
        return self.vocoder.render(weights, bands)[:, first : first + shown.num_samples]

    def packed(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """See Decoder; parameters are in half precision."""
        fitted(flat(self.weights), shapes_of(self.vocoder))
        return {"kind": "vocoder", **section_of(self.vocoder)}, halved(flat(self.weights))


@dataclasses.dataclass(frozen=True)
class _VocoderSettings:
    """Section `decoder` of kind vocoder: the vocoder of `path`, or Griffin-Lim with these settings if it is empty."""

    path: str = text("")
    iterations: int = whole(1, 32, most=100_000)
    momentum: float = real(0.0, 1.0, 0.99)


# Decoders that a config can name; classes have `suits`, besides what Decoder asks.
DECODERS: dict[str, Any] = {"exact": Exact, "griffin_lim": GriffinLim, "vocoder": _VocoderSettings}


def build_decoder(
    section: Mapping[str, Any], representation: Representation, read: ReadVocoder = read_vocoder
) -> Decoder:
    """The decoder that section `decoder` of a config asks for.

    Args:
        section: `kind`, and the kind's settings; empty for the inverse if there is one, else Griffin-Lim.
        representation: of the examples.
        read: opens the path of a vocoder; by default a file.

    Raises:
        BadInput: the section is unfit or does not suit the representation, or the vocoder cannot be read or has
            another mel scale.
    """
    usual = "exact" if representation.keeps_phase else "griffin_lim"
    settings = dict(section) if section else {"kind": usual}
    kind = settings.get("kind")
    if kind == "vocoder":
        asked: Any = build_part(DECODERS, settings, "decoder")
        if asked.path:
            return _with_vocoder(representation, asked.path, read)
        settings = {"kind": usual, "iterations": asked.iterations, "momentum": asked.momentum}
    elif isinstance(kind, str) and kind in DECODERS and not DECODERS[kind].suits(representation):
        raise BadInput(
            f"config.decoder.kind is {shown(kind)}, which does not suit config.representation; take {shown(usual)}."
        )
    decoder: Decoder = build_part(DECODERS, settings, "decoder", representation=representation)
    return decoder


def choose_decoder(decoder: Decoder, section: Mapping[str, Any], choice: str | None, read: ReadVocoder) -> Decoder:
    """Another decoder for the same examples.

    Args:
        decoder: the present one.
        section: `decoder` of the config.
        choice: the run or file of a vocoder; empty for the decoder without one; None for the present one.
        read: opens the path of a vocoder.

    Raises:
        BadInput: the vocoder cannot be read, or has another mel scale.
    """
    if choice is None:
        return decoder
    if choice:
        return _with_vocoder(decoder.representation, choice, read)
    return build_decoder(anywhere(section), decoder.representation)


def keep_decoder(
    section: Mapping[str, Any], representation: Representation, folder: Path, read: ReadVocoder, write: bool
) -> dict[str, Any]:
    """The section of a decoder whose files lie in a run's own folder: they are copied if they do not.

    So the run sounds the same wherever it lies, whatever becomes of the original. A copy that was made of the same
    path is not made again.

    Args:
        section: `decoder` of a config.
        representation: of the examples.
        folder: the run directory.
        read: opens the path of a vocoder.
        write: whether this process writes.

    Raises:
        BadInput: the vocoder cannot be read, or has another mel scale, or the copy cannot be written.
    """
    source, copy = _vocoder_path(section), folder / VOCODER_NAME
    if not source:
        return dict(section)
    if not _is_copy(copy, source):
        try:
            trained = read(source)
            check_fits(representation, trained.vocoder, source)
        except BadInput as problem:
            raise BadInput(f"config.decoder.path cannot be used: {problem}") from problem
        if write:
            try:
                places.make(folder)
            except OSError as error:
                raise BadInput(f"{folder} cannot be made ({error.strerror}); give another --workdir.") from error
            save_vocoder(copy, trained._replace(card={**trained.card, "source": source}))
    return {**section, "path": os.fspath(copy)}


def located(section: Mapping[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The section that a run directory keeps, its own files named by where the folder lies now."""
    own = _vocoder_path(section) == VOCODER_NAME
    return {**section, "path": os.path.join(folder, VOCODER_NAME)} if own else dict(section)


def relative(section: Mapping[str, Any], folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The inverse of `located`."""
    own = _vocoder_path(section) == os.path.join(folder, VOCODER_NAME)
    return {**section, "path": VOCODER_NAME} if own else dict(section)


def anywhere(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section without paths of one machine."""
    return {**section, "path": ""} if _vocoder_path(section) else dict(section)


def unpack_decoder(
    section: Mapping[str, Any], arrays: Mapping[str, np.ndarray], representation: Representation, path: str
) -> Decoder:
    """The decoder that `packed` wrote.

    Args:
        section: from the header of a file.
        arrays: by path.
        representation: of the examples.
        path: of the file, for messages.

    Raises:
        BadInput: the kind is unknown, or section, arrays and representation do not fit each other.
    """
    # Files of the first version have vocoders only, and no kind.
    kind = section.get("kind", "vocoder")
    if kind not in UNPACKERS:
        raise BadInput(
            f"{path} has a decoder of kind {shown(kind)}; this version knows {', '.join(sorted(UNPACKERS))}."
        )
    return UNPACKERS[kind](section, arrays, representation, path)


def _unpack_vocoder(
    section: Mapping[str, Any], arrays: Mapping[str, np.ndarray], representation: Representation, path: str
) -> Decoder:
    shown = current_settings(section["representation"])
    vocoder = build_vocoder({"representation": shown, "vocoder": section["vocoder"]})
    trained = TrainedVocoder(vocoder, restored(arrays, shapes_of(vocoder)), {})
    return _with_vocoder(representation, path, lambda _: trained)


def _with_vocoder(representation: Representation, path: str, read: ReadVocoder) -> VocoderDecoder:
    try:
        trained = read(path)
        check_fits(representation, trained.vocoder, path)
    except BadInput as problem:
        raise BadInput(
            f"the vocoder {path} cannot be used; give another, or an empty name for none: {problem}"
        ) from problem
    # On no device, so that a program for any of them can hold the weights.
    weights = jax.device_get(trained.variables)
    shown: Any = representation
    return VocoderDecoder(shown, trained.vocoder, variables_digest(weights), weights)


# From the kind of a packed decoder with weights to what builds it; arguments as of `unpack_decoder`.
UNPACKERS: dict[str, Callable[..., Decoder]] = {"vocoder": _unpack_vocoder}


def _vocoder_path(section: Mapping[str, Any]) -> str:
    """The path of the vocoder that a section names; empty for none."""
    path: str = section.get("path", "") if section.get("kind") == "vocoder" else ""
    return path


def _is_copy(path: Path, source: str) -> bool:
    """Whether a file is a vocoder that was copied from a source."""
    try:
        return path.exists() and read_vocoder(path).card.get("source") == source
    except BadInput:
        return False
