"""Augmentation does what it says, by key, and each example alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio.augmentation import Augmentation
from drumgan_jax.audio.front_end import FrontEnd, LogMelFrontEnd, MelFrontEnd
from drumgan_jax.core.errors import BadInput

FRONT_END = MelFrontEnd(sample_rate=8000, num_samples=2048, n_fft=256, hop_length=128, num_mels=32)
LOG_MEL = LogMelFrontEnd(
    sample_rate=8000, num_samples=2048, n_fft=256, hop_length=128, num_mels=32, floor=3e-4, std=1.5
)
NOTHING = Augmentation(gain_db=0, shift=0, band_limit=0, equalizer_db=0, mask_bands=0, mask_frames=0)
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, (16, 2048)).astype(np.float32)


def augmented(
    seed: int = 0, waveforms: np.ndarray = NOISE, front_end: FrontEnd = FRONT_END, **changes: float
) -> np.ndarray:
    chosen = Augmentation(**{name: getattr(NOTHING, name) for name in FIELDS} | changes)
    # Not compiled as a whole: every choice would be compiled anew.
    keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.key(seed), row))(jnp.arange(len(waveforms)))
    return np.asarray(chosen(jnp.asarray(waveforms), front_end, keys))


FIELDS = ("gain_db", "shift", "band_limit", "lowest_band_limit", "equalizer_db", "mask_bands", "mask_frames")
PLAIN = np.asarray(jax.jit(FRONT_END)(NOISE))


def test_nothing_changes_nothing() -> None:
    np.testing.assert_allclose(augmented(), PLAIN, atol=1e-5)


@pytest.mark.smoke
def test_a_key_decides_and_an_example_is_changed_alone() -> None:
    changes = {name: getattr(Augmentation(), name) for name in FIELDS} | {"lowest_band_limit": 1000.0}
    batch = augmented(3, **changes)
    np.testing.assert_array_equal(batch, augmented(3, **changes))
    others = np.concatenate([NOISE[:4], np.zeros_like(NOISE[4:])])
    np.testing.assert_array_equal(batch[:4], augmented(3, others, **changes)[:4])
    assert np.abs(batch - augmented(4, **changes)).max(axis=(1, 2, 3)).min() > 0.1


def test_gain_lowers_all_bands_of_a_sound_alike() -> None:
    lower = (PLAIN - augmented(gain_db=12.0)) * FRONT_END.std
    of_sound = lower.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(lower, np.broadcast_to(of_sound[:, None, None, None], lower.shape), atol=1e-3)
    assert 0 <= of_sound.min() < 3
    assert 9 < of_sound.max() <= 12


def test_shift_starts_sounds_later_behind_silence() -> None:
    # 512 samples: of the frames 0 to 3, centred every 128 samples and 256 long.
    shifted = augmented(shift=512 / 8000)
    silent = np.all(shifted == np.float32(FRONT_END.silence), axis=(1, 3)).sum(axis=1)
    assert 0 in silent
    assert silent.max() in (2, 3)


def test_a_band_limit_leaves_the_floor_above_it_and_the_rest_as_it_was() -> None:
    limited = augmented(band_limit=1.0, lowest_band_limit=1000.0)
    empty = np.all(limited == np.float32(FRONT_END.silence), axis=(2, 3))
    for bands, before, gone in zip(limited, PLAIN, empty, strict=True):
        first = len(gone) - gone.sum()
        assert not gone[:first].any()
        assert FRONT_END.frequencies[first - 1] > 900.0
        np.testing.assert_allclose(bands[:first], before[:first], atol=1e-5)
    assert len(set(empty.sum(axis=1))) > 3
    some = augmented(band_limit=0.5, lowest_band_limit=1000.0) == np.float32(FRONT_END.silence)
    assert 2 <= np.any(some, axis=(1, 2, 3)).sum() <= 14


def test_masks_are_stretches_of_at_most_their_length() -> None:
    floor = np.float32(FRONT_END.silence)
    bands = np.all([augmented(seed, mask_bands=5) == floor for seed in range(4)], axis=(3, 4)).reshape(64, -1)
    frames = np.all([augmented(seed, mask_frames=3) == floor for seed in range(4)], axis=(2, 4)).reshape(64, -1)
    for masks, longest in ((bands, 5), (frames, 3)):
        lengths = masks.sum(axis=1)
        assert set(lengths) <= set(range(longest + 1))
        assert lengths.max() == longest
        assert np.abs(np.diff(np.pad(masks.astype(int), ((0, 0), (1, 1))))).sum(axis=1).max() <= 2


def test_the_equaliser_moves_bands_by_at_most_its_decibels_along_lines() -> None:
    moved = (augmented(equalizer_db=6.0) - PLAIN) * FRONT_END.std
    assert 3 < np.abs(moved).max() <= 6 + 1e-3
    curve = moved[:, :, 0, 0]
    np.testing.assert_allclose(moved[..., 0], np.broadcast_to(curve[:, :, None], moved.shape[:3]), atol=1e-3)
    bends = np.abs(np.diff(curve, 2)) > 0.01
    assert bends.sum(axis=1).max() <= 2 * (5 - 2)


def test_decibels_are_the_same_where_bands_are_log10_of_magnitudes() -> None:
    plain = np.asarray(jax.jit(LOG_MEL)(NOISE))
    for changes in ({"gain_db": 12.0}, {"equalizer_db": 6.0}):
        moved = (augmented(front_end=LOG_MEL, **changes) - plain) * 20.0 * LOG_MEL.std
        decibels = (augmented(**changes) - PLAIN)[:, :, :-1] * FRONT_END.std
        np.testing.assert_allclose(moved, decibels, atol=0.01)
    silent = augmented(waveforms=0 * NOISE, front_end=LOG_MEL, equalizer_db=6.0)
    assert np.all(silent == np.float32(LOG_MEL.silence))


def test_unfit_values_are_told_in_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"augmentation.gain_db is -1"):
        Augmentation(gain_db=-1)
    with pytest.raises(BadInput, match="it must be a number from 0 to 1"):
        Augmentation(band_limit=1.5)
