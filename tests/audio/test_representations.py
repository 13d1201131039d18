"""Representations: the systems' dimensions, formulas in float64, round trips, statistics, refusals."""

import dataclasses
import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio import representations
from drumgan_jax.audio.mel import mel_filterbank
from drumgan_jax.audio.phase import spectral_convergence
from drumgan_jax.audio.representations import build_representation, differences, encode, settings_of
from drumgan_jax.audio.stft import stft
from drumgan_jax.core.errors import BadInput
from drumgan_jax.systems.decoders import build_decoder

pytestmark = pytest.mark.usefixtures("unoptimized")
SYSTEMS = {
    "style_drumsynth": {"kind": "waveform", "sample_rate": 44100, "num_samples": 16384},
    "splice_loops": {"kind": "log_magnitude", "sample_rate": 22050, "n_fft": 512, "hop_length": 128, "num_frames": 512},
    "electrogan": {"kind": "log_power", "sample_rate": 44100, "n_fft": 2048, "hop_length": 1025, "num_frames": 1024},
    "drumgan_vst": {"kind": "complex", "sample_rate": 44100, "n_fft": 2048, "hop_length": 512, "num_frames": 48},
    "pjloopgan": {
        "kind": "log_mel",
        "sample_rate": 16000,
        "n_fft": 1024,
        "hop_length": 160,
        "num_frames": 200,
        "circular": True,
        "num_mels": 64,
    },
}
SMALL = {
    "waveform": {"kind": "waveform", "sample_rate": 16000, "num_samples": 1984},
    "log_magnitude": {
        "kind": "log_magnitude",
        "sample_rate": 16000,
        "n_fft": 256,
        "hop_length": 64,
        "num_frames": 32,
    },
    "log_power": {
        "kind": "log_power",
        "sample_rate": 16000,
        "n_fft": 128,
        "hop_length": 65,
        "num_frames": 32,
    },
    "complex": {"kind": "complex", "sample_rate": 16000, "n_fft": 256, "hop_length": 64, "num_frames": 32},
    "log_mel": {
        "kind": "log_mel",
        "sample_rate": 16000,
        "n_fft": 256,
        "hop_length": 40,
        "num_frames": 48,
        "num_mels": 24,
    },
}


# Iterations of Griffin-Lim.
ITERATIONS = {"log_magnitude": 16, "log_power": 10, "log_mel": 16}


@functools.partial(jax.jit, static_argnums=0)
def decode(representation, x):
    """Waveforms by the usual decoder, of phases that a fixed key starts."""
    kind = settings_of(representation)["kind"]
    section = {"kind": "griffin_lim", "iterations": ITERATIONS[kind]} if kind in ITERATIONS else {}
    return build_decoder(section, representation).decode(x, jax.random.split(jax.random.key(0), len(x)))


def fitted(settings: dict, waveform: np.ndarray):
    """The representation with the statistics of these waveforms."""
    unfitted = build_representation(settings)
    features = np.asarray(representations.transform(unfitted, jnp.asarray(waveform)), np.float64)
    axes = (0, *(axis + 1 for axis, size in enumerate(unfitted.normalization_shape) if size == 1))
    return unfitted.with_normalization(
        features.mean(axis=axes, keepdims=True)[0], features.std(axis=axes, keepdims=True)[0]
    )


