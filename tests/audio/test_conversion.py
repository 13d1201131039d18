"""What a generator writes, converted, against the feature networks' own front ends on the same sounds."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.audio.conversion import MUSICNN, SHORT_CHUNK, VGGISH, Conversion, MelScale, of_front_end
from drumgan_jax.audio.files import resample
from drumgan_jax.audio.front_end import LogMelFrontEnd, MelFrontEnd
from drumgan_jax.audio.musicnn_mel import musicnn_log_mel
from drumgan_jax.audio.representations import Complex, LogMagnitude, LogMel, LogPower
from drumgan_jax.audio.short_chunk_mel import decibel_mel
from drumgan_jax.audio.vggish_mel import vggish_log_mel
from drumgan_jax.core.errors import BadInput
from tests.audio.conftest import synthesised_sounds

pytestmark = pytest.mark.usefixtures("unoptimized")
RATE = 16_000
MELS = {"sample_rate": RATE, "n_fft": 512, "hop_length": 160, "num_mels": 64}
LOG_MEL = LogMel(**MELS, num_frames=64)


def fitted(representation: Any, waveforms: np.ndarray) -> Any:
    """The representation with statistics of some sounds, so wide that no power is clipped."""
    features = np.asarray(jax.jit(representation.transform)(waveforms))
    axes = (0, 2, 3) if representation.normalization_shape[0] > 1 else (0, 1, 2, 3)
    mean, std = (statistic(features, axis=axes, keepdims=True)[0] for statistic in (np.mean, np.std))
    return representation.with_normalization(mean, 2 * std)


def converted(representation: Any, target: MelScale, waveforms: np.ndarray) -> np.ndarray:
    """Converted examples [batch, bands, frames] of waveforms [batch, samples]."""
    conversion = Conversion(fitted(representation, waveforms), target)
    x = jax.jit(conversion.representation.encode)(waveforms)
    out = np.asarray(jax.jit(conversion)(x))
    assert out.shape == (len(waveforms), *conversion.shape)
    assert out.dtype == np.float32
    return out[..., 0]


def heard_by_vggish(waveforms: np.ndarray, first: int, frames: int) -> np.ndarray:
    """VGGish's log mel [batch, 64, frames] of frames centred at samples `first`, `first` + 160 and so on."""
    padded = np.pad(waveforms, ((0, 0), (200, 400)), mode="reflect")
    return np.asarray(jax.jit(vggish_log_mel)(padded[:, first:]))[:, :frames].swapaxes(1, 2)


@pytest.mark.smoke
def test_a_classifier_of_the_generators_bands_hears_them_exactly(sounds) -> None:
    waveforms = sounds(RATE, LOG_MEL.num_samples)
    front_end = LogMelFrontEnd(**MELS, num_samples=LOG_MEL.num_samples, mean=-1.3, std=0.8)
    bands = converted(LOG_MEL, of_front_end(front_end), waveforms)
    np.testing.assert_allclose(bands[..., None], front_end(waveforms), atol=2e-5)


@pytest.mark.parametrize("kind", [LogMagnitude, LogPower])
def test_vggish_hears_bins_of_its_own_window_as_they_are(sounds, kind) -> None:
    # Four frames to one of VGGish's.
    representation = kind(sample_rate=RATE, n_fft=512, win_length=400, hop_length=40, num_frames=163)
    waveforms = sounds(RATE, representation.num_samples)
    bands = converted(representation, VGGISH, waveforms)
    assert bands.shape[1:] == (64, 41)
    beyond = np.pad(waveforms, ((0, 0), (200, 200)))
    np.testing.assert_allclose(bands, heard_by_vggish(beyond, 200 + 40, 41), rtol=0, atol=1e-3)


def test_the_short_chunk_network_hears_bins_of_its_own_window_as_they_are(sounds) -> None:
    representation = LogMagnitude(sample_rate=RATE, n_fft=512, hop_length=128, num_frames=32)
    waveforms = sounds(RATE, representation.num_samples)
    bands = converted(representation, SHORT_CHUNK, waveforms)
    # Beyond the ends are zeros there, and a mirror here.
    np.testing.assert_allclose(bands[:, :, 1:15], decibel_mel(waveforms)[:, :, 1:15], rtol=0, atol=1e-3)


