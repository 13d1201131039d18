"""The spectral distance as a loss (its formula: tests/evaluation/test_reconstruction.py), and that of the bass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio.mel import mel_filterbank
from drumgan_jax.audio.spectral_distance import (
    bass_distance,
    level_features,
    multi_scale_spectral_loss,
    noisiness_distance,
    octaves_distance,
    pooled_distance,
)

RATE = 16_000


@pytest.mark.smoke
def test_the_distance_has_a_finite_gradient_that_leads_nearer() -> None:
    time = np.arange(1000) / 8000
    wanted = (0.5 * np.sin(2 * np.pi * 200 * time) * np.exp(-20 * time)).astype(np.float32)[None]
    other = np.random.default_rng(0).standard_normal((1, 1000)).astype(np.float32) * 0.1
    both = np.concatenate([other, np.zeros_like(other)])

    def loss(waveform: jax.Array) -> jax.Array:
        return multi_scale_spectral_loss(wanted, waveform).sum()

    slope = jax.jit(jax.value_and_grad(loss))
    value, gradient = slope(both)
    assert np.isfinite(gradient).all()
    assert slope(both - 1e-4 * gradient / np.abs(gradient).max())[0] < value


def tone(frequency: float, phase: float = 0.0) -> np.ndarray:
    return np.sin(2 * np.pi * frequency * np.arange(RATE) / RATE + phase)[None].astype(np.float32)


def numpy_bass_distance(reference: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)

    def magnitudes(sound: np.ndarray) -> np.ndarray:
        padded = np.pad(sound.astype(np.float64), ((0, 0), (256, 256)))
        frames = np.lib.stride_tricks.sliding_window_view(padded, 512, axis=1)[:, ::128]
        # Of bins 31.25 Hz apart, those up to 1 kHz.
        return np.abs(np.fft.rfft(frames * window, axis=-1)[..., :33])

    squares = np.sum((magnitudes(reference) - magnitudes(decoded)) ** 2, axis=-1)
    energy = squares / (512 / 2 * np.sum(window**2))
    return energy.mean(axis=1) / (np.mean(reference.astype(np.float64) ** 2, axis=1) + 1e-4)


def test_the_distance_of_basses_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    reference, decoded = rng.normal(0.0, [[[0.3], [0.01]], [[0.2], [0.1]]], (2, 2, 5_000)).astype(np.float32)
    found = jax.jit(bass_distance, static_argnums=2)(reference, decoded, RATE)
    np.testing.assert_allclose(found, numpy_bass_distance(reference, decoded), rtol=1e-5)


@pytest.mark.parametrize(
    ("reference", "decoded", "expected"),
    [
        (tone(60.0), tone(60.0), 0.0),
        (tone(60.0), 0.0 * tone(60.0), 1.0),
        (tone(60.0), tone(60.0, np.pi), 0.0),
        (tone(60.0), 2.0 * tone(60.0), 1.0),
        (tone(60.0), tone(400.0), 2.0),
        (tone(3_000.0), 0.0 * tone(3_000.0), 0.0),
        (tone(60.0), tone(60.0) + tone(5_000.0), 0.0),
    ],
)
def test_the_distance_of_basses_hears_deep_tones_alone(
    reference: np.ndarray, decoded: np.ndarray, expected: float
) -> None:
    assert float(bass_distance(reference, decoded, RATE)[0]) == pytest.approx(expected, rel=0.02, abs=1e-3)


def test_the_gradient_of_basses_is_finite_where_sounds_are_silent_or_the_same() -> None:
    silence = np.zeros((1, 1_000), np.float32)
    for sound in (silence, tone(60.0)[:, :1_000]):
        gradient = jax.grad(lambda x, sound=sound: bass_distance(sound, x, RATE).sum())(sound)
        assert np.isfinite(gradient).all()


def pooled(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Means over whole areas, one after another."""
    areas = [
        [x[:, i : i + rows, j : j + columns].mean(axis=(1, 2)) for j in range(0, x.shape[2] - columns + 1, columns)]
        for i in range(0, x.shape[1] - rows + 1, rows)
    ]
    return np.asarray(areas).transpose(2, 0, 1)


def test_the_distance_of_pooled_powers_is_its_definition() -> None:
    random = np.random.default_rng(0)
    a, b = random.uniform(0, 3, (2, 2, 9, 17)) * random.integers(0, 2, (2, 2, 9, 17))
    floor = (1e-5 * 32 / 4) ** 2

    def decibels(magnitude: np.ndarray, rows: int, columns: int) -> np.ndarray:
        return 10 * np.log10(pooled(magnitude**2, rows, columns) + floor)

    sizes = [(4, 1), (2, 2), (1, 4)]
    expected = np.mean([np.abs(decibels(a, *size) - decibels(b, *size)).mean() for size in sizes])
    found = jax.jit(pooled_distance)(a.astype(np.float32), b.astype(np.float32))
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(pooled_distance(jnp.asarray(a), jnp.asarray(a))) == 0.0