def spectrum_in_float64(waveform: np.ndarray, settings: dict) -> np.ndarray:
    """Complex spectra [batch, n_fft / 2 + 1, frames] from the definition."""
    n_fft, hop = settings["n_fft"], settings["hop_length"]
    if settings["kind"] == "log_mel":
        before = (n_fft - hop) // 2
        padded = np.pad(waveform.astype(np.float64), ((0, 0), (before, n_fft - hop - before)), mode="reflect")
    else:
        padded = np.pad(waveform.astype(np.float64), ((0, 0), (n_fft // 2, n_fft // 2)))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    starts = hop * np.arange(settings["num_frames"])
    return np.stack([np.fft.rfft(window * padded[:, s : s + n_fft]) for s in starts], axis=-1)


def without_nyquist(waveform: np.ndarray, settings: dict) -> np.ndarray:
    """The least-squares waveform of the spectra less their Nyquist bins, in float64 [batch, samples]."""
    n_fft, hop, frames = settings["n_fft"], settings["hop_length"], settings["num_frames"]
    spectrum = spectrum_in_float64(waveform, settings)
    spectrum[:, -1] = 0.0
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    signal, weight = np.zeros((len(waveform), (frames - 1) * hop + n_fft)), np.zeros((frames - 1) * hop + n_fft)
    for t in range(frames):
        signal[:, t * hop : t * hop + n_fft] += window * np.fft.irfft(spectrum[:, :, t], n=n_fft)
        weight[t * hop : t * hop + n_fft] += window**2
    kept = slice(n_fft // 2, n_fft // 2 + (frames - 1) * hop)
    return signal[:, kept] / weight[kept]


def snr(wanted: np.ndarray, got: np.ndarray) -> np.ndarray:
    """Signal to noise ratio [batch] in dB."""
    noise = np.sum((got - wanted) ** 2, axis=1)
    return 10 * np.log10(np.sum(wanted**2, axis=1) / np.maximum(noise, 1e-30))


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("system", "shape", "samples", "normalization_shape"),
    [
        ("style_drumsynth", (1, 16384, 1), 16384, (1, 1, 1)),
        ("splice_loops", (256, 512, 1), 65408, (1, 1, 1)),
        ("electrogan", (1024, 1024, 1), 1_048_575, (1, 1, 1)),
        ("drumgan_vst", (1024, 48, 2), 24064, (1, 1, 1)),
        ("pjloopgan", (64, 200, 1), 32000, (64, 1, 1)),
    ],
)
def test_dimensions_are_the_systems(system: str, shape: tuple, samples: int, normalization_shape: tuple) -> None:
    representation = build_representation(SYSTEMS[system])
    assert (representation.shape, representation.num_samples) == (shape, samples)
    assert representation.normalization_shape == normalization_shape
    waveform = jax.ShapeDtypeStruct((2, samples), jnp.float32)
    assert jax.eval_shape(representation.transform, waveform).shape == (2, *shape)
    full = representation.with_normalization(0.5, 2.0)
    x = jax.eval_shape(full.encode, waveform)
    assert (x.shape, x.dtype) == ((2, *shape), jnp.float32)
    back = jax.eval_shape(functools.partial(decode, full), x)
    assert (back.shape, back.dtype) == ((2, samples), jnp.float32)


@pytest.mark.parametrize("kind", ["log_magnitude", "log_power", "complex", "log_mel"])
def test_features_and_normalisation_are_their_formulas(sounds, kind: str) -> None:
    settings = SMALL[kind]
    waveform = sounds(16000, build_representation(settings).num_samples)
    representation = fitted(settings, waveform)
    spectrum = spectrum_in_float64(waveform, settings)
    features = np.asarray(representations.transform(representation, waveform), np.float64)
    # Logarithms are undone, since near the floor they magnify the float32 rounding of a loud frame's other bins.
    if kind == "log_magnitude":
        linear, expected = np.exp(features), (np.abs(spectrum[:, :-1]) + 1e-3)[..., None]
    elif kind == "log_power":
        linear, expected = np.exp(features), (np.abs(spectrum[:, :-1]) ** 2 + 1e-10)[..., None]
    elif kind == "complex":
        linear, expected = features, np.stack([spectrum[:, :-1].real, spectrum[:, :-1].imag], axis=-1)
    else:
        filters = mel_filterbank(16000, 256, 24, 0.0, 8000.0).astype(np.float64)
        bands = np.einsum("mf,bft->bmt", filters, np.abs(spectrum))
        linear, expected = 10.0**features, np.maximum(bands, 1e-5)[..., None]
    np.testing.assert_allclose(linear, expected, rtol=1e-5, atol=2e-7 * expected.max())

    mean, std = features.mean(), features.std()
    if kind == "log_mel":
        mean, std = features.mean(axis=(0, 2), keepdims=True), features.std(axis=(0, 2), keepdims=True)
    normalised = {
        "log_magnitude": (features - mean) / (3 * std),
        "log_power": np.clip((features - mean) / (3 * std), -1.0, 1.0),
        "complex": features / std,
        "log_mel": (features - mean) / std,
    }[kind]
    np.testing.assert_allclose(encode(representation, waveform), normalised, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("system", ["style_drumsynth", "drumgan_vst"])
def test_exact_representations_come_back_above_80_db(sounds, system: str) -> None:
    settings = SYSTEMS[system]
    waveform = sounds(settings["sample_rate"], build_representation(settings).num_samples)
    representation = fitted(settings, waveform)
    back = np.asarray(decode(representation, encode(representation, waveform)))
    wanted = without_nyquist(waveform, settings) if system == "drumgan_vst" else waveform
    assert snr(wanted, back).min() > 80.0


@pytest.mark.parametrize(
    ("kind", "lost_by_encoding", "lost_by_phases"),
    [("log_magnitude", 1e-3, 0.25), ("log_power", 0.9, 0.35), ("log_mel", 0.6, 0.35)],
)
def test_magnitude_representations_come_back_with_close_spectra(
    sounds, kind: str, lost_by_encoding: float, lost_by_phases: float
) -> None:
    waveform = sounds(16000, build_representation(SMALL[kind]).num_samples)
    representation = fitted(SMALL[kind], waveform)
    x = encode(representation, waveform)
    original = np.abs(stft(jnp.asarray(waveform), representation.framing))
    if kind != "log_mel":
        original[:, :, -1] = 0.0
    left = np.asarray(representation.magnitude(x))
    distance = np.linalg.norm(left - original, axis=(1, 2)) / np.linalg.norm(original, axis=(1, 2))
    assert np.mean(distance) < lost_by_encoding
    if kind == "log_power":
        # All that encoding changes is what it clips.
        kept = np.abs(x[..., 0].swapaxes(1, 2)) < 1.0
        np.testing.assert_allclose(left[:, :, :-1][kept], original[:, :, :-1][kept], rtol=1e-3, atol=2e-5)
    back = decode(representation, x)
    assert np.mean(spectral_convergence(left, back, framing=representation.framing)) < lost_by_phases


@pytest.mark.parametrize("kind", list(SMALL))
def test_statistics_survive_json_and_hashing(kind: str) -> None:
    unfitted = build_representation(SMALL[kind])
    std = np.random.default_rng(0).uniform(0.5, 2.0, unfitted.normalization_shape)
    representation = unfitted.with_normalization(std - 1.0, jnp.asarray(std, jnp.float32))
    again = build_representation(json.loads(json.dumps(settings_of(representation))))
    assert again == representation
    assert hash(again) == hash(representation)
    assert (representation == unfitted) == (kind == "waveform")
    assert not differences(representation, unfitted)


def test_differences_are_named() -> None:
    one = build_representation(SMALL["log_magnitude"])
    other = build_representation(SMALL["log_magnitude"] | {"hop_length": 32, "num_frames": 63})
    assert differences(one, other) == ["hop_length: 64 against 32", "num_frames: 32 against 63"]
    assert differences(one, build_representation(SMALL["log_power"])) == ["kind: log_magnitude against log_power"]


@pytest.mark.smoke
@pytest.mark.parametrize("kind", list(SMALL))
def test_compiled_once_and_equal_to_eager(kind: str) -> None:
    unfitted = build_representation(SMALL[kind])
    waveform = np.random.default_rng(0).uniform(-1, 1, (2, unfitted.num_samples)).astype(np.float32)
    representation = fitted(SMALL[kind], waveform)
    x = encode(representation, waveform)
    np.testing.assert_allclose(representation.encode(jnp.asarray(waveform)), x, rtol=0, atol=1e-4)
    decode(representation, x)
    sizes = encode._cache_size(), decode._cache_size()
    same = build_representation(settings_of(representation))
    decode(same, encode(same, waveform))
    assert (encode._cache_size(), decode._cache_size()) == sizes


@pytest.mark.parametrize("kind", ["log_magnitude", "log_power", "log_mel"])
@pytest.mark.parametrize("value", [-1e6, 1e6])
def test_absurd_network_output_gives_a_waveform_of_sane_size(kind: str, value: float) -> None:
    representation = build_representation(SMALL[kind]).with_normalization(-1.0, 2.0)
    waveform = decode(representation, jnp.full((1, *representation.shape), value, jnp.float32))
    # All bins at the loudest magnitude: an impulse as high as there are bins, at most.
    assert np.abs(waveform).max() < SMALL[kind]["n_fft"]


def test_silence_is_at_the_floor_and_comes_back_silent() -> None:
    for kind, floor in (("log_magnitude", np.log(1e-3)), ("log_power", np.log(1e-10)), ("log_mel", -5.0)):
        representation = build_representation(SMALL[kind]).with_normalization(float(floor), 1.0)
        silence = jnp.zeros((1, representation.num_samples))
        np.testing.assert_allclose(representations.transform(representation, silence), floor, rtol=1e-5)
        back = decode(representation, encode(representation, silence))
        assert np.abs(back).max() < 1e-3


@pytest.mark.parametrize("kind", ["log_magnitude", "log_power", "complex", "log_mel"])
def test_without_statistics_the_mend_is_named(kind: str) -> None:
    representation = build_representation(SMALL[kind])
    with pytest.raises(BadInput, match="prepare"):
        representation.encode(jnp.zeros((1, representation.num_samples)))
    with pytest.raises(BadInput, match="prepare"):
        decode(representation, jnp.zeros((1, *representation.shape)))


@pytest.mark.parametrize(
    ("mean", "std", "word"),
    [
        (0.0, 0.0, "std"),
        (0.0, -1.0, "std"),
        (0.0, np.nan, "std"),
        (np.inf, 1.0, "mean"),
        (np.zeros(3), 1.0, "mean"),
        ("loud", 1.0, "mean"),
        (None, 1.0, "together"),
    ],
)
def test_impossible_statistics_are_refused(mean: object, std: object, word: str) -> None:
    for kind in ("log_magnitude", "log_mel"):
        with pytest.raises(BadInput, match=word):
            build_representation(SMALL[kind]).with_normalization(mean, std)


@pytest.mark.parametrize(
    ("kind", "change", "word"),
    [
        ("waveform", {"num_samples": 0}, "num_samples"),
        ("waveform", {"sample_rate": 44100.0}, "sample_rate"),
        ("log_magnitude", {"sample_rate": -1}, "sample_rate"),
        ("log_magnitude", {"sample_rate": "44100"}, "sample_rate"),
        ("log_magnitude", {"n_fft": 255}, "even"),
        ("log_magnitude", {"hop_length": 257}, "hop_length"),
        ("log_magnitude", {"win_length": 300}, "win_length"),
        ("log_magnitude", {"num_frames": 1}, "num_frames"),
        ("log_magnitude", {"floor": 0.0}, "floor"),
        ("log_magnitude", {"floor": 1e3}, "floor"),
        ("log_magnitude", {"freq_bins": 128}, "freq_bins"),
        ("log_mel", {"num_frames": 2}, "num_frames"),
        ("log_mel", {"num_mels": 0}, "num_mels"),
        ("log_mel", {"num_mels": 200}, "num_mels"),
        ("log_mel", {"fmax": 9000.0}, "fmax"),
        ("mel_log", {}, "kind"),
    ],
)
def test_impossible_settings_are_refused(kind: str, change: dict, word: str) -> None:
    settings = SMALL.get(kind, {"kind": kind}) | change
    with pytest.raises(BadInput, match=word):
        build_representation(settings)


def test_arrays_of_another_size_are_refused() -> None:
    representation = build_representation(SMALL["complex"]).with_normalization(0.0, 1.0)
    with pytest.raises(BadInput, match="1984"):
        representation.encode(jnp.zeros((1, 1985)))
    with pytest.raises(BadInput, match="128, 32, 2"):
        representation.invert(jnp.zeros((1, 128, 32, 1)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        representation.sample_rate = 1
