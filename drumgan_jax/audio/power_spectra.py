"""Power spectra of recordings of any length, in NumPy and block by block, for what analyses them: onsets, beats."""

from collections.abc import Iterator

import numpy as np

from drumgan_jax.audio.mel import mel_filterbank
from drumgan_jax.audio.stft import Framing, hann_window

# A block's spectra take 4 MB; those of a whole minute would take 100.
_BLOCK = 1024


def power_spectra(samples: np.ndarray, n_fft: int, hop: int) -> Iterator[np.ndarray]:
    """Yield power spectra [frames, n_fft // 2 + 1] of successive frames of samples [samples] float32.

    Frame t is centred on sample t * hop, with zeros around the recording; there are 1 + samples // hop frames.
    """
    window = hann_window(Framing(n_fft, hop))
    for first in range(0, 1 + len(samples) // hop, _BLOCK):
        last = min(first + _BLOCK, 1 + len(samples) // hop)
        start, end = first * hop - n_fft // 2, (last - 1) * hop + n_fft // 2
        block = np.pad(samples[max(start, 0) : end], (max(-start, 0), max(end - len(samples), 0)))
        frames = np.lib.stride_tricks.sliding_window_view(block, n_fft)[::hop]
        yield np.square(np.abs(np.fft.rfft(frames * window)))


def mel_rises(
    samples: np.ndarray, sample_rate: int, n_fft: int, hop: int, num_mels: int, range_db: float
) -> np.ndarray:
    """Rise of mel bands from frame to frame, in dB within `range_db` of the loudest: [frames, num_mels]."""
    filters = mel_filterbank(sample_rate, n_fft, num_mels, 30.0, sample_rate / 2).T
    power = np.concatenate([block @ filters for block in power_spectra(samples, n_fft, hop)])
    floor = max(10 ** (-range_db / 10) * float(power.max()), float(np.finfo(np.float32).tiny))
    level = 10.0 * np.log10(np.maximum(power, floor))
    return np.maximum(np.diff(level, axis=0, prepend=level[:1]), 0.0)
