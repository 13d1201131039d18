"""One channel of a recording, or a mix of several, and what a mix loses."""

import math
from collections.abc import Iterable

import numpy as np

from drumgan_jax.core.errors import BadInput

# "mix" is the mean of all channels; "mid" and "side" are half the sum and half the difference of the first two.
CHANNELS = ("mix", "left", "right", "mid", "side", "louder")
# Level that a mix must lose for its channels to be said to cancel: two equal channels of correlation -0.5. Channels
# that have nothing in common lose 3 dB.
CANCELLATION_DB = 6.0


def is_channel(value: object) -> bool:
    """Whether a value is one of CHANNELS, or the number of a channel, from 0, as text."""
    return value in CHANNELS or (str(value).isascii() and str(value).isdecimal())


def mono(samples: np.ndarray, channel: str) -> np.ndarray:
    """One waveform [frames] of a recording [frames, channels].

    "left", "right", "mid" and "louder" of a recording with one channel are that one.

    Args:
        samples: [frames, channels] float32.
        channel: one of CHANNELS, or the number of a channel, from 0.

    Raises:
        BadInput: the recording has no such channel.
    """
    count = samples.shape[1]
    if channel == "mix":
        # A matrix product, because NumPy's mean over such a short axis takes ten times as long.
        return samples @ np.full(count, 1 / count, np.float32)
    if channel == "side" and count == 1:
        raise BadInput("no side: the recording has one channel; set config.preparation.channel.")
    if channel.isdecimal():
        if int(channel) >= count:
            raise BadInput(f"no channel {channel}: the recording has {count} channels; set config.preparation.channel.")
        return samples[:, int(channel)]
    if channel in ("mid", "side"):
        sign = 1 if channel == "mid" else -1
        return (samples[:, 0] + sign * samples[:, 1]) / 2 if count > 1 else samples[:, 0]
    numbers = {"left": 0, "right": min(1, count - 1)}
    return samples[:, numbers[channel] if channel in numbers else loudest([samples])]


def loss_db(blocks: Iterable[tuple[np.ndarray, np.ndarray]]) -> float:
    """By how much the mix of a recording is below its channels' RMS level, in dB.

    Infinite where the mix has no power and the channels have; 0 where neither has.

    Args:
        blocks: of the recording, samples [frames, channels] and their mix [frames].
    """
    channels = level = 0.0
    for samples, mix in blocks:
        channels += _energy(samples.ravel()) / samples.shape[1]
        level += _energy(mix)
    if not channels:
        return 0.0
    return 10 * math.log10(channels / level) if level else math.inf


def loudest(blocks: Iterable[np.ndarray]) -> int:
    """Number of the channel with the most power in blocks [frames, channels] of a recording."""
    return int(np.argmax(sum(map(_energies, blocks))))


def _energies(samples: np.ndarray) -> np.ndarray:
    # A sum over the first axis of all channels at once takes ten times as long.
    return np.array([_energy(channel) for channel in samples.T])


def _energy(signal: np.ndarray) -> float:
    return float(signal @ signal)
