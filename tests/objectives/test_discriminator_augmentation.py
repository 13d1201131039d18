"""Augmentation of the examples that a discriminator sees, constant and adaptive."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.objectives.augmentation import PROBABILITY, Adaptive, NoAugmentation, Translation
from drumgan_jax.objectives.objective import SIGN


def test_translation_shifts_each_example_by_whole_bins_and_lets_zeros_in() -> None:
    x = np.random.default_rng(0).normal(size=(16, 4, 8, 1)).astype(np.float32)
    moved = np.asarray(jax.jit(Translation(time=0.25, freq=0.25))(x, jax.random.key(0), {}))
    found = set()
    for one, other in zip(x, moved, strict=True):
        padded = np.pad(one, ((1, 1), (2, 2), (0, 0)))
        shifts = [
            (freq, time)
            for freq in range(3)
            for time in range(5)
            if np.array_equal(padded[freq : freq + 4, time : time + 8], other)
        ]
        assert len(shifts) == 1
        found |= set(shifts)
    assert len(found) > 5
    np.testing.assert_array_equal(Translation(time=0.0)(jnp.asarray(x), jax.random.key(0), {}), x)


def test_translation_is_differentiable_and_its_fractions_are_checked() -> None:
    x = jnp.ones((2, 4, 8, 1))
    gradient = jax.grad(lambda x: Translation(0.25)(x, jax.random.key(1), {}).sum())(x)
    assert set(np.unique(gradient)) <= {0.0, 1.0}
    with pytest.raises(BadInput, match=r"config\.augmentation\.time is 2\.0; it must be a number from 0 to 1"):
        Translation(2.0)
    np.testing.assert_array_equal(NoAugmentation()(x, jax.random.key(0), {}), x)


EVERYTHING = {"time": 0.25, "freq": 0.25, "offset": 0.5, "contrast": 0.2, "cut": 0.5, "noise": 0.3}


def changed(settings: dict[str, float], x: np.ndarray, probability: float, key: int = 0) -> np.ndarray:
    state = {PROBABILITY: jnp.float32(probability)}
    return np.asarray(jax.jit(Adaptive(**settings))(jnp.asarray(x), jax.random.key(key), state))


@pytest.mark.parametrize("name", EVERYTHING)
def test_each_change_comes_with_its_probability(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(400, 4, 8, 1)).astype(np.float32)
    settings = {name: EVERYTHING[name]}
    np.testing.assert_array_equal(changed(settings, x, 0.0), x)
    few, all_of_them = (np.any(changed(settings, x, p) != x, axis=(1, 2, 3)).mean() for p in (0.3, 1.0))
    # Some shifts are by 0 bins and some bands are empty; offsets and cuts are of bins and of frames.
    assert 0.15 < few < 0.6
    assert all_of_them > 0.6


def test_what_is_off_or_of_another_example_changes_nothing() -> None:
    x = np.random.default_rng(0).normal(size=(16, 1, 8, 1)).astype(np.float32)
    np.testing.assert_array_equal(changed({}, x, 1.0), x)
    whole = changed(EVERYTHING, x, 0.5)
    other = x.copy()
    other[3] += 1
    again = changed(EVERYTHING, other, 0.5)
    assert np.array_equal(np.delete(again, 3, 0), np.delete(whole, 3, 0))
    # Constant examples show what is added: curves over frames without more than three half periods, alike for all bins.
    flat = changed({"offset": 1.0}, np.zeros((64, 6, 32, 1), np.float32), 1.0)[..., 0]
    differences = flat - flat[:, :1]
    np.testing.assert_allclose(differences, np.broadcast_to(differences[:, :, :1], differences.shape), atol=1e-4)
    spectrum = np.abs(np.fft.rfft(np.concatenate([flat, flat[..., ::-1]], axis=-1)))
    assert spectrum[..., 4:].max() < 1e-3 < spectrum[..., 1:4].max()


def test_the_gradient_is_that_of_a_finite_difference() -> None:
    x = np.random.default_rng(1).normal(size=(4, 4, 8, 1)).astype(np.float32)
    direction = np.random.default_rng(2).normal(size=x.shape).astype(np.float32)
    augment = lambda x: Adaptive(**EVERYTHING)(x, jax.random.key(5), {PROBABILITY: jnp.float32(0.7)})  # noqa: E731
    _, along = jax.jvp(augment, (jnp.asarray(x),), (jnp.asarray(direction),))
    # Every change is linear in x, so a long step is exact.
    np.testing.assert_allclose(along, augment(x + direction) - augment(x), atol=1e-5)


def test_the_probability_follows_the_sign() -> None:
    adaptive = Adaptive(target=0.6, images=100, start=0.1, most=0.5)
    state = {"path_length_mean": jnp.float32(7.0), **adaptive.initial_state()}
    seen = []
    for sign in (0.9, 0.9, 0.6, 0.2, 0.2, 0.2, 0.2):
        state, metrics = adaptive.adapted(state, {SIGN: jnp.float32(sign)}, 10)
        seen.append(float(metrics["augmentation/probability"]))
    np.testing.assert_allclose(seen, [0.2, 0.3, 0.3, 0.2, 0.1, 0.0, 0.0], atol=1e-6)
    assert float(state["path_length_mean"]) == 7.0
    for _ in range(9):
        state, _ = adaptive.adapted(state, {SIGN: jnp.float32(1.0)}, 10)
    assert float(state[PROBABILITY]) == 0.5
    assert Translation().adapted({}, {}, 10) == ({}, {})
    with pytest.raises(BadInput, match=r"config\.augmentation\.most is 1\.5"):
        Adaptive(most=1.5)
