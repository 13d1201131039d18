"""The log-mel front end that VGGish was trained with (Hershey et al. 2017)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_bands
from drumgan_jax.audio.stft import Framing, frame, hann_window
from drumgan_jax.core.errors import BadInput

Array = jax.Array

SAMPLE_RATE = 16_000
NUM_BANDS = 64
HOP = 160
WINDOW = 400
N_FFT = 512
_LOWEST, _HIGHEST = 125.0, 7500.0
OFFSET = 0.01


def vggish_log_mel(waveform: Array) -> Array:
    """ln(mel band + 0.01) [batch, frames, 64] of waveforms [batch, samples] at 16 kHz.

    Frames of 25 ms every 10 ms without padding, so 15,600 samples give 96 frames; periodic Hann window; bands of
    magnitudes, not powers. Silence is log(0.01).

    Raises:
        BadInput: the waveform is shorter than a frame's 400 samples.
    """
    if waveform.shape[-1] < WINDOW:
        raise BadInput(
            f"a waveform of {waveform.shape[-1]} samples is shorter than a frame of {WINDOW} samples; pad it."
        )
    frames = frame(waveform, WINDOW, HOP) * hann_window(Framing(WINDOW, HOP))
    magnitude = jnp.abs(jnp.fft.rfft(frames, N_FFT))
    return jnp.log(mel_bands(magnitude, filterbank()) + OFFSET)


@functools.cache
def filterbank() -> np.ndarray:
    """Triangular filters of height 1 on the HTK mel scale [64, 257], linear in mel, not in Hz; 0 Hz has no weight."""
    bins = _mel(np.linspace(0.0, SAMPLE_RATE / 2, N_FFT // 2 + 1))
    edges = np.linspace(_mel(_LOWEST), _mel(_HIGHEST), NUM_BANDS + 2)
    width = edges[1] - edges[0]
    filters = np.maximum(0.0, 1.0 - np.abs(bins - edges[1:-1, None]) / width)
    filters[:, 0] = 0.0
    filters = filters.astype(np.float32)
    filters.setflags(write=False)
    return filters


def _mel(hz: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)
