"""Griffin-Lim: librosa's numbers from the same phases, the same quality from others, batches that do not matter."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest

from drumgan_jax.audio import phase
from drumgan_jax.audio.phase import (
    noise_phasors,
    onset_phasors,
    random_phasors,
    refine_phases,
    spectral_convergence,
)
from drumgan_jax.audio.stft import Framing, stft

FRAMING = Framing(256, 64)
# librosa 1.0 renamed the argument.
RANDOM = "rng" if int(librosa.__version__.split(".")[0]) >= 1 else "random_state"
LENGTH = 63 * 64


def griffin_lim(magnitude: np.ndarray, seed: int, refine=refine_phases, **settings) -> np.ndarray:
    """Waveforms from random phases, at FRAMING."""
    phasors = random_phasors(jax.random.key(seed), magnitude.shape[1:])
    return refine(magnitude, phasors, framing=FRAMING, length=LENGTH, **settings)


@pytest.fixture
def magnitude(sounds) -> np.ndarray:
    """Magnitudes [6, 64, 129] of six sounds."""
    return np.abs(stft(sounds(16000, LENGTH), FRAMING))


def with_librosa(
    magnitude: np.ndarray, framing: Framing, length: int, iterations: int, momentum: float, seed: int = 0
) -> np.ndarray:
    return librosa.griffinlim(
        magnitude.swapaxes(-1, -2),
        n_iter=iterations,
        hop_length=framing.hop_length,
        n_fft=framing.n_fft,
        length=length,
        momentum=momentum,
        **{RANDOM: np.random.default_rng(seed)},
    )


@pytest.mark.parametrize("momentum", [0.0, 0.99])
@pytest.mark.parametrize(("framing", "frames"), [(FRAMING, 64), (Framing(256, 129), 32)])
def test_same_phases_give_librosas_waveform(sounds, framing: Framing, frames: int, momentum: float) -> None:
    length = (frames - 1) * framing.hop_length
    for sound in sounds(16000, length)[:2]:
        magnitude = np.abs(stft(sound[None], framing))
        expected = with_librosa(magnitude[0], framing, length, 6, momentum)
        # librosa draws its first phases from this generator, in its own order of axes.
        turns = np.random.default_rng(0).random(magnitude[0].T.shape).T
        waveform = refine_phases(
            magnitude,
            np.complex64(np.exp(2j * np.pi * turns)),
            framing=framing,
            length=length,
            iterations=6,
            momentum=momentum,
        )
        np.testing.assert_allclose(waveform[0], expected, rtol=0, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("momentum", [0.0, 0.99])
def test_random_phases_give_librosas_spectral_convergence(magnitude: np.ndarray, momentum: float) -> None:
    def quality(waveform: np.ndarray) -> float:
        return float(np.mean(spectral_convergence(magnitude, waveform, framing=FRAMING)))

    ours = [quality(griffin_lim(magnitude, seed, iterations=24, momentum=momentum)) for seed in range(8)]
    theirs = [quality(with_librosa(magnitude, FRAMING, LENGTH, 24, momentum, seed)) for seed in range(8)]
    assert np.mean(ours) < 0.25
    standard_error = np.hypot(np.std(ours, ddof=1), np.std(theirs, ddof=1)) / np.sqrt(8)
    assert abs(np.mean(ours) - np.mean(theirs)) < 3.0 * standard_error


def test_momentum_converges_faster(magnitude: np.ndarray) -> None:
    def quality(momentum: float) -> float:
        waveform = griffin_lim(magnitude, 1, iterations=32, momentum=momentum)
        return float(np.mean(spectral_convergence(magnitude, waveform, framing=FRAMING)))

    assert quality(0.99) < 0.9 * quality(0.0)


@pytest.mark.smoke
def test_a_sound_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    magnitude = np.abs(stft(rng.standard_normal((6, LENGTH)).astype(np.float32), FRAMING))

    def run(magnitude: np.ndarray, bins_at_once: int) -> np.ndarray:
        monkeypatch.setattr(phase, "_BINS_AT_ONCE", bins_at_once)
        compiled = jax.jit(lambda m: griffin_lim(m, 0, refine_phases.__wrapped__, iterations=4))
        jax.clear_caches()
        return np.asarray(compiled(magnitude))

    together = run(magnitude, 2**30)
    np.testing.assert_allclose(run(magnitude, 64 * 129 * 4), together, rtol=0, atol=1e-4)  # groups of 3
    np.testing.assert_allclose(run(magnitude, 1), together, rtol=0, atol=1e-4)
    np.testing.assert_allclose(run(magnitude[2:3], 2**30)[0], together[2], rtol=0, atol=1e-4)


def test_the_key_is_all_the_randomness(magnitude: np.ndarray) -> None:
    def run(seed: int) -> np.ndarray:
        return np.asarray(griffin_lim(magnitude[:1], seed, iterations=2))

    np.testing.assert_array_equal(run(3), run(3))
    assert np.abs(run(3) - run(4)).max() > 0.01


def test_random_phasors_have_magnitude_1_and_every_phase_alike() -> None:
    phasors = np.asarray(random_phasors(jax.random.key(0), (100, 1000)))
    np.testing.assert_allclose(np.abs(phasors), 1.0, rtol=0, atol=2e-6)
    counts, _ = np.histogram(np.angle(phasors), bins=16, range=(-np.pi, np.pi))
    # Sixteenths of 100,000 draws: 6,250 each, with a standard deviation of 77.
    np.testing.assert_allclose(counts, 6250, rtol=0, atol=5 * 77)


def test_known_silence_stays_silent_at_no_cost() -> None:
    """A burst of noise after silence: magnitudes alone do not say where in a frame it begins."""
    onset = 1000
    burst = np.random.default_rng(0).standard_normal((4, LENGTH)).astype(np.float32)
    burst[:, :onset] = 0.0
    magnitude = np.abs(stft(burst, FRAMING))
    plain, known = (np.asarray(griffin_lim(magnitude, 0, iterations=16, silence=n)) for n in (0, onset))
    assert not known[:, :onset].any()
    assert np.square(plain[:, :onset]).sum() > 1e-3 * np.square(burst).sum()
    quality = [float(np.mean(spectral_convergence(magnitude, one, framing=FRAMING))) for one in (plain, known)]
    assert quality[1] < 1.05 * quality[0]


def test_phases_of_noise_are_those_of_a_waveform(magnitude: np.ndarray) -> None:
    phasors = np.asarray(noise_phasors(jax.random.key(0), FRAMING, LENGTH))
    assert phasors.shape == magnitude.shape[1:]
    np.testing.assert_allclose(np.abs(phasors), 1.0, atol=1e-5)
    # With the noise's own magnitudes they need no search.
    noise = np.asarray(jax.random.normal(jax.random.key(0), (1, LENGTH)))
    again = refine_phases(np.abs(stft(noise, FRAMING)), phasors, framing=FRAMING, length=LENGTH, iterations=0)
    np.testing.assert_allclose(again, noise, atol=1e-3)


def test_the_first_frames_phases_are_those_of_an_impulse() -> None:
    phasors = np.asarray(onset_phasors(jax.random.key(0), FRAMING, LENGTH, 12))
    impulse = np.zeros((1, LENGTH), np.float32)
    impulse[0, 12] = 1.0
    first = np.asarray(stft(impulse, FRAMING)[0, 0])
    np.testing.assert_allclose(phasors[0], first / np.abs(first), atol=1e-3)
    np.testing.assert_array_equal(phasors[1:], noise_phasors(jax.random.key(0), FRAMING, LENGTH)[1:])


def test_silence_stays_silent_and_finite() -> None:
    waveform = griffin_lim(jnp.zeros((1, 64, 129)), 0, iterations=3)
    assert waveform.dtype == jnp.float32
    assert not np.asarray(waveform).any()


def test_spectral_convergence_is_its_definition() -> None:
    rng = np.random.default_rng(0)
    waveform = rng.standard_normal((2, LENGTH)).astype(np.float32)
    wanted = np.abs(rng.standard_normal((2, 64, 129))).astype(np.float32)
    spectrum = np.abs(librosa.stft(waveform.astype(np.float64), n_fft=256, hop_length=64)).swapaxes(1, 2)
    expected = np.sqrt(((spectrum - wanted) ** 2).sum(axis=(1, 2)) / (wanted.astype(np.float64) ** 2).sum(axis=(1, 2)))
    np.testing.assert_allclose(spectral_convergence(wanted, waveform, framing=FRAMING), expected, rtol=1e-5)
    silence = jnp.zeros((1, LENGTH))
    np.testing.assert_allclose(spectral_convergence(wanted[:1], silence, framing=FRAMING), 1.0, rtol=1e-6)
    assert spectral_convergence(jnp.zeros((1, 64, 129)), silence, framing=FRAMING) == 0.0
