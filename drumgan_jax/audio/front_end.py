"""What a classifier hears: waveforms as normalised log-mel bands."""

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
from drumgan_jax.core.settings import check_fields, real, whole

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrontEnd(abc.ABC):
    """What the front ends share: logarithms of mel bands, less `mean`, over `std`; hashable, pure jnp in float32.

    The level is kept: a sound at half the amplitude has bands 6 dB lower. What is below a floor counts as it, so
    silence is defined.

    Attributes:
        sample_rate: of the waveform, in Hz.
        num_samples: length of the waveform.
        n_fft: transform length in samples.
        hop_length: samples from one frame to the next.
        num_mels: bands of Slaney's scale with equal areas.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz; None for half the sample rate.
        mean: level that becomes 0, in the front end's own unit.
        std: units that become 1.
    """

    sample_rate: int = whole(1)
    num_samples: int = whole(1)
    n_fft: int = whole(1)
    hop_length: int = whole(1)
    num_mels: int = whole(1)
    fmin: float
    fmax: float | None = None
    mean: float = real(-math.inf, math.inf)
    std: float = real(0.0, math.inf, above=True)

    def __post_init__(self) -> None:
        check_fields(self, "front_end")

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Of one example: (mel, frames, 1)."""

    @property
    @abc.abstractmethod
    def framing(self) -> Framing:
        """How the waveform is cut into frames."""

    @property
    @abc.abstractmethod
    def silence(self) -> float:
        """The lowest value of a band after normalisation, which is that of silence."""

    @property
    @abc.abstractmethod
    def decibels(self) -> float:
        """What a normalised band that is higher by 1 is louder by, in dB."""

    @abc.abstractmethod
    def __call__(self, waveform: Array) -> Array:
        """Normalised bands [batch, mel, frames, 1] of waveforms [batch, num_samples] within [-1, 1].

        Raises:
            BadInput: the waveforms have another length.
        """

    @property
    def frequencies(self) -> np.ndarray:
        """Frequency of each band's greatest weight [mel] in Hz, float32."""
        return (self.filters.argmax(axis=1) * (self.sample_rate / self.n_fft)).astype(np.float32)

    @property
    def filters(self) -> np.ndarray:
        """Weights of the transform's bins in each band [mel, n_fft // 2 + 1]."""
        fmax = self.sample_rate / 2 if self.fmax is None else self.fmax
        return mel_filterbank(self.sample_rate, self.n_fft, self.num_mels, self.fmin, fmax)

    def _require_length(self, waveform: Array) -> None:
        if waveform.ndim != 2 or waveform.shape[1] != self.num_samples:
            raise BadInput(f"waveforms are {waveform.shape}; the front end takes [batch, {self.num_samples}].")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MelFrontEnd(FrontEnd):
    """Mel bands of power in dB, of frames with zeros beyond both ends of the waveform.

    Attributes:
        floor_db: lowest level of a band; 0 dB is the power of a full-scale sine in a band of 1 Hz.
    """

    n_fft: int = whole(1, 2048)
    hop_length: int = whole(1, 512)
    num_mels: int = whole(1, 128)
    fmin: float = 20.0
    floor_db: float = real(-math.inf, math.inf, -110.0)
    mean: float = real(-math.inf, math.inf, -90.0)
    std: float = real(0.0, math.inf, 20.0, above=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.framing, self.filters

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one example: (mel, frames, 1)."""
        return self.num_mels, self.framing.num_frames(self.num_samples), 1

    @property
    def silence(self) -> float:
        """The lowest value of a band after normalisation, which is that of silence."""
        return (self.floor_db - self.mean) / self.std

    @property
    def decibels(self) -> float:
        """What a normalised band that is higher by 1 is louder by, in dB."""
        return self.std

    @property
    def framing(self) -> Framing:
        """Centred frames under a window as long as the transform."""
        return Framing(self.n_fft, self.hop_length)

    @property
    def gain(self) -> float:
        """What powers are multiplied by, so that a full-scale sine has 1."""
        return 4.0 / float(hann_window(self.framing).sum()) ** 2

    def __call__(self, waveform: Array) -> Array:
        """Normalised bands [batch, mel, frames, 1] of waveforms [batch, num_samples] within [-1, 1].

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
    """The bands of a LogMelFrontEnd, whose settings have the same names but stand in another section of a config."""

    section: ClassVar[str] = "front_end"


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMelFrontEnd(FrontEnd):
    """The features of a LogMel representation: log10 of mel bands of magnitudes, the waveform mirrored at its ends.

    Given the settings of a generator's representation, a classifier hears just what the generator writes. There is one
    mean and one deviation for all bands, so that the balance of the bands is heard too.

    Attributes:
        win_length: Hann window in samples; None for n_fft.
        floor: band magnitudes below this count as it.
    """

    fmin: float = 0.0
    win_length: int | None = None
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
        """Of one example: (mel, frames, 1)."""
        return self.representation.shape

    @property
    def silence(self) -> float:
        """The lowest value of a band after normalisation, which is that of silence."""
        return (math.log10(self.floor) - self.mean) / self.std

    @property
    def decibels(self) -> float:
        """What a normalised band that is higher by 1 is louder by, in dB."""
        return 20.0 * self.std

    @property
    def framing(self) -> Framing:
        """The representation's: frames every hop_length samples, the waveform mirrored beyond both ends."""
        return self.representation.framing

    @property
    def representation(self) -> LogMel:
        """The representation, without statistics, whose features these are."""
        return _FrontEndBands(
            sample_rate=self.sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            num_frames=self.num_samples // self.hop_length,
            win_length=self.win_length,
            num_mels=self.num_mels,
            fmin=self.fmin,
            fmax=self.fmax,
            floor=self.floor,
        )

    def __call__(self, waveform: Array) -> Array:
        """Normalised bands [batch, mel, frames, 1] of waveforms [batch, num_samples] within [-1, 1].

        Raises:
            BadInput: the waveforms have another length.
        """
        self._require_length(waveform)
        return (self.representation.transform(waveform) - self.mean) / self.std


# By the `kind` of a config's section.
FRONT_ENDS: dict[str, type[FrontEnd]] = {"mel": MelFrontEnd, "log_mel": LogMelFrontEnd}


def settings_of(front_end: FrontEnd) -> dict[str, Any]:
    """The section that builds the front end again; can be written as JSON."""
    kind = next(kind for kind, part in FRONT_ENDS.items() if part is type(front_end))
    return {"kind": kind, **dataclasses.asdict(front_end)}
