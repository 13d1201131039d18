"""Short-time Fourier transform and its inverse, batched, in float32, with librosa's conventions.

Spectra are [batch, frames, bins], the memory order of the transform; librosa's are transposed.
"""

import dataclasses
import functools
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import check_fields, text, whole

Array = jax.Array

# From the name of a padding to the mode of `jnp.pad`.
_PAD_MODES = {"zero": "constant", "reflect": "reflect", "circular": "wrap", "none": "constant"}


@dataclasses.dataclass(frozen=True)
class Framing:
    """Settings for cutting a waveform into windowed frames; static and hashable.

    Attributes:
        n_fft: FFT length in samples.
        hop_length: samples between the starts of successive frames; need not divide `n_fft`.
        win_length: length of the periodic Hann window, centred in the frame; None means `n_fft`.
        padding: "zero" adds `n_fft // 2` zeros at both ends, so frame t is centred on sample t * hop_length (librosa's
            `center=True`); "reflect" adds `n_fft - hop_length` mirrored samples in total, so there are exactly
            samples / hop_length frames; "circular" adds as many of the other end, for loops of whole hops; "none" adds
            nothing.
    """

    n_fft: int = whole(1)
    hop_length: int = whole(1)
    win_length: int | None = whole(1, None)
    padding: Literal["zero", "reflect", "circular", "none"] = text("zero", choices=tuple(_PAD_MODES))

    def __post_init__(self) -> None:
        check_fields(self, "")
        if self.win_length is not None and self.win_length > self.n_fft:
            raise BadInput(f"win_length {self.win_length} must not be above n_fft {self.n_fft}.")
        if self.hop_length > self.window_samples:
            raise BadInput(
                f"hop_length {self.hop_length} is above the window length of {self.window_samples} samples, which"
                " leaves gaps between frames; choose a smaller hop_length."
            )

    @property
    def window_samples(self) -> int:
        """Window length in samples, without zero padding."""
        return self.n_fft if self.win_length is None else self.win_length

    @property
    def num_bins(self) -> int:
        """Number of frequency bins, from 0 Hz to Nyquist."""
        return self.n_fft // 2 + 1

    @property
    def pad(self) -> tuple[int, int]:
        """Samples added before and after a waveform."""
        if self.padding == "zero":
            return self.n_fft // 2, self.n_fft // 2
        if self.padding in ("reflect", "circular"):
            total = self.n_fft - self.hop_length
            return total // 2, total - total // 2
        return 0, 0

    def num_frames(self, num_samples: int) -> int:
        """Number of frames of a waveform with `num_samples` samples."""
        return 1 + (num_samples + sum(self.pad) - self.n_fft) // self.hop_length


@functools.lru_cache(maxsize=32)
def hann_window(framing: Framing) -> np.ndarray:
    """Periodic Hann window [n_fft] float32, zero-padded on both sides to `n_fft`."""
    size = framing.window_samples
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    before = (framing.n_fft - size) // 2
    return np.pad(window, (before, framing.n_fft - size - before)).astype(np.float32)


