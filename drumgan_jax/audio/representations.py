"""The five ways to write a waveform as the array a network sees, each with its inverse.

All are parts.Representation: frozen, hashable, float32 pure functions usable inside jit. The module functions
`coefficients`, `encode` and `decode` are the same methods, compiled once per representation and batch shape.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import jax

from drumgan_jax.audio.spectrograms import Complex, LogMagnitude, LogMel, LogPower, check_example, check_waveform
from drumgan_jax.audio.stft import require_positive_integer
from drumgan_jax.core import parts
from drumgan_jax.core.settings import build_part

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waveform:
    """The waveform itself [1, num_samples, 1], neither scaled nor clipped (style_drumsynth).

    Attributes:
        sample_rate: in Hz.
        num_samples: length of an example.
    """

    sample_rate: int
    num_samples: int

    keeps_phase: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("sample_rate", "num_samples"):
            require_positive_integer(f"representation.{name}", getattr(self, name))

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, num_samples, 1)."""
        return 1, self.num_samples, 1

    @property
    def normalization_shape(self) -> tuple[int, int, int]:
        """(1, 1, 1)."""
        return 1, 1, 1

    def with_normalization(self, mean: Any, std: Any) -> Self:
        """The representation itself: it has no use for statistics."""
        return self

    def transform(self, waveform: Array) -> Array:
        """The waveform [batch, 1, samples, 1] of [batch, samples]."""
        check_waveform(self, waveform)
        return waveform[:, None, :, None]

    def normalize(self, coefficients: Array) -> Array:
        """The coefficients as they are."""
        return coefficients

    def encode(self, waveform: Array) -> Array:
        """The waveform [batch, 1, samples, 1] of [batch, samples]."""
        return self.transform(waveform)

    def decode(self, x: Array, key: Array) -> Array:
        """Waveforms [batch, samples] of x [batch, 1, samples, 1]; the key is not needed."""
        check_example(self, x)
        return x[:, 0, :, 0]


REPRESENTATIONS: dict[str, type[parts.Representation]] = {
    "waveform": Waveform,
    "log_magnitude": LogMagnitude,
    "log_power": LogPower,
    "complex": Complex,
    "log_mel": LogMel,
}


def build_representation(settings: Mapping[str, Any]) -> parts.Representation:
    """The representation of a config section: `kind` and the class's fields.

    Raises:
        BadInput: the kind, a field or a value cannot be used.
    """
    return build_part(REPRESENTATIONS, settings, "representation")


def settings_of(representation: parts.Representation) -> dict[str, Any]:
    """The section that builds the representation again, statistics included; can be written as JSON."""
    # A representation may be of a class that was made of its kind's, with another way to decode.
    kind, part = next(one for one in REPRESENTATIONS.items() if isinstance(representation, one[1]))
    names = [f.name for f in dataclasses.fields(part)]  # type: ignore[arg-type]
    return {"kind": kind, **{name: _as_lists(getattr(representation, name)) for name in names}}


def differences(a: parts.Representation, b: parts.Representation, seen: bool = False) -> list[str]:
    """Settings in which two representations differ, as "name: value against value".

    Left aside is what does not change what a data set holds: statistics, how sounds are made in decoding, and how the
    networks see complex numbers; the last is not where `seen` is asked for.
    """
    first, second = settings_of(a), settings_of(b)
    aside = {"mean", "std", "griffin_lim_iterations", "griffin_lim_momentum", "vocoder"}
    aside |= set() if seen else {"compression", "centred"}
    names = [name for name in {**first, **second} if name not in aside]
    if first["kind"] != second["kind"]:
        names = ["kind"]
    return [f"{name}: {first[name]} against {second[name]}" for name in names if first[name] != second[name]]


@functools.partial(jax.jit, static_argnums=0)
def transform(representation: parts.Representation, waveform: Array) -> Array:
    """`representation.transform`, compiled: [batch, freq, time, channels] of waveforms [batch, samples]."""
    return representation.transform(waveform)


@functools.partial(jax.jit, static_argnums=0)
def encode(representation: parts.Representation, waveform: Array) -> Array:
    """`representation.encode`, compiled: x [batch, freq, time, channels] of waveforms [batch, samples]."""
    return representation.encode(waveform)


@functools.partial(jax.jit, static_argnums=0)
def decode(representation: parts.Representation, x: Array, key: Array) -> Array:
    """`representation.decode`, compiled: waveforms [batch, samples] of x [batch, freq, time, channels]."""
    return representation.decode(x, key)


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, tuple) else value
