"""Attributes: what they measure, against NumPy, and their scale of ranks."""

import json

import numpy as np
import pytest

from drumgan_jax.audio.attributes import ATTRIBUTES, AttributeScale, heard_attributes, measure_attributes
from drumgan_jax.core.errors import BadInput

RATE = 16000
SECONDS = np.arange(RATE // 2) / RATE


def of(name: str, *waveforms: np.ndarray) -> np.ndarray:
    """One attribute of waveforms of one length."""
    return measure_attributes(np.stack(waveforms), RATE, (name,))[:, 0]


def hit(hertz: float, decay: float = 20.0, rise: float = 0.0) -> np.ndarray:
    """A tone that falls by `decay` a second, after `rise` seconds in which it becomes loud."""
    rising = np.minimum(SECONDS / rise, 1.0) if rise else 1.0
    return 0.7 * np.cos(2 * np.pi * hertz * SECONDS) * np.exp(-decay * SECONDS) * rising


def power_of(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Power of the whole sound, in float64, and the frequencies of its bins."""
    power = np.abs(np.fft.rfft(np.asarray(waveform, np.float64))) ** 2
    return power, np.fft.rfftfreq(len(waveform), 1 / RATE)


@pytest.mark.smoke
def test_depth_is_the_share_of_power_from_30_to_200_hz() -> None:
    sounds = [hit(60), hit(60) + hit(2000), hit(150) + 0.5 * hit(900), hit(3000)]
    found = of("depth", *sounds)
    for sound, depth in zip(sounds, found, strict=True):
        power, hertz = power_of(sound)
        heard = hertz >= 30
        assert abs(depth - power[heard & (hertz <= 200)].sum() / power[heard].sum()) < 0.04


def test_boominess_is_a_share_of_loudness_whatever_the_level() -> None:
    sounds = [hit(80), hit(80) + hit(1500), hit(1500)]
    found = of("boominess", *sounds)
    assert (np.diff(found) < 0).all()
    np.testing.assert_allclose(of("boominess", *(0.01 * one for one in sounds)), found, rtol=1e-3)
    noise = np.random.default_rng(0).normal(size=len(SECONDS))
    edges = 28.3 * 2.0 ** (np.arange(17) / 2)
    power, hertz = power_of(noise)
    loudness = np.asarray([power[(hertz >= low) & (hertz < 2**0.5 * low)].sum() for low in edges[:-1]]) ** 0.3
    centres = edges[:-1] * 2**0.25
    expected = loudness[(centres >= 40) & (centres <= 160)].sum() / loudness.sum()
    assert abs(of("boominess", noise)[0] - expected) < 0.03


def test_hardness_counts_octaves_of_the_centroid_and_of_the_length_of_the_attack() -> None:
    at = of("hardness", hit(500), hit(1000), hit(2000))
    np.testing.assert_allclose(np.diff(at), 1.0, atol=0.15)
    slow = of("hardness", hit(2000, 5, 0.02), hit(2000, 5, 0.04), hit(2000, 5, 0.08))
    np.testing.assert_allclose(np.diff(slow), -1.0, atol=0.25)
    moved = np.concatenate([np.zeros(1000), hit(1000)[:-1000]])
    np.testing.assert_allclose(of("hardness", moved), at[1], atol=0.15)


def test_silence_has_no_attributes() -> None:
    silent = np.zeros(len(SECONDS))
    for name in ATTRIBUTES:
        with pytest.raises(BadInput, match=f"{name} cannot be measured on silence"):
            of(name, hit(100), silent)
    heard = heard_attributes(np.stack([hit(100), silent]), RATE, tuple(ATTRIBUTES))
    assert np.isfinite(heard[0]).all()
    assert np.isnan(heard[1]).all()


@pytest.fixture(scope="module")
def scale() -> AttributeScale:
    """Of two classes: in the first, decay rises with brightness; in the second it falls."""
    rng = np.random.default_rng(0)
    classes = np.arange(4000) % 2
    first = rng.normal(size=4000)
    second = np.where(classes, -1.0, 1.0) * first + 0.3 * rng.normal(size=4000)
    return AttributeScale.fit(("brightness", "decay"), np.exp(np.stack([first, second], axis=1)), classes, 2)


def test_a_scale_is_of_ranks_and_survives_its_file(scale: AttributeScale) -> None:
    values = np.exp(np.random.default_rng(1).normal(size=(5000, 2)))
    ranks = scale.ranks(values)
    assert abs(ranks[:, 0].mean() - 0.5) < 0.02
    np.testing.assert_allclose(np.quantile(ranks[:, 0], [0.1, 0.5, 0.9]), [0.1, 0.5, 0.9], atol=0.03)
    assert (scale.ranks(np.asarray([[0.0, 0.0], [1e9, 1e9]])) == [[0, 0], [1, 1]]).all()
    again = AttributeScale.of_json(json.loads(json.dumps(scale.to_json())))
    np.testing.assert_allclose(again.ranks(values), ranks, atol=1e-5)
    np.testing.assert_array_equal(again.typical, scale.typical)
    assert again.only(("decay",)).names == ("decay",)
    np.testing.assert_allclose(again.only(("decay",)).ranks(values[:, 1:]), ranks[:, 1:], atol=1e-5)
    with pytest.raises(BadInput, match="has no attribute 'pitch'; it has brightness, decay: prepare it"):
        scale.only(("pitch",))
    with pytest.raises(BadInput, match="scale of attributes is damaged"):
        AttributeScale.of_json({**scale.to_json(), "names": ["brightness"]})
    # NumPy would take both for 1.
    for odd in (True, "1"):
        saved = scale.to_json()
        saved["typical"][0][0][0] = odd
        with pytest.raises(BadInput, match=f"scale of attributes is damaged .{odd!r} is no number"):
            AttributeScale.of_json(saved)


def test_what_is_not_asked_goes_with_what_is_as_in_recordings_of_the_class(scale: AttributeScale) -> None:
    items = np.arange(60)
    for number, sign in ((0, 1), (1, -1)):
        shares = np.tile(np.eye(2)[number], (60, 1))
        means = []
        for asked in (0.1, 0.5, 0.9):
            rows = np.tile([asked, np.nan], (60, 1))
            found = scale.completed(rows, shares, items)
            assert (found[:, 0] == asked).all()
            assert (found >= 0).all()
            assert (found <= 1).all()
            means.append(found[:, 1].mean())
        assert (sign * np.diff(means) > 0.2).all()
        nothing = scale.completed(np.full((60, 2), np.nan), shares, items)
        np.testing.assert_allclose(nothing, scale.typical[number, items], atol=0.03)
