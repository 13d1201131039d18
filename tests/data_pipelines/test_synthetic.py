"""The procedural drum set."""

import numpy as np
import pytest

from drumgan_jax.data_pipelines import synthetic


@pytest.mark.smoke
@pytest.mark.parametrize("voice", synthetic.VOICES)
def test_one_shots_are_finite_loud_and_reproducible(voice):
    sounds = [synthetic.one_shot(voice, index) for index in range(3)]
    for sound in sounds:
        assert sound.dtype == np.float32
        assert np.isfinite(sound).all()
        assert 0.5 <= np.abs(sound).max() <= 0.951
        assert 0.03 < len(sound) / synthetic.SAMPLE_RATE < 2
    np.testing.assert_array_equal(sounds[1], synthetic.one_shot(voice, 1))
    assert not np.array_equal(sounds[0][:1000], sounds[1][:1000])
    assert not np.array_equal(sounds[1][:1000], synthetic.one_shot(voice, 1, seed=1)[:1000])


def test_classes_differ_in_brightness():
    def centroid(voice):
        values = []
        for index in range(8):
            power = np.square(np.abs(np.fft.rfft(synthetic.one_shot(voice, index), 2**16)))
            values.append(np.sum(power * np.arange(len(power))) / np.sum(power) * synthetic.SAMPLE_RATE / 2**16)
        return np.median(values)

    assert centroid("kick") < centroid("tom") < centroid("snare") < centroid("hat")


def test_bars_have_the_length_of_their_tempo_and_a_kick_on_one():
    for index in range(4):
        samples, bpm = synthetic.bars(index, count=2)
        assert len(samples) == round(2 * 4 * 60 / bpm * synthetic.SAMPLE_RATE)
        assert 90 <= bpm <= 150
        low = np.abs(np.cumsum(samples[: synthetic.SAMPLE_RATE // 10]))
        assert low.max() > 10
    assert synthetic.bars(0, bpm=128)[1] == 128
