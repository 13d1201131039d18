"""The five representations of a waveform as network input; systems.decoders has the inverses.

All are parts.Representation: frozen and hashable, with pure float32 functions that can be used inside jit. The module
functions `transform` and `encode` are the methods of the same names, compiled once per representation and batch shape.
"""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import jax

from drumgan_jax.audio.spectrograms import Complex, LogMagnitude, LogMel, LogPower, check_example, check_waveform
from drumgan_jax.core import parts
from drumgan_jax.core.settings import MOST_RATE, MOST_SAMPLES, build_part, check_fields, whole

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waveform:
    """The waveform itself [1, num_samples, 1], neither scaled nor clipped (style_drumsynth).

    Attributes:
        sample_rate: in Hz.
        num_samples: length of an example.
    """

    sample_rate: int = whole(1, most=MOST_RATE)
    num_samples: int = whole(1, most=MOST_SAMPLES)

    keeps_phase: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_fields(self, "representation")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(1, num_samples, 1)."""
        return 1, self.num_samples, 1

    @property
    def normalization_shape(self) -> tuple[int, int, int]:
        """(1, 1, 1)."""
        return 1, 1, 1

    def with_normalization(self, mean: Any, std: Any) -> Self:
        """The representation itself, as it uses no statistics."""
        return self

    def transform(self, waveform: Array) -> Array:
        """Reshape waveforms [batch, samples] to [batch, 1, samples, 1]."""
        check_waveform(self, waveform)
        return waveform[:, None, :, None]

    def normalize(self, coefficients: Array) -> Array:
        """Return the coefficients unchanged."""
        return coefficients

    def encode(self, waveform: Array) -> Array:
        """Reshape waveforms [batch, samples] to [batch, 1, samples, 1]."""
        return self.transform(waveform)

    def invert(self, x: Array) -> Array:
        """Reshape x [batch, 1, samples, 1] to waveforms [batch, samples]."""
        check_example(self, x)
        return x[:, 0, :, 0]


REPRESENTATIONS: dict[str, type[parts.Representation]] = {
    "waveform": Waveform,
    "log_magnitude": LogMagnitude,
    "log_power": LogPower,
    "complex": Complex,
    "log_mel": LogMel,
}


# Fields of this section in older files, before the decoder had its own section.
_FORMER = ("griffin_lim_iterations", "griffin_lim_momentum", "vocoder")


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the section of a file of any version to the form that `build_representation` takes."""
    return {name: value for name, value in settings.items() if name not in _FORMER}


def build_representation(settings: Mapping[str, Any]) -> parts.Representation:
    """Build the representation of a config section, which has `kind` and the fields of its class.

    Raises:
        BadInput: the kind, a field or a value cannot be used.
    """
    return build_part(REPRESENTATIONS, settings, "representation")


def settings_of(representation: parts.Representation) -> dict[str, Any]:
    """The section that rebuilds a representation, with its mean and std; JSON-serialisable."""
    kind, part = next(one for one in REPRESENTATIONS.items() if isinstance(representation, one[1]))
    names = [f.name for f in dataclasses.fields(part)]  # type: ignore[arg-type]
    return {"kind": kind, **{name: _as_lists(getattr(representation, name)) for name in names}}


def differences(a: parts.Representation, b: parts.Representation, seen: bool = False) -> list[str]:
    """Settings in which two representations differ, as "name: value against value".

    Settings that do not affect a data set are ignored: the statistics and, unless `seen`, the compression and phase
    reference of complex spectra.
    """
    first, second = settings_of(a), settings_of(b)
    aside = {"mean", "std"} | (set() if seen else {"compression", "centred"})
    names = [name for name in {**first, **second} if name not in aside]
    if first["kind"] != second["kind"]:
        names = ["kind"]
    return [f"{name}: {first[name]} against {second[name]}" for name in names if first[name] != second[name]]


@functools.partial(jax.jit, static_argnums=0)
def transform(representation: parts.Representation, waveform: Array) -> Array:
    """`representation.transform`, compiled: waveforms [batch, samples] to features [batch, freq, time, channels]."""
    return representation.transform(waveform)


@functools.partial(jax.jit, static_argnums=0)
def encode(representation: parts.Representation, waveform: Array) -> Array:
    """`representation.encode`, compiled: waveforms [batch, samples] to x [batch, freq, time, channels]."""
    return representation.encode(waveform)


def _as_lists(value: Any) -> Any:
    return [_as_lists(item) for item in value] if isinstance(value, tuple) else value
