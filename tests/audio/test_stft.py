"""STFT and inverse: librosa's numbers, exact round trips, gradients, refusals."""

import jax
import jax.numpy as jnp
import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.audio.stft import Framing, frame, istft, overlap_add, stft
from drumgan_jax.core.errors import BadInput

# The framings of the five systems (shortened waveforms), and awkward ones: a hop that does not divide n_fft, a hop
# above half the window, a window below n_fft, an odd n_fft.
CENTRED = [
    Framing(512, 128),
    Framing(2048, 1025),
    Framing(2048, 512),
    Framing(64, 24),
    Framing(512, 160, win_length=400),
    Framing(63, 17),
]
stft_jit = jax.jit(stft, static_argnames="framing")
istft_jit = jax.jit(istft, static_argnames=("framing", "length"))
frame_jit = jax.jit(frame, static_argnums=(1, 2))
overlap_add_jit = jax.jit(overlap_add, static_argnums=1)


def noise(batch: int, samples: int) -> np.ndarray:
    return np.random.default_rng(samples).uniform(-1.0, 1.0, (batch, samples)).astype(np.float32)


def numpy_stft(waveform: np.ndarray, framing: Framing) -> np.ndarray:
    """The definition, in float64: [frames, bins]."""
    size = framing.win_length or framing.n_fft
    window = np.zeros(framing.n_fft)
    start = (framing.n_fft - size) // 2
    window[start : start + size] = 0.5 * (1.0 - np.cos(2.0 * np.pi * np.arange(size) / size))
    mode = {"reflect": "reflect", "circular": "wrap"}.get(framing.padding, "constant")
    padded = np.pad(waveform.astype(np.float64), framing.pad, mode=mode)
    starts = range(0, len(padded) - framing.n_fft + 1, framing.hop_length)
    return np.stack([np.fft.rfft(window * padded[s : s + framing.n_fft]) for s in starts])


@pytest.mark.smoke
@pytest.mark.parametrize("framing", CENTRED)
def test_stft_agrees_with_librosa_within_float32_rounding(framing: Framing) -> None:
    waveform = noise(2, 5 * framing.n_fft + 7)
    expected = librosa.stft(waveform, n_fft=framing.n_fft, hop_length=framing.hop_length, win_length=framing.win_length)
    spectrum = stft_jit(waveform, framing)
    assert spectrum.dtype == jnp.complex64
    scale = np.abs(expected).max()
    np.testing.assert_allclose(spectrum, expected.swapaxes(1, 2), rtol=0, atol=1e-6 * scale)


@pytest.mark.parametrize("framing", CENTRED)
def test_istft_agrees_with_librosa_within_float32_rounding(framing: Framing) -> None:
    length = 5 * framing.hop_length
    rng = np.random.default_rng(0)
    shape = (2, framing.num_frames(length), framing.num_bins)
    # No waveform has this spectrum: the least-squares weighting shows.
    spectrum = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)
    expected = librosa.istft(
        spectrum.swapaxes(1, 2),
        n_fft=framing.n_fft,
        hop_length=framing.hop_length,
        win_length=framing.win_length,
        length=length,
    )
    np.testing.assert_allclose(
        istft_jit(spectrum, framing, length), expected, rtol=0, atol=3e-6 * np.abs(expected).max()
    )


@pytest.mark.parametrize(
    "framing",
    [
        *CENTRED,
        Framing(1024, 160, padding="reflect"),
        Framing(65, 16, padding="reflect"),
        Framing(400, 160, padding="none"),
        Framing(96, 36, padding="circular"),
        # A loop shorter than a frame, which sees it twice.
        Framing(1024, 300, padding="circular"),
    ],
)
def test_stft_agrees_with_its_definition_in_float64(framing: Framing) -> None:
    waveform = noise(1, 3 * framing.hop_length if framing.padding == "circular" else 3 * framing.n_fft + 5)
    expected = numpy_stft(waveform[0], framing)
    spectrum = stft_jit(waveform, framing)
    assert spectrum.shape[1] == framing.num_frames(waveform.shape[1])
    np.testing.assert_allclose(spectrum[0], expected, rtol=0, atol=1e-6 * np.abs(expected).max())


def test_uncentred_stft_agrees_with_librosa() -> None:
    waveform = noise(1, 4000)
    expected = librosa.stft(waveform, n_fft=400, hop_length=160, center=False)
    np.testing.assert_allclose(
        stft_jit(waveform, Framing(400, 160, padding="none")), expected.swapaxes(1, 2), rtol=0, atol=2e-5
    )


def test_reflected_framing_gives_exactly_samples_over_hop_frames() -> None:
    for n_fft, hop in ((1024, 160), (1024, 256), (400, 160), (65, 16)):
        framing = Framing(n_fft, hop, padding="reflect")
        assert stft_jit(jnp.zeros((1, 12 * hop + n_fft * hop)), framing).shape[1] == 12 + n_fft


