"""How networks see complex spectra: compressed magnitudes, and phases as of the windows' centres."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio.representations import build_representation, differences
from drumgan_jax.core.errors import BadInput

PLAIN = {"kind": "complex", "sample_rate": 16000, "n_fft": 256, "hop_length": 64, "num_frames": 32}
BOTH = {"compression": 0.4, "centred": True}


def built(**settings):
    return build_representation(PLAIN | settings).with_normalization(0.0, 0.7)


def noise() -> jax.Array:
    return 0.3 * jax.random.normal(jax.random.key(0), (2, built().num_samples))


def as_complex(x) -> np.ndarray:
    x = np.asarray(x, np.float64)
    return x[..., 0] + 1j * x[..., 1]


@pytest.mark.parametrize("settings", [{}, {"compression": 0.4}, {"centred": True}, BOTH])
def test_the_round_trip_is_exact(settings: dict) -> None:
    representation, waveform = built(**settings), noise()
    plain = built().invert(built().encode(waveform))
    decoded = representation.invert(representation.encode(waveform))
    np.testing.assert_allclose(decoded, plain, atol=2e-5)


def test_compression_raises_magnitudes_to_a_power_and_keeps_phases() -> None:
    plain, seen = as_complex(built().encode(noise())), as_complex(built(compression=0.4).encode(noise()))
    np.testing.assert_allclose(seen, np.abs(plain) ** 0.4 * np.exp(1j * np.angle(plain)), atol=1e-4)


def test_the_phase_is_that_of_the_centre() -> None:
    """An impulse at the centre of a frame has phase 0 there in every bin, and so survives averaging over bins."""
    representation = built()
    waveform = jnp.zeros((1, representation.num_samples)).at[0, 10 * 64].set(1.0)
    centred, plain = (built(centred=c).encode(waveform)[0, :, 10] for c in (True, False))
    np.testing.assert_allclose(as_complex(centred), 1 / 0.7, atol=1e-5)
    np.testing.assert_allclose(np.abs(as_complex(centred).reshape(-1, 4).mean(axis=1)), 1 / 0.7, atol=1e-5)
    np.testing.assert_allclose(np.abs(as_complex(plain).reshape(-1, 4).mean(axis=1)), 0.0, atol=1e-5)


def test_silence_is_silence_and_has_a_gradient() -> None:
    representation = built(**BOTH)
    silence = jnp.zeros((1, representation.num_samples))
    np.testing.assert_array_equal(representation.encode(silence), 0.0)
    gradient = jax.grad(lambda x: jnp.sum(jnp.square(representation.invert(x))))
    assert np.isfinite(gradient(jnp.zeros((1, *representation.shape)))).all()


def test_data_sets_do_not_depend_on_how_networks_see_them() -> None:
    np.testing.assert_array_equal(built(**BOTH).transform(noise()), built().transform(noise()))
    assert not differences(built(**BOTH), built())
    assert differences(built(**BOTH), built(), seen=True) == [
        "compression: 0.4 against 1.0",
        "centred: True against False",
    ]


@pytest.mark.parametrize("compression", [0.0, 1.5, -1, True, "half"])
def test_impossible_compression(compression: object) -> None:
    with pytest.raises(BadInput, match="above 0 and at most 1"):
        built(compression=compression)


def relative(x, other) -> float:
    """RMS of the difference, as a share of the second one's."""
    return float(np.sqrt(np.square(np.asarray(x) - other).mean() / np.square(other).mean()))


def test_consistent_examples_are_the_spectra_of_a_waveform() -> None:
    representation = built()
    x = jax.random.normal(jax.random.key(1), (2, *representation.shape))
    once = representation.consistent(x)
    assert relative(once, x) > 0.5
    # But for the highest bin, which examples lack.
    assert relative(representation.invert(once), representation.invert(x)) < 0.05
    assert relative(representation.consistent(once), once) < 0.05


def test_examples_of_sounds_are_consistent() -> None:
    """But for what is soft, and the highest bin, which examples lack."""
    examples = built(**BOTH).encode(noise())
    assert relative(built(**BOTH).consistent(examples), examples) < 0.1
    gradient = jax.grad(lambda x: jnp.sum(jnp.square(built(**BOTH).consistent(x) - 1.0)))
    assert np.isfinite(gradient(jnp.zeros((1, *built().shape)))).all()
