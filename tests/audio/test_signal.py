"""Signals: sliced as arrays are, with little memory."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.audio import signal
from drumgan_jax.audio.files import resample
from drumgan_jax.audio.signal import Signal, first_at, in_blocks, last_at, peak, resampled

RATE = 22_050


def noise(length, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, length).astype(np.float32)


class Source:
    """Blocks of samples, and how often they were begun and how many samples were read."""

    def __init__(self, samples, block):
        self.samples, self.block = samples, block
        self.begun = self.read = 0

    def __call__(self):
        self.begun += 1
        for start in range(0, len(self.samples), self.block):
            self.read += min(self.block, len(self.samples) - start)
            yield self.samples[start : start + self.block]


@pytest.mark.smoke
@settings(deadline=None, max_examples=200)
@given(
    length=st.integers(0, 200),
    block=st.integers(1, 70),
    parts=st.lists(st.tuples(st.integers(-250, 250), st.integers(-250, 250)), max_size=8),
)
def test_slices_are_those_of_the_array(length, block, parts):
    samples = noise(length)
    lazy = Signal(length, Source(samples, block))
    assert len(lazy) == length
    for start, stop in parts:
        np.testing.assert_array_equal(lazy[start:stop], samples[start:stop])
    np.testing.assert_array_equal(lazy[:], samples)


def test_reading_forwards_reads_once_and_holds_little():
    source = Source(noise(10_000), 64)
    lazy = Signal(10_000, source)
    for start in range(0, 9_000, 30):
        np.testing.assert_array_equal(lazy[start : start + 100], source.samples[start : start + 100])
        assert len(lazy._held) < 100 + 64
    assert source.begun == 1
    assert source.read < 9_000 + 100 + 64
    lazy[0:10]
    assert source.begun == 2


def test_a_source_that_ends_early_is_followed_by_zeros():
    lazy = Signal(100, Source(np.ones(70, np.float32), 32))
    np.testing.assert_array_equal(lazy[50:90], np.repeat([1.0, 0.0], 20))
    np.testing.assert_array_equal(lazy[95:], np.zeros(5))
    with pytest.raises(ValueError, match="steps of 2"):
        lazy[::2]


def test_blocks_cover_the_samples(monkeypatch):
    monkeypatch.setattr(signal, "BLOCK", 300)
    samples = noise(1000)
    for held in (samples, Signal(1000, Source(samples, 7))):
        blocks = list(in_blocks(held))
        assert [len(block) for block in blocks] == [300, 300, 300, 100]
        np.testing.assert_array_equal(np.concatenate(blocks), samples)


def test_levels_of_signals_are_those_of_arrays(monkeypatch):
    monkeypatch.setattr(signal, "BLOCK", 300)
    samples = noise(1000) * np.linspace(0, 1, 1000, dtype=np.float32)
    for held in (samples, Signal(1000, Source(samples, 7))):
        loudest = peak(held)
        assert loudest == np.abs(samples).max()
        for share in (0.0, 0.1, 0.9, 1.0):
            above = np.flatnonzero(np.abs(samples) >= share * loudest)
            assert (first_at(held, share * loudest), last_at(held, share * loudest)) == (above[0], above[-1])
        assert first_at(held, 1.01 * loudest) is last_at(held, 1.01 * loudest) is None
    assert peak(noise(0)) == 0


@pytest.mark.parametrize(
    ("start", "end"), [(44100, 16000), (8000, 44100), (12345, 22050), (1000, 44100), (96000, 44100)]
)
@pytest.mark.parametrize("length", [0, 1, 5, 1000, 9001])
def test_resampled_blocks_are_the_resampled_whole(monkeypatch, start, end, length):
    monkeypatch.setattr(signal, "BLOCK", 700)
    samples = noise(length)
    lazy = resampled(Signal(length, Source(samples, 500)), start, end)
    whole = resample(samples, start, end)
    # The rate may leave nothing of a single sample, which is then kept as it is.
    if length != 1 or len(whole) > 1:
        np.testing.assert_array_equal(lazy[:], whole)
    assert len(lazy) == len(whole)
    # With what the filter holds back until the end, of less than a second.
    assert max((len(block) for block in lazy._blocks()), default=0) < 700 + end


def test_arrays_that_would_be_long_become_signals(monkeypatch):
    monkeypatch.setattr(signal, "_LONG", 1500)
    samples = noise(1000)
    assert resampled(samples, RATE, RATE) is samples
    short, long = resampled(samples, RATE, RATE * 3 // 2), resampled(samples, RATE, RATE * 2)
    assert isinstance(short, np.ndarray)
    assert isinstance(long, Signal)
    np.testing.assert_array_equal(short, resample(samples, RATE, RATE * 3 // 2))
    np.testing.assert_array_equal(long[:], resample(samples, RATE, RATE * 2))