@pytest.mark.parametrize(("n_fft", "hop", "frames"), [(96, 36, 9), (64, 24, 5), (512, 100, 2)])
def test_a_circular_loop_comes_back_from_its_spectra_and_turns_with_them(n_fft: int, hop: int, frames: int) -> None:
    framing = Framing(n_fft, hop, padding="circular")
    waveform = noise(2, frames * hop)
    spectrum = stft_jit(waveform, framing)
    assert spectrum.shape[1] == frames
    np.testing.assert_allclose(istft_jit(spectrum, framing, frames * hop), waveform, rtol=0, atol=3e-6)
    turned = stft_jit(np.roll(waveform, 2 * hop, axis=1), framing)
    np.testing.assert_allclose(turned, np.roll(spectrum, 2, axis=1), rtol=0, atol=1e-4)


@settings(max_examples=6, deadline=None)
@given(
    n_fft=st.integers(2, 48).map(lambda half: 2 * half),
    hop_share=st.floats(0.05, 0.75),
    frames=st.integers(2, 9),
    seed=st.integers(0, 2**16),
)
def test_istft_inverts_stft(n_fft: int, hop_share: float, frames: int, seed: int) -> None:
    hop = max(1, int(hop_share * n_fft))
    framing = Framing(n_fft, hop)
    length = (frames - 1) * hop
    waveform = np.random.default_rng(seed).uniform(-1.0, 1.0, (2, length)).astype(np.float32)
    spectrum = stft_jit(waveform, framing)
    assert spectrum.shape == (2, frames, framing.num_bins)
    back = istft_jit(spectrum, framing, length)
    assert back.dtype == jnp.float32
    # Where frames overlap little, some samples have been multiplied by a small window value and are divided by it.
    np.testing.assert_allclose(back, waveform, rtol=0, atol=5e-5)


@settings(max_examples=8, deadline=None)
@given(length=st.integers(1, 40), hop=st.integers(1, 40), count=st.integers(1, 6))
def test_frame_and_overlap_add_are_slices_and_their_transpose(length: int, hop: int, count: int) -> None:
    hop = min(hop, length)
    rng = np.random.default_rng(0)
    signal = rng.standard_normal((2, (count - 1) * hop + length + hop - 1)).astype(np.float32)
    expected = np.stack([signal[:, k * hop : k * hop + length] for k in range(count)], axis=1)
    np.testing.assert_array_equal(frame_jit(signal, length, hop), expected)
    total = np.zeros((2, (count - 1) * hop + length))
    for k in range(count):
        total[:, k * hop : k * hop + length] += expected[:, k]
    np.testing.assert_allclose(overlap_add_jit(expected, hop), total, rtol=0, atol=1e-5)


@pytest.mark.smoke
def test_compiled_and_eager_results_are_equal() -> None:
    framing, waveform = Framing(64, 24), jnp.asarray(noise(2, 500))
    np.testing.assert_allclose(stft_jit(waveform, framing), stft(waveform, framing), rtol=0, atol=1e-5)


def test_gradient_is_the_finite_difference_and_finite_at_silence() -> None:
    framing = Framing(32, 12)
    waveform, direction = jnp.asarray(noise(1, 120)), jnp.asarray(noise(1, 121)[:, 1:])

    @jax.jit
    def loss(waveform: jax.Array) -> jax.Array:
        spectrum = stft(waveform, framing)
        return jnp.sum(jnp.square(jnp.abs(spectrum))) + jnp.sum(istft(spectrum, framing, 120) ** 3)

    step = 1e-2
    slope = (loss(waveform + step * direction) - loss(waveform - step * direction)) / (2 * step)
    np.testing.assert_allclose(jnp.vdot(jax.jit(jax.grad(loss))(waveform), direction), slope, rtol=2e-3)
    of_silence = jax.jit(jax.grad(lambda w: jnp.sum(jnp.abs(stft(w, framing)))))
    assert np.isfinite(of_silence(jnp.zeros((1, 120)))).all()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"n_fft": 0, "hop_length": 1}, "n_fft"),
        ({"n_fft": 64, "hop_length": 16.0}, "hop_length"),
        ({"n_fft": 64, "hop_length": True}, "hop_length"),
        ({"n_fft": 64, "hop_length": 65}, "hop_length"),
        ({"n_fft": 64, "hop_length": 33, "win_length": 32}, "hop_length"),
        ({"n_fft": 64, "hop_length": 16, "win_length": 65}, "win_length"),
        ({"n_fft": 64, "hop_length": 16, "padding": "centre"}, "padding"),
    ],
)
def test_impossible_framings_are_refused(arguments: dict, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        Framing(**arguments)


def test_too_short_waveforms_are_refused() -> None:
    with pytest.raises(BadInput, match="10 samples"):
        stft(jnp.zeros((1, 10)), Framing(64, 16, padding="none"))
    with pytest.raises(BadInput, match="too short to be reflected"):
        stft(jnp.zeros((1, 24)), Framing(64, 16, padding="reflect"))
    with pytest.raises(BadInput, match="not a whole number of hops of 16"):
        stft(jnp.zeros((1, 100)), Framing(64, 16, padding="circular"))
