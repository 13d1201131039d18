"""Small log-mel pictures of sounds, which the judge and the novelty look at."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.evaluation.embedders.log_mel import FRAMING, SAMPLE_RATE, WINDOW, log_mel_frames

Array = jax.Array

# Side lengths (time, freq), of 40 frames and 40 bands averaged in pairs.
SHAPE = (20, 20)
# dB below a sound's loudest cell; softer cells count as this.
RANGE = 60.0
# Of the peak: 30 dB below it.
ONSET = 10 ** (-30.0 / 20.0)
# Steps of 0.5 dB: a thumbnail is kept in bytes.
STEPS = 2.0
DECIBELS_PER_NEPER = np.float32(20.0 / np.log(10.0))
_BATCH = 64


def thumbnails(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """Thumbnails [sounds, time, freq] uint8 of waveforms [sounds, samples] at a sample rate in Hz.

    0.46 s from the onset on as log magnitudes of 40 mel bands, in steps of 0.5 dB above 60 dB below the loudest cell:
    neither the level, nor silence in front, nor what is softer than that matters. A silent sound is all zero.
    """
    resampled = [from_onset(resample(np.asarray(one, np.float32), sample_rate, SAMPLE_RATE)) for one in waveforms]
    windows = np.stack([np.pad(one, (0, WINDOW - len(one))) for one in resampled])
    parts = []
    for start in range(0, len(windows), _BATCH):
        batch = windows[start : start + _BATCH]
        # Padded, so that one shape is compiled.
        padded = np.pad(batch, ((0, _BATCH - len(batch)), (0, 0)))
        parts.append(np.asarray(_thumbnails(jnp.asarray(padded)))[: len(batch)])
    return np.concatenate(parts)


def from_onset(waveform: np.ndarray) -> np.ndarray:
    """At most WINDOW samples of a waveform [samples], from 2 ms before it first comes within 30 dB of its peak."""
    peak = np.abs(waveform).max()
    first = int(np.argmax(np.abs(waveform) >= ONSET * peak)) if peak > 0.0 else 0
    start = max(0, first - round(0.002 * SAMPLE_RATE))
    return waveform[start : start + WINDOW]


def digests(kept: np.ndarray) -> np.ndarray:
    """A number of each thumbnail [sounds] uint64 by which a sound is known again."""
    of_each = [hashlib.blake2b(np.ascontiguousarray(one).tobytes(), digest_size=8).digest() for one in kept]
    return np.frombuffer(b"".join(of_each), np.uint64)


def decibels(kept: np.ndarray) -> np.ndarray:
    """Thumbnails of bytes [...] in dB above the floor, from 0 to RANGE [...] float32."""
    return kept.astype(np.float32) / np.float32(STEPS)


@jax.jit
def _thumbnails(windows: Array) -> Array:
    peak = jnp.max(jnp.abs(windows), axis=1, keepdims=True)
    nepers = log_mel_frames(windows / jnp.where(peak > 0.0, peak, 1.0))
    frames = FRAMING.num_frames(WINDOW) // 2 * 2
    cells = nepers[:, :frames]
    cells = DECIBELS_PER_NEPER * cells.reshape(len(windows), SHAPE[0], 2, SHAPE[1], 2).mean(axis=(2, 4))
    above = jnp.maximum(cells - cells.max(axis=(1, 2), keepdims=True) + RANGE, 0.0)
    return jnp.where(peak[:, :, None] > 0.0, jnp.round(STEPS * above), 0.0).astype(jnp.uint8)
