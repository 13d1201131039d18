"""The front end that the short-chunk CNN was trained with: mel bands in dB (Won et al. 2020)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_bands
from drumgan_jax.audio.stft import Framing, stft

Array = jax.Array

SAMPLE_RATE = 16_000
FRAMING = Framing(n_fft=512, hop_length=256, padding="none")
SMALLEST = 1e-10
_NUM_BANDS = 128


def decibel_mel(waveform: Array) -> Array:
    """Power in mel bands in dB [batch, 128, frames], at least -100 dB, of waveforms [batch, samples] at 16 kHz.

    Centred frames of 512 samples with hop length 256 and reflect padding, as torchaudio's MelSpectrogram and
    AmplitudeToDB.
    """
    half = FRAMING.n_fft // 2
    spectra = stft(jnp.pad(waveform, ((0, 0), (half, half)), mode="reflect"), FRAMING)
    power = jnp.square(spectra.real) + jnp.square(spectra.imag)
    return 10.0 * jnp.log10(jnp.maximum(mel_bands(power, filterbank()), SMALLEST)).swapaxes(1, 2)


@functools.cache
def filterbank() -> np.ndarray:
    """Triangular filters of height 1 on the HTK mel scale [128, 257], from 0 Hz to Nyquist.

    Some low bands fall between two bins and are empty, as in the network's training; `audio.mel` rejects such filters.
    """
    edges = 700.0 * (10.0 ** (np.linspace(0.0, 2595.0 * np.log10(1.0 + 8000.0 / 700.0), _NUM_BANDS + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, SAMPLE_RATE / 2, FRAMING.num_bins)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    filters.setflags(write=False)
    return filters