def frame(padded: Array, frame_length: int, hop_length: int) -> Array:
    """Overlapping frames [batch, frames, frame_length] of signals [batch, samples]; drops an incomplete last frame."""
    count = 1 + (padded.shape[-1] - frame_length) // hop_length
    # Concatenates slices of whole hops. A gather is as fast forwards, but its gradient is a slow scatter.
    overlap = -(-frame_length // hop_length)
    rows = count + overlap - 1
    missing = rows * hop_length - padded.shape[-1]
    padded = jnp.pad(padded, ((0, 0), (0, max(missing, 0))))[:, : rows * hop_length]
    hops = padded.reshape(padded.shape[0], rows, hop_length)
    pieces = [hops[:, k : k + count] for k in range(overlap)]
    pieces[-1] = pieces[-1][:, :, : frame_length - (overlap - 1) * hop_length]
    return jnp.concatenate(pieces, axis=-1)


def overlap_add(frames: Array, hop_length: int) -> Array:
    """Overlap-add frames [batch, frames, frame_length], `hop_length` samples apart, to [batch, samples]."""
    batch, count, length = frames.shape
    overlap = -(-length // hop_length)
    shifted = []
    for k in range(overlap):
        # One slice per hop of a frame instead of a reshape, which would put divisions into XLA's loop indexing.
        piece = frames[:, :, k * hop_length : (k + 1) * hop_length]
        shifted.append(jnp.pad(piece, ((0, 0), (k, overlap - 1 - k), (0, hop_length - piece.shape[-1]))))
    rows = functools.reduce(jnp.add, shifted)
    return rows.reshape(batch, -1)[:, : (count - 1) * hop_length + length]


def stft(waveform: Array, framing: Framing) -> Array:
    """Complex spectra [batch, frames, bins] of waveforms [batch, samples]; unscaled, as librosa.stft.

    Raises:
        BadInput: the waveform is shorter than a frame, too short to be reflected, or circular but not of whole hops.
    """
    return jnp.fft.rfft(windowed_frames(waveform, framing))


def windowed_frames(waveform: Array, framing: Framing) -> Array:
    """Windowed frames [batch, frames, n_fft] of waveforms [batch, samples]."""
    samples = waveform.shape[-1]
    if samples + sum(framing.pad) < framing.n_fft:
        raise BadInput(
            f"a waveform of {samples} samples is shorter than a frame of {framing.n_fft} samples; give a longer one."
        )
    if framing.padding == "reflect" and samples <= max(framing.pad):
        raise BadInput(
            f"a waveform of {samples} samples is too short to be reflected by {max(framing.pad)} samples; give a longer"
            " one."
        )
    if framing.padding == "circular" and samples % framing.hop_length:
        raise BadInput(
            f"a loop of {samples} samples is not a whole number of hops of {framing.hop_length} samples; change"
            " hop_length."
        )
    padded = jnp.pad(waveform, ((0, 0), framing.pad), mode=_PAD_MODES[framing.padding])
    return frame(padded, framing.n_fft, framing.hop_length) * hann_window(framing)


def istft(spectrum: Array, framing: Framing, length: int) -> Array:
    """Waveforms [batch, length] from complex spectra [batch, frames, bins]: the least-squares inverse of `stft`.

    Griffin and Lim 1984, eq. 6: overlap-added windowed frames divided by the sum of squared windows. Samples outside
    all windows are zero.
    """
    gain = inverse_window_sum(framing, spectrum.shape[1], length)
    return overlap_frames(spectrum, framing, length) * gain


def overlap_frames(spectrum: Array, framing: Framing, length: int) -> Array:
    """Overlap-added windowed inverse FFTs [batch, length], before normalisation."""
    frames = jnp.fft.irfft(spectrum, n=framing.n_fft) * hann_window(framing)
    return _cut(overlap_add(frames, framing.hop_length), framing, length)


def inverse_window_sum(framing: Framing, num_frames: int, length: int) -> Array:
    """Reciprocal of the sum of squared windows at each sample [length]; 1 outside all windows."""
    # The barrier keeps XLA from folding the sum at compile time, which takes longer and puts an array as long as the
    # waveform into the program.
    squared = jnp.square(jax.lax.optimization_barrier(jnp.asarray(hann_window(framing))))
    frames = jnp.broadcast_to(squared, (1, num_frames, framing.n_fft))
    total = _cut(overlap_add(frames, framing.hop_length), framing, length)[0]
    covered = total > jnp.finfo(jnp.float32).tiny
    return jnp.where(covered, 1.0 / jnp.where(covered, total, 1.0), 1.0)


def _cut(signal: Array, framing: Framing, length: int) -> Array:
    start = framing.pad[0]
    if framing.padding == "circular":
        # What lies beyond an end belongs to the other one; there may be several rounds of it.
        rounds = -(-start // length), -(-(signal.shape[-1] - start) // length)
        before, after = rounds[0] * length - start, rounds[1] * length - (signal.shape[-1] - start)
        return jnp.pad(signal, ((0, 0), (before, after))).reshape(len(signal), sum(rounds), length).sum(axis=1)
    signal = signal[:, start : start + length]
    return jnp.pad(signal, ((0, 0), (0, length - signal.shape[-1])))
