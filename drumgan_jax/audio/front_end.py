"""Front ends of classifiers: normalised log-mel bands of waveforms."""

import abc
import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_bands, mel_filterbank
from drumgan_jax.audio.spectrograms import LogMel
from drumgan_jax.audio.stft import Framing, hann_window, stft
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import MOST_FEATURES, MOST_RATE, MOST_SAMPLES, check_fields, real, whole

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEnd(abc.ABC):
    """Base of the front ends: log-mel bands, minus `mean`, divided by `std`; hashable, pure jnp in float32.

    The level is kept: a sound at half the amplitude has bands 6 dB lower. Bands are clipped from below at a floor, so
    silence is defined.

    Attributes:
        sample_rate: sample rate of the waveform, in Hz.
        num_samples: length of the waveform in samples.
        n_fft: FFT length in samples.
        hop_length: hop length in samples.
        num_mels: number of bands, on Slaney's scale with equal areas.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz; None for half the sample rate.
        mean: level that is mapped to 0, in the front end's own unit.
        std: difference that is mapped to 1, in the same unit.
    """

    sample_rate: int = whole(1, most=MOST_RATE)
    num_samples: int = whole(1, most=MOST_SAMPLES)
    n_fft: int = whole(1, most=MOST_SAMPLES)
    hop_length: int = whole(1, most=MOST_SAMPLES)
    num_mels: int = whole(1, most=MOST_FEATURES)
    fmin: float
    fmax: float | None = real(0.0, MOST_RATE, None, above=True)
    mean: float = real(-math.inf, math.inf)
    std: float = real(0.0, math.inf, above=True)

    def __post_init__(self) -> None:
        check_fields(self, "front_end")

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Shape of one example: (mel, frames, 1)."""

    @property
    @abc.abstractmethod
    def framing(self) -> Framing:
        """How the waveform is cut into frames."""

    @property
    @abc.abstractmethod
    def silence(self) -> float:
        """Normalised band value of silence, which is the lowest value."""

    @property
    @abc.abstractmethod
    def decibels(self) -> float:
        """Level difference in dB that corresponds to 1 in normalised bands."""

    @abc.abstractmethod
    def __call__(self, waveform: Array) -> Array:
        """Normalised bands [batch, mel, frames, 1] of waveforms [batch, num_samples] in [-1, 1].

        Raises:
            BadInput: the waveforms have another length.
        """

    @property
    def frequencies(self) -> np.ndarray:
        """Frequency at each band's largest weight [mel] in Hz, float32."""
        return (self.filters.argmax(axis=1) * (self.sample_rate / self.n_fft)).astype(np.float32)

    @property
    def filters(self) -> np.ndarray:
        """Weights of the FFT bins in each band [mel, n_fft // 2 + 1]."""
        fmax = self.sample_rate / 2 if self.fmax is None else self.fmax
        return mel_filterbank(self.sample_rate, self.n_fft, self.num_mels, self.fmin, fmax)

    def _require_length(self, waveform: Array) -> None:
        if waveform.ndim != 2 or waveform.shape[1] != self.num_samples:
            raise BadInput(f"waveforms are {waveform.shape}; the front end takes [batch, {self.num_samples}].")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MelFrontEnd(FrontEnd):
    """Mel bands of power in dB; frames have zeros beyond both ends of the waveform.

    Attributes:
        floor_db: lowest level of a band; 0 dB is the power of a full-scale sine in a band of 1 Hz.
    """

    n_fft: int = whole(1, 2048, most=MOST_SAMPLES)
    hop_length: int = whole(1, 512, most=MOST_SAMPLES)
    num_mels: int = whole(1, 128, most=MOST_FEATURES)
    fmin: float = real(0.0, MOST_RATE, 20.0)
    floor_db: float = real(-math.inf, math.inf, -110.0)
    mean: float = real(-math.inf, math.inf, -90.0)
    std: float = real(0.0, math.inf, 20.0, above=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.framing, self.filters

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one example: (mel, frames, 1)."""
        return self.num_mels, self.framing.num_frames(self.num_samples), 1

    @property
    def silence(self) -> float:
        """Normalised band value of silence, which is the lowest value."""
        return (self.floor_db - self.mean) / self.std

    @property
    def decibels(self) -> float:
        """Level difference in dB that corresponds to 1 in normalised bands."""
        return self.std

    @property
    def framing(self) -> Framing:
        """Centred frames under a window as long as the transform."""
        return Framing(self.n_fft, self.hop_length)

    @property
    def gain(self) -> float:
        """Factor for powers that gives a full-scale sine a power of 1."""
        return 4.0 / float(hann_window(self.framing).sum()) ** 2

    def __call__(self, waveform: Array) -> Array:
        """Normalised bands [batch, mel, frames, 1] of waveforms [batch, num_samples] in [-1, 1].

        Raises:
            BadInput: the waveforms have another length.
        """
        self._require_length(waveform)
        spectrum = stft(waveform, self.framing)
        power = jnp.square(jnp.real(spectrum)) + jnp.square(jnp.imag(spectrum))
        bands = mel_bands(power * self.gain, self.filters)
        level = 10.0 * jnp.log10(jnp.maximum(bands, 10.0 ** (self.floor_db / 10.0)))
        return (jnp.swapaxes(level, 1, 2)[..., None] - self.mean) / self.std


class _FrontEndBands(LogMel):
    """The bands of a LogMelFrontEnd; its settings have the same names but another config section, for messages."""

    section: ClassVar[str] = "front_end"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMelFrontEnd(FrontEnd):
    """The features of a LogMel representation: log10 of mel bands of magnitudes.

    With the settings of a generator's representation, a classifier sees the features that the generator writes. One
    mean and one deviation are used for all bands, which keeps the balance between bands.

    Attributes:
        win_length: length of the Hann window in samples; None for n_fft.
        circular: whether frames see around a waveform's ends, as of loops, rather than its mirror image.
        floor: band magnitudes are clipped from below at this value.
    """

    fmin: float = real(0.0, MOST_RATE, 0.0)
    win_length: int | None = whole(1, None, most=MOST_SAMPLES)
    circular: bool = False
    floor: float = real(0.0, math.inf, 1e-5, above=True)
    mean: float = real(-math.inf, math.inf, -2.0)
    std: float = real(0.0, math.inf, 1.0, above=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_samples % self.hop_length:
            raise BadInput(
                f"config.front_end.num_samples is {self.num_samples}; it must be a multiple of hop_length"
                f" {self.hop_length}."
            )
        _ = self.representation

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one example: (mel, frames, 1)."""
        return self.representation.shape

    @property
    def silence(self) -> float:
        """Normalised band value of silence, which is the lowest value."""
        return (math.log10(self.floor) - self.mean) / self.std

    @property
    def decibels(self) -> float:
        """Level difference in dB that corresponds to 1 in normalised bands."""
        return 20.0 * self.std

    @property
    def framing(self) -> Framing:
        """Framing of the representation: a frame every hop_length samples."""
        return self.representation.framing

    @property
    def representation(self) -> LogMel:
        """The representation with these features, without statistics."""
        return _FrontEndBands(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            num_frames=self.num_samples // self.hop_length,
            win_length=self.win_length,
            circular=self.circular,
            num_mels=self.num_mels,
            fmin=self.fmin,
            fmax=self.fmax,
            floor=self.floor,
        )

    def __call__(self, waveform: Array) -> Array:
        """Normalised bands [batch, mel, frames, 1] of waveforms [batch, num_samples] in [-1, 1].

        Raises:
            BadInput: the waveforms have another length.
        """
        self._require_length(waveform)
        return (self.representation.transform(waveform) - self.mean) / self.std


# Keyed by the `kind` of a config's section.
FRONT_ENDS: dict[str, type[FrontEnd]] = {"mel": MelFrontEnd, "log_mel": LogMelFrontEnd}


def settings_of(front_end: FrontEnd) -> dict[str, Any]:
    """The section that rebuilds a front end; JSON-serialisable."""
    kind = next(kind for kind, part in FRONT_ENDS.items() if part is type(front_end))
    return {"kind": kind, **dataclasses.asdict(front_end)}