def test_musicnn_hears_bins_of_its_own_window_as_they_are(sounds) -> None:
    representation = LogMagnitude(sample_rate=RATE, n_fft=512, hop_length=128, num_frames=32)
    waveforms = sounds(RATE, representation.num_samples)
    bands = converted(representation, MUSICNN, waveforms)
    np.testing.assert_allclose(bands[:, :, 1:15], musicnn_log_mel(waveforms)[:, :, 1:15], rtol=0, atol=1e-3)


def test_frames_of_a_loop_turn_with_it() -> None:
    """Eight frames of the representation last as long as five of musicnn's."""
    loop = LogMel(**MELS, num_frames=64, circular=True)
    waveforms = synthesised_sounds(RATE, loop.num_samples)
    representation = fitted(loop, waveforms)
    x = np.asarray(representation.encode(waveforms))
    convert = jax.jit(Conversion(representation, MUSICNN))
    first = np.asarray(convert(x))
    assert first.shape[2] == 40
    np.testing.assert_allclose(convert(np.roll(x, 8, axis=2)), np.roll(first, 5, axis=2), atol=1e-4)


@pytest.mark.parametrize("kind", [LogMagnitude, LogPower])
def test_a_classifier_of_decibels_hears_bins_of_its_own_transform_as_they_are(kind) -> None:
    representation = kind(sample_rate=RATE, n_fft=1024, hop_length=256, num_frames=16)
    waveforms = synthesised_sounds(RATE, representation.num_samples)
    front_end = MelFrontEnd(
        sample_rate=RATE, num_samples=representation.num_samples, n_fft=1024, hop_length=256, num_mels=64, mean=-80.0
    )
    bands = converted(representation, of_front_end(front_end), waveforms)
    np.testing.assert_allclose(bands[..., None], front_end(waveforms), rtol=0, atol=1e-3)


def errors(found: np.ndarray, expected: np.ndarray) -> tuple[float, float, float]:
    """Mean and largest error, and correlation, of all frames but those that reach beyond the ends."""
    found, expected = found[:, :, 2:-2], expected[:, :, 2:-2]
    off = np.abs(found - expected)
    return float(off.mean()), float(off.max()), float(np.corrcoef(found.ravel(), expected.ravel())[0, 1])


def heard_by_short_chunk(waveforms: np.ndarray, first: int, frames: int) -> np.ndarray:
    """Decibels [batch, 128, frames] of frames centred at samples `first`, `first` + 256 and so on."""
    padded = np.pad(waveforms, ((0, 0), (0, 512)), mode="reflect")[:, first:]
    return np.asarray(jax.jit(decibel_mel)(padded))[:, :, :frames]


def test_other_bands_come_near_the_front_end() -> None:
    """The bounds are what was measured on these sounds, rounded up; benchmarks/bench_conversion.py has recordings."""
    noise = np.random.default_rng(0).standard_normal((6, LOG_MEL.num_samples)).astype(np.float32)
    # Above the floor of the bands: what lies below it they do not tell.
    waveforms = synthesised_sounds(RATE, LOG_MEL.num_samples) + 1e-3 * noise
    mean, largest, correlation = errors(converted(LOG_MEL, VGGISH, waveforms), heard_by_vggish(waveforms, 80, 64))
    assert mean < 0.13
    assert largest < 2.0
    assert correlation > 0.996
    decibels = converted(LOG_MEL, SHORT_CHUNK, waveforms)
    mean, largest, correlation = errors(decibels, heard_by_short_chunk(waveforms, 128, decibels.shape[2]))
    assert mean < 2.1
    assert largest < 38.0
    assert correlation > 0.988


def test_the_level_of_noise_is_right_on_the_mean_of_logarithms() -> None:
    noise = 0.1 * np.random.default_rng(1).standard_normal((24, LOG_MEL.num_samples)).astype(np.float32)
    off = converted(LOG_MEL, VGGISH, noise) - heard_by_vggish(noise, 80, 64)
    np.testing.assert_allclose(off.mean(axis=(0, 2)), 0.0, atol=0.03)
    decibels = converted(LOG_MEL, SHORT_CHUNK, noise)
    off = decibels - heard_by_short_chunk(noise, 128, decibels.shape[2])
    np.testing.assert_allclose(off.mean(axis=(0, 2)), 0.0, atol=0.4)


def test_another_sample_rate_and_transform_come_near() -> None:
    representation = LogMagnitude(sample_rate=44_100, n_fft=1024, hop_length=441, num_frames=64)
    waveforms = synthesised_sounds(44_100, representation.num_samples)
    bands = converted(representation, VGGISH, waveforms)
    slower = np.stack([resample(waveform, 44_100, RATE) for waveform in waveforms]).astype(np.float32)
    mean, largest, correlation = errors(bands, heard_by_vggish(slower, 0, bands.shape[2]))
    assert mean < 0.05
    assert largest < 2.2
    assert correlation > 0.998


