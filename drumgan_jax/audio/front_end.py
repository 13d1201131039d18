"""What a classifier hears: waveforms as normalised log-mel bands."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_bands, mel_filterbank
from drumgan_jax.audio.stft import Framing, hann_window, require_positive_integer, stft
from drumgan_jax.errors import BadInput

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class MelFrontEnd:
    """Log-mel bands in dB, less `mean`, over `std`; frozen and hashable, pure jnp in float32.

    The level is kept: a sound at half the amplitude has bands 6 dB lower. What is below `floor_db` counts as it, so
    silence is defined.

    Attributes:
        sample_rate: of the waveform, in Hz.
        num_samples: length of the waveform.
        n_fft: transform and window length in samples.
        hop_length: samples from one frame to the next.
        num_mels: bands of Slaney's scale with equal areas.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz; None for half the sample rate.
        floor_db: lowest level of a band; 0 dB is the power of a full-scale sine in a band of 1 Hz.
        mean: level in dB that becomes 0.
        std: dB that become 1.
    """

    sample_rate: int
    num_samples: int
    n_fft: int = 2048
    hop_length: int = 512
    num_mels: int = 128
    fmin: float = 20.0
    fmax: float | None = None
    floor_db: float = -110.0
    mean: float = -90.0
    std: float = 20.0

    def __post_init__(self) -> None:
        for name in ("sample_rate", "num_samples", "num_mels"):
            require_positive_integer(f"front_end.{name}", getattr(self, name))
        for name in ("floor_db", "mean", "std"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise BadInput(f"front_end.{name} is {value!r}; it must be a number of dB.")
        if not self.std > 0.0:
            raise BadInput(f"front_end.std is {self.std!r}; it must be above 0 dB.")
        _ = self._framing, self._filters

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one example: (mel, frames, 1)."""
        return self.num_mels, self._framing.num_frames(self.num_samples), 1

    @property
    def floor(self) -> float:
        """The lowest value of a band after normalisation, which is that of silence."""
        return (self.floor_db - self.mean) / self.std

    @property
    def frequencies(self) -> np.ndarray:
        """Frequency of each band's greatest weight [mel] in Hz, float32."""
        return (self._filters.argmax(axis=1) * (self.sample_rate / self.n_fft)).astype(np.float32)

    def __call__(self, waveform: Array) -> Array:
        """Normalised bands [batch, mel, frames, 1] of waveforms [batch, num_samples] within [-1, 1].

        Raises:
            BadInput: the waveforms have another length.
        """
        if waveform.ndim != 2 or waveform.shape[1] != self.num_samples:
            raise BadInput(f"waveforms are {waveform.shape}; the front end takes [batch, {self.num_samples}].")
        spectrum = stft(waveform, self._framing)
        power = jnp.square(jnp.real(spectrum)) + jnp.square(jnp.imag(spectrum))
        # So that a full-scale sine has a power of 1.
        scale = 4.0 / float(hann_window(self._framing).sum()) ** 2
        level = 10.0 * jnp.log10(jnp.maximum(mel_bands(power * scale, self._filters), 10.0 ** (self.floor_db / 10.0)))
        return (jnp.swapaxes(level, 1, 2)[..., None] - self.mean) / self.std

    @property
    def _framing(self) -> Framing:
        return Framing(self.n_fft, self.hop_length)

    @property
    def _filters(self) -> np.ndarray:
        fmax = self.sample_rate / 2 if self.fmax is None else self.fmax
        return mel_filterbank(self.sample_rate, self.n_fft, self.num_mels, self.fmin, fmax)
