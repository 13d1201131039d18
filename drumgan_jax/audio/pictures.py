"""Images of spectrogram grids."""

import math
import os

import numpy as np

from drumgan_jax.core.atomic import replacing

# Levels this far below a sound's loudest point are drawn black.
RANGE_DB = 80.0
_SIZE = (128, 192)  # Pixels of one cell: frequency, time.
_GAP = 4


def save_grid(path: str | os.PathLike[str], waveforms: np.ndarray, columns: int | None = None) -> None:
    """Write the spectrograms of several sounds as one image, atomically; low frequencies are at the bottom.

    Drawn from waveforms, so that images are comparable between representations.

    Args:
        path: path of the image; its extension sets the format, such as `.png`.
        waveforms: [sounds, samples].
        columns: cells in a row; None for a nearly square grid.
    """
    save_picture(path, spectrogram_grid(waveforms, columns))


def save_picture(path: str | os.PathLike[str], picture: np.ndarray) -> None:
    """Write RGB bytes [height, width, 3] as an image, atomically; the path's extension sets the format."""
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary)


def spectrogram_grid(waveforms: np.ndarray, columns: int | None = None) -> np.ndarray:
    """The image of `save_grid` as RGB bytes [height, width, 3]."""
    waveforms = np.atleast_2d(np.asarray(waveforms, np.float32))
    columns = columns or math.ceil(math.sqrt(len(waveforms)))
    rows = math.ceil(len(waveforms) / columns)
    height, width = _SIZE
    grid = np.full((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, 3), 255, np.uint8)
    for item, waveform in enumerate(waveforms):
        top, left = (item // columns) * (height + _GAP), (item % columns) * (width + _GAP)
        grid[top : top + height, left : left + width] = _colour(_cell(waveform))
    return grid


def _cell(waveform: np.ndarray) -> np.ndarray:
    """Levels [freq, time] from 0 (RANGE_DB below the loudest point) to 1, high frequencies first."""
    height, width = _SIZE
    n_fft = 4 * height
    padded = np.pad(np.nan_to_num(waveform), n_fft // 2)
    starts = np.linspace(0, len(padded) - n_fft, width).astype(int)
    frames = padded[starts[:, None] + np.arange(n_fft)] * np.hanning(n_fft)
    power = np.square(np.abs(np.fft.rfft(frames)))[:, 1:].reshape(width, height, -1).mean(-1)
    decibels = 10.0 * np.log10(np.maximum(power, 1e-12))
    level = np.clip((decibels - decibels.max()) / RANGE_DB + 1.0, 0.0, 1.0)
    return level.T[::-1] if np.any(waveform) else np.zeros((height, width))


def _colour(level: np.ndarray) -> np.ndarray:
    from matplotlib import colormaps

    return colormaps["magma"](level, bytes=True)[..., :3]
