"""Mel filterbanks as in librosa, and the inversion of mel bands to magnitudes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.core.errors import BadInput

Array = jax.Array


@functools.lru_cache(maxsize=16)
def mel_filterbank(
    sample_rate: int, n_fft: int, num_mels: int, fmin: float, fmax: float, htk: bool = False
) -> np.ndarray:
    """Triangular mel filters [num_mels, n_fft // 2 + 1], float32, as librosa.filters.mel.

    Args:
        sample_rate: in Hz.
        n_fft: FFT length in samples.
        num_mels: number of bands.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz.
        htk: use the HTK mel scale with triangles of height 1, instead of Slaney's with triangles of equal area.

    Raises:
        BadInput: the frequencies are out of order or range, or a band is too narrow to contain a bin.
    """
    if not 0.0 <= fmin < fmax <= sample_rate / 2:
        raise BadInput(f"fmin {fmin} and fmax {fmax} must be in order, between 0 and {sample_rate / 2} Hz.")
    to_mel, to_hz = (_hz_to_htk, _htk_to_hz) if htk else (_hz_to_slaney, _slaney_to_hz)
    lowest, highest = to_mel(np.array([fmin, fmax]))
    edges = to_hz(np.linspace(lowest, highest, num_mels + 2))
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling))
    empty = np.flatnonzero(filters.max(axis=1) <= 0.0)
    if empty.size:
        raise BadInput(
            f"{num_mels} mel bands are too many for n_fft {n_fft} at {sample_rate} Hz (band {empty[0]} has no bin);"
            " lower num_mels or raise n_fft."
        )
    if not htk:
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    filters = filters.astype(np.float32)
    filters.setflags(write=False)
    return filters


# The scale of Slaney's Auditory Toolbox: linear up to 1 kHz, then logarithmic with 27 steps per factor of 6.4.
_LINEAR_STEP = 200.0 / 3.0
_LOG_START = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def _hz_to_slaney(hz: np.ndarray) -> np.ndarray:
    above = _LOG_START / _LINEAR_STEP + np.log(np.maximum(hz, _LOG_START) / _LOG_START) / _LOG_STEP
    return np.where(hz < _LOG_START, hz / _LINEAR_STEP, above)


def _slaney_to_hz(mel: np.ndarray) -> np.ndarray:
    start = _LOG_START / _LINEAR_STEP
    return np.where(mel < start, mel * _LINEAR_STEP, _LOG_START * np.exp(_LOG_STEP * (np.maximum(mel, start) - start)))


def _hz_to_htk(hz: np.ndarray) -> np.ndarray:
    return 2595.0 * np.log10(1.0 + hz / 700.0)


def _htk_to_hz(mel: np.ndarray) -> np.ndarray:
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def mel_bands(magnitude: Array, filterbank: np.ndarray) -> Array:
    """Mel bands [..., num_mels] of magnitudes [..., bins]."""
    # Accelerators multiply with fewer bits by default.
    return jnp.matmul(magnitude, filterbank.T, precision="highest")


def mel_to_magnitude(bands: Array, filterbank: np.ndarray, iterations: int = 30) -> Array:
    """Non-negative magnitudes [..., bins] whose mel bands approximate `bands` [..., num_mels].

    Non-negative least squares by multiplicative updates (Lee and Seung 2000, eq. 4). On drum sounds, 30 updates come
    closer to the true magnitudes than the clipped pseudo-inverse, and as close as librosa's solver.

    Args:
        bands: non-negative mel bands of magnitudes.
        filterbank: filters [num_mels, bins].
        iterations: number of updates.
    """
    tiny = jnp.finfo(jnp.float32).tiny

    def back_project(bands: Array) -> Array:
        return jnp.matmul(bands, filterbank, precision="highest")

    def update(_: int, magnitude: Array) -> Array:
        return magnitude * target / (back_project(mel_bands(magnitude, filterbank)) + tiny)

    target = back_project(bands)
    return jax.lax.fori_loop(0, iterations, update, target)