def test_frames_cover_the_example_at_the_networks_hop() -> None:
    for hop, frames, expected in ((160, 64, 64), (320, 32, 64), (80, 64, 32), (100, 64, 40)):
        representation = LogMel(sample_rate=RATE, n_fft=512, hop_length=hop, num_mels=32, num_frames=frames)
        assert Conversion(representation, VGGISH).shape == (64, expected, 1)


def test_frames_between_others_are_on_straight_lines() -> None:
    """Levels that rise by the same step from frame to frame are read at places between them, and held at the ends."""
    representation = LogMel(sample_rate=RATE, n_fft=512, hop_length=320, num_mels=32, num_frames=4)
    representation = representation.with_normalization(-1.0, 0.5)
    front_end = LogMelFrontEnd(sample_rate=RATE, num_samples=1280, n_fft=512, hop_length=160, num_mels=32, mean=0.0)
    levels = np.broadcast_to(np.float32([-2.0, -1.0, 0.0, 1.0]), (1, 32, 4))[..., None]
    out = Conversion(representation, of_front_end(front_end))((levels + 1.0) / np.float32(0.5))
    places = np.clip((80 + 160 * np.arange(8) - 160) / 320, 0, 3)
    np.testing.assert_allclose(out[0, 5, :, 0], places - 2.0, atol=1e-6)


SMALL = {"sample_rate": RATE, "n_fft": 128, "hop_length": 64, "num_frames": 8}
SOURCES = [LogMagnitude(**SMALL), LogPower(**SMALL), LogMel(**SMALL, num_mels=16)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_gradients_are_finite_from_silence_to_what_no_waveform_has(source) -> None:
    sound = synthesised_sounds(RATE, source.num_samples)[2:3]
    source = fitted(source, sound)
    silence = source.transform(np.zeros_like(sound))
    features = jnp.concatenate([silence, silence - 60.0, 60.0 - silence, source.transform(sound)])
    mean, deviation = (np.float32(value).reshape(source.normalization_shape) for value in (source.mean, source.std))
    x = (features - mean) / (deviation * np.float32(source.sigmas))
    front_end = MelFrontEnd(sample_rate=RATE, num_samples=source.num_samples, n_fft=128, hop_length=64, num_mels=16)
    for target, of_silence in ((VGGISH, np.log(0.01)), (SHORT_CHUNK, -100.0), (of_front_end(front_end), -1.0)):
        conversion = Conversion(source, target)
        weights = np.random.default_rng(0).standard_normal((len(x), *conversion.shape)).astype(np.float32)
        out, gradient = jax.jit(lambda x, c=conversion, w=weights: (c(x), jax.grad(lambda x: (c(x) * w).sum())(x)))(x)
        assert np.isfinite(out).all()
        assert np.isfinite(gradient).all()
        assert np.abs(gradient[3]).max() > 0.1
        # Powers of silence are told to a tenth of the floor.
        np.testing.assert_allclose(out[:2], of_silence, atol=2e-3)


def test_conversions_are_equal_where_they_do_the_same() -> None:
    representation = LOG_MEL.with_normalization(-1.0, 0.5)
    assert hash(Conversion(representation, VGGISH)) == hash(Conversion(representation, VGGISH))
    front_end = LogMelFrontEnd(**MELS, num_samples=LOG_MEL.num_samples)
    scales = of_front_end(front_end), of_front_end(LogMelFrontEnd(**MELS, num_samples=LOG_MEL.num_samples, fmax=8000.0))
    assert scales[0] == scales[1] != VGGISH


def test_what_cannot_be_converted_is_told_in_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"a Complex representation cannot be converted .*; choose log_magnitude"):
        Conversion(Complex(sample_rate=RATE, n_fft=64, hop_length=32, num_frames=8), VGGISH)
    x = np.zeros((1, *LOG_MEL.shape), np.float32)
    with pytest.raises(BadInput, match="no fitted mean and std"):
        Conversion(LOG_MEL, VGGISH)(x)
    with pytest.raises(BadInput, match=r"takes \[batch, \*\(64, 64, 1\)\]"):
        Conversion(LOG_MEL.with_normalization(0.0, 1.0), VGGISH)(x[:, :, :32])