def numpy_octaves_distance(a: np.ndarray, b: np.ndarray) -> float:
    distances = []
    for one, other in zip(a.astype(np.float64), b.astype(np.float64), strict=True):
        groups = [slice(0, 1), slice(1, 2), slice(2, 4), slice(4, 8), slice(8, 16), slice(16, 17)]
        first, second = (np.stack([(x[:, g] ** 2).sum(axis=1) for g in groups], axis=1) for x in (one, other))
        offset = 1e-4 * first.max()
        weights = (1 + 3 * 2 ** (-0.79 * np.arange(len(one))))[:, None]
        difference = np.abs(10 * np.log10((first + offset) / (second + offset)))
        counted = weights * (np.maximum(first, second) > offset)
        distances.append((counted * difference).sum() / counted.sum())
    return float(np.mean(distances))


def test_the_distance_of_octaves_is_its_definition() -> None:
    random = np.random.default_rng(0)
    levels = 10.0 ** random.uniform(-4, 0, (2, 2, 9, 1))
    a, b = (random.uniform(0, 3, (2, 2, 9, 17)) * levels).astype(np.float32)
    assert float(octaves_distance(jnp.asarray(a), jnp.asarray(b))) == pytest.approx(numpy_octaves_distance(a, b), 1e-5)
    assert float(octaves_distance(jnp.asarray(a), jnp.asarray(a))) == 0.0


def test_the_distance_of_octaves_hears_a_loud_bin_of_many_and_no_soft_ones() -> None:
    a = np.full((1, 9, 257), 3e-4, np.float32)
    a[:, :, 3] = 10.0
    softer, hiss = a.copy(), a.copy()
    softer[:, :, 3] /= 10 ** (3 / 20)
    hiss[:, :, 100:] *= 2
    assert float(octaves_distance(jnp.asarray(a), jnp.asarray(softer))) == pytest.approx(3.0, rel=1e-3)
    assert float(octaves_distance(jnp.asarray(a), jnp.asarray(hiss))) < 0.05


def test_the_distance_of_octaves_is_a_mean_also_where_nearly_all_is_silent() -> None:
    loud, click = np.full((1, 9, 257), 1.0, np.float32), np.zeros((1, 9, 257), np.float32)
    click[0, 0, 0] = 10.0
    assert float(octaves_distance(jnp.asarray(click), jnp.asarray(loud))) < 40.0


def test_the_gradient_of_octaves_is_finite_where_all_is_silent() -> None:
    silent = jnp.zeros((1, 9, 17))
    gradient = jax.grad(lambda x: octaves_distance(silent, x))(silent)
    assert np.isfinite(gradient).all()


def test_the_distance_of_noisiness_is_its_definition_and_leaves_the_plain_reconstruction_alone() -> None:
    random = np.random.default_rng(0)
    x, plain, noise = random.normal(size=(3, 2, 40, 9, 1)).astype(np.float32)
    stray, missed = (pooled(np.abs(one)[..., 0], 16, 1) for one in (0.3 * noise, x - plain))
    found = noisiness_distance(x, plain, plain + 0.3 * noise)
    assert float(found) == pytest.approx(np.abs(stray - missed).mean(), rel=1e-4)
    gradient = jax.grad(lambda plain: noisiness_distance(x, plain, plain + 0.3 * noise))(plain)
    np.testing.assert_allclose(gradient, 0.0, atol=1e-6)


def test_level_features_are_levels_of_mel_bands_at_two_resolutions() -> None:
    rng = np.random.default_rng(0)
    waveforms = rng.standard_normal((2, 4096)).astype(np.float32) * [[0.1], [0.01]]
    expected = []
    for n_fft, bands in ((2048, 64), (512, 16)):
        hop, window = n_fft // 4, 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
        padded = np.pad(waveforms.astype(np.float64), ((0, 0), (n_fft // 2, n_fft // 2)))
        starts = range(0, padded.shape[1] - n_fft + 1, hop)
        frames = np.stack([padded[:, start : start + n_fft] * window for start in starts], axis=1)
        power = np.abs(np.fft.rfft(frames)) ** 2 @ mel_filterbank(RATE, n_fft, bands, 20.0, RATE / 2, htk=True).T
        levels = np.log10(power + (1e-3 * n_fft / 4) ** 2).reshape(2, -1)
        expected.append(levels / np.sqrt(levels.shape[1]))
    found = level_features(jnp.asarray(waveforms), RATE)
    np.testing.assert_allclose(found, np.concatenate(expected, axis=1), atol=1e-4)


def test_level_features_of_silence_have_a_finite_gradient_and_tell_20_db() -> None:
    gradient = jax.jit(jax.grad(lambda waveforms: level_features(waveforms, RATE).sum()))(jnp.zeros((1, 4096)))
    assert np.isfinite(gradient).all()
    noise = np.random.default_rng(1).standard_normal((1, 4096)).astype(np.float32) * 0.3
    soft, loud = (np.asarray(level_features(jnp.asarray(gain * noise), RATE)) for gain in (0.1, 1.0))
    # Two units of 10 dB, at both resolutions.
    np.testing.assert_allclose(np.linalg.norm(loud - soft), 2.0 * np.sqrt(2.0), rtol=0.05)
