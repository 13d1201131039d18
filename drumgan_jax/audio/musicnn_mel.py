"""The front end that musicnn was trained with (Pons and Serra 2019)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_bands, mel_filterbank
from drumgan_jax.audio.stft import Framing, stft

Array = jax.Array

SAMPLE_RATE = 16_000
FRAMING = Framing(n_fft=512, hop_length=256, padding="none")
NUM_BANDS = 96
GAIN = 10_000.0


def musicnn_log_mel(waveform: Array) -> Array:
    """log10(1 + 10,000 p) of powers p in mel bands [batch, 96, frames], of waveforms [batch, samples] at 16 kHz.

    Frames of 512 samples every 256; the first is centred on the first sample, by reflection, as in librosa, and the
    last ends at the last sample, so 187 * 256 samples give 187 frames. The authors' code rounds powers to float16, and
    10,000 times a power above 6.5 is infinite there; here everything is float32.
    """
    half = FRAMING.n_fft // 2
    spectra = stft(jnp.pad(waveform, ((0, 0), (half, 0)), mode="reflect"), FRAMING)
    power = jnp.square(spectra.real) + jnp.square(spectra.imag)
    return jnp.log10(1.0 + GAIN * mel_bands(power, filterbank())).swapaxes(1, 2)


@functools.cache
def filterbank() -> np.ndarray:
    """Triangular filters of equal area on Slaney's mel scale [96, 257], from 0 Hz to Nyquist."""
    return mel_filterbank(SAMPLE_RATE, FRAMING.n_fft, NUM_BANDS, 0.0, SAMPLE_RATE / 2)
