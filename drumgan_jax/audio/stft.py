"""Short-time Fourier transform and its inverse, batched, in float32, with librosa's conventions.

Spectra are [batch, frames, bins], the order the transform writes them in; librosa's are the transposes.
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


@dataclasses.dataclass(frozen=True)
class Framing:
    """How a waveform is cut into windowed frames; static and hashable.

    Attributes:
        n_fft: transform length in samples.
        hop_length: samples from one frame to the next; need not divide `n_fft`.
        win_length: length of the periodic Hann window, centred in the frame; None is `n_fft`.
        padding: "zero" puts `n_fft // 2` zeros on both ends, so that frame t is centred on sample
            t * hop_length (librosa's `center=True`); "reflect" mirrors `n_fft - hop_length` samples in all, so
            that there are exactly samples / hop_length frames; "none" takes the waveform as it is.
    """

    n_fft: int = whole(1)
    hop_length: int = whole(1)
    win_length: int | None = whole(1, None)
    padding: Literal["zero", "reflect", "none"] = text("zero", choices=("zero", "reflect", "none"))

    def __post_init__(self) -> None:
        check_fields(self, "")
        if self.win_length is not None and self.win_length > self.n_fft:
            raise BadInput(f"win_length {self.win_length} must not be above n_fft {self.n_fft}.")
        if self.hop_length > self.window_samples:
            raise BadInput(
                f"hop_length {self.hop_length} is above the window's {self.window_samples} samples, which leaves gaps"
                " between frames; choose a smaller hop_length."
            )

    @property
    def window_samples(self) -> int:
        """Length of the window before zeros fill the frame, in samples."""
        return self.n_fft if self.win_length is None else self.win_length

    @property
    def num_bins(self) -> int:
        """Number of frequencies, 0 Hz to Nyquist."""
        return self.n_fft // 2 + 1

    @property
    def pad(self) -> tuple[int, int]:
        """Samples added before and after the waveform."""
        if self.padding == "zero":
            return self.n_fft // 2, self.n_fft // 2
        if self.padding == "reflect":
            total = self.n_fft - self.hop_length
            return total // 2, total - total // 2
        return 0, 0

    def num_frames(self, num_samples: int) -> int:
        """Number of frames of a waveform of `num_samples`."""
        return 1 + (num_samples + sum(self.pad) - self.n_fft) // self.hop_length


@functools.lru_cache(maxsize=32)
def hann_window(framing: Framing) -> np.ndarray:
    """Periodic Hann window, zero-padded on both sides to `n_fft` [n_fft], float32."""
    size = framing.window_samples
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    before = (framing.n_fft - size) // 2
    return np.pad(window, (before, framing.n_fft - size - before)).astype(np.float32)


def frame(padded: Array, frame_length: int, hop_length: int) -> Array:
    """Overlapping frames [batch, frames, frame_length] of signals [batch, samples]; an incomplete last is left out."""
    count = 1 + (padded.shape[-1] - frame_length) // hop_length
    # Rows of whole hops laid side by side. A gather is as fast forwards, but its gradient is a scatter.
    overlap = -(-frame_length // hop_length)
    rows = count + overlap - 1
    short = rows * hop_length - padded.shape[-1]
    padded = jnp.pad(padded, ((0, 0), (0, max(short, 0))))[:, : rows * hop_length]
    hops = padded.reshape(padded.shape[0], rows, hop_length)
    pieces = [hops[:, k : k + count] for k in range(overlap)]
    pieces[-1] = pieces[-1][:, :, : frame_length - (overlap - 1) * hop_length]
    return jnp.concatenate(pieces, axis=-1)


def overlap_add(frames: Array, hop_length: int) -> Array:
    """Sum of frames [batch, frames, frame_length], each `hop_length` after the last: [batch, samples]."""
    batch, count, length = frames.shape
    overlap = -(-length // hop_length)
    shifted = []
    for k in range(overlap):
        # One slice for each hop of a frame, not a reshape of all: XLA's loops then need no division to index.
        piece = frames[:, :, k * hop_length : (k + 1) * hop_length]
        shifted.append(jnp.pad(piece, ((0, 0), (k, overlap - 1 - k), (0, hop_length - piece.shape[-1]))))
    rows = functools.reduce(jnp.add, shifted)
    return rows.reshape(batch, -1)[:, : (count - 1) * hop_length + length]


def stft(waveform: Array, framing: Framing) -> Array:
    """Complex spectra [batch, frames, bins] of waveforms [batch, samples]; unscaled, as librosa.stft.

    Raises:
        BadInput: the waveform is shorter than a frame, or than what reflection needs.
    """
    return jnp.fft.rfft(windowed_frames(waveform, framing))


def windowed_frames(waveform: Array, framing: Framing) -> Array:
    """Windowed frames [batch, frames, n_fft] of waveforms [batch, samples]."""
    samples = waveform.shape[-1]
    if samples + sum(framing.pad) < framing.n_fft:
        raise BadInput(
            f"a waveform of {samples} samples is shorter than a frame of {framing.n_fft}; give a longer one."
        )
    if framing.padding == "reflect" and samples <= max(framing.pad):
        raise BadInput(f"a waveform of {samples} samples cannot be mirrored by {max(framing.pad)}; give a longer one.")
    mode = "reflect" if framing.padding == "reflect" else "constant"
    padded = jnp.pad(waveform, ((0, 0), framing.pad), mode=mode)
    return frame(padded, framing.n_fft, framing.hop_length) * hann_window(framing)


def istft(spectrum: Array, framing: Framing, length: int) -> Array:
    """Waveforms [batch, length] of complex spectra [batch, frames, bins]: the least-squares inverse of `stft`.

    Griffin and Lim 1984, eq. 6: overlapped windowed frames over the sum of squared windows. Samples that no
    window reaches are zero.
    """
    gain = inverse_window_sum(framing, spectrum.shape[1], length)
    return overlap_frames(spectrum, framing, length) * gain


def overlap_frames(spectrum: Array, framing: Framing, length: int) -> Array:
    """Windowed inverse transforms, overlapped and added, cut to `length`, before normalisation [batch, length]."""
    frames = jnp.fft.irfft(spectrum, n=framing.n_fft) * hann_window(framing)
    return _cut(overlap_add(frames, framing.hop_length), framing, length)


def inverse_window_sum(framing: Framing, num_frames: int, length: int) -> Array:
    """One over the sum of squared windows at each sample of the waveform [length]; 1 where no window reaches."""
    # Behind the barrier, XLA computes the sum when it runs instead of folding it at compile time, which takes
    # longer and puts an array as long as the waveform into the program.
    squared = jnp.square(jax.lax.optimization_barrier(jnp.asarray(hann_window(framing))))
    frames = jnp.broadcast_to(squared, (1, num_frames, framing.n_fft))
    total = _cut(overlap_add(frames, framing.hop_length), framing, length)[0]
    reached = total > jnp.finfo(jnp.float32).tiny
    return jnp.where(reached, 1.0 / jnp.where(reached, total, 1.0), 1.0)


def _cut(signal: Array, framing: Framing, length: int) -> Array:
    start = framing.pad[0]
    signal = signal[:, start : start + length]
    return jnp.pad(signal, ((0, 0), (0, length - signal.shape[-1])))
