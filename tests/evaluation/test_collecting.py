"""Streams of sounds through embedders, against doing it all at once in NumPy."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from evaluation_cases import HOP, RATE, WINDOW, linear_embedder, noises, on_host, stream
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from drumgan_jax.audio.files import resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.collecting import EMBEDDINGS, LOGITS, MOMENTS, Stream, embed, sampled, windows_of
from drumgan_jax.evaluation.embedder import EmbedderOutput
from drumgan_jax.evaluation.embedders import build_embedder
from drumgan_jax.evaluation.intervals import GROUPS
from drumgan_jax.evaluation.moments import Moments

ALL = {"linear": {MOMENTS, EMBEDDINGS, LOGITS}}


def sharding(devices: int) -> NamedSharding:
    return NamedSharding(Mesh(np.asarray(jax.devices()[:devices]), ("data",)), PartitionSpec("data"))


@pytest.mark.parametrize(("samples", "count"), [(1, 1), (63, 1), (64, 1), (111, 1), (112, 2), (160, 3), (208, 4)])
def test_windows_are_the_full_ones_or_one_filled_up(samples: int, count: int) -> None:
    waveform = np.arange(1, samples + 1, dtype=np.float32)
    windows = windows_of(waveform, WINDOW, HOP)
    assert windows.shape == (count, WINDOW)
    if samples < WINDOW:
        np.testing.assert_array_equal(windows[0], np.pad(waveform, (0, WINDOW - samples)))
    for index, window in enumerate(windows if samples >= WINDOW else []):
        np.testing.assert_array_equal(window, waveform[index * HOP : index * HOP + WINDOW])


@pytest.mark.smoke
@pytest.mark.parametrize("devices", [None, 1, 4])
def test_a_stream_equals_all_at_once(devices: int | None) -> None:
    embedder = linear_embedder()
    waveforms = [*noises(150, seed=1), *noises(3, seed=2, samples=30), *noises(2, seed=3, samples=1000)]
    seen = embed(stream(waveforms), [embedder], ALL, None if devices is None else sharding(devices))["linear"]
    windows = np.concatenate([windows_of(one, WINDOW, HOP) for one in waveforms]).astype(np.float64)
    expected = windows @ embedder.variables["embedding"]
    assert (seen.sounds, seen.rows) == (155, 150 * 3 + 3 + 2 * 20)
    np.testing.assert_allclose(seen.embeddings, expected, atol=1e-5)
    np.testing.assert_allclose(seen.logits, windows @ embedder.variables["logits"], atol=1e-5)
    assert len(seen.moments) == GROUPS
    whole = Moments.of(seen.embeddings)
    assert seen.total.count == whole.count
    np.testing.assert_allclose(seen.total.mean, whole.mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(seen.total.covariance, whole.covariance, rtol=1e-9, atol=1e-12)


def test_groups_are_consecutive_sounds() -> None:
    waveforms = noises(25)
    seen = embed(stream(waveforms), [linear_embedder()], ALL)["linear"]
    assert [group.count for group in seen.moments] == [9, 6] * 5
    first = Moments.of(seen.embeddings[:9])
    np.testing.assert_allclose(seen.moments[0].mean, first.mean, rtol=1e-9)


def test_only_what_is_needed_is_kept() -> None:
    seen = embed(stream(noises(20)), [linear_embedder()], {"linear": {LOGITS}})["linear"]
    assert (seen.moments, seen.embeddings, seen.logits.shape) == (None, None, (60, 3))


def test_other_rates_are_resampled() -> None:
    waveforms = noises(10, samples=320)
    seen = embed(stream(waveforms, rate=2 * RATE), [linear_embedder()], ALL)["linear"]
    same = embed(stream([resample(one, 2 * RATE, RATE) for one in waveforms]), [linear_embedder()], ALL)["linear"]
    np.testing.assert_array_equal(seen.embeddings, same.embeddings)


@pytest.mark.parametrize("devices", [None, 4])
def test_a_sound_that_is_not_finite_is_named(devices: int | None) -> None:
    waveforms = noises(70)
    waveforms[67, 150] = np.nan
    with pytest.raises(BadInput, match=r"^the linear embedding of sound 67 holds NaN"):
        embed(stream(waveforms), [linear_embedder()], ALL, None if devices is None else sharding(devices))


@pytest.mark.parametrize("devices", [None, 4])
def test_a_host_embedder_gives_what_it_would_on_the_devices(devices: int | None) -> None:
    waveforms = [*noises(150, seed=1), *noises(3, seed=2, samples=30)]
    asked, many = [], None if devices is None else sharding(devices)

    def function(windows: np.ndarray) -> EmbedderOutput:
        asked.append(len(windows))
        return on_host(linear_embedder()).function(windows)

    host = embed(stream(waveforms), [on_host(linear_embedder(), function=function)], ALL, many)["linear"]
    device = embed(stream(waveforms), [linear_embedder()], ALL, many)["linear"]
    # No window is embedded that is only there to fill up a batch.
    assert sum(asked) == host.rows == device.rows
    np.testing.assert_array_equal(host.sound_of_row, device.sound_of_row)
    np.testing.assert_allclose(host.embeddings, device.embeddings, atol=1e-5)
    np.testing.assert_allclose(host.logits, device.logits, atol=1e-5)
    for one, other in zip(host.moments, device.moments, strict=True):
        assert one.count == other.count
        np.testing.assert_allclose(one.mean, other.mean, atol=1e-6)
        np.testing.assert_allclose(one.covariance, other.covariance, atol=1e-5)


def test_a_host_embedder_may_have_several_rows_a_window_and_no_logits() -> None:
    halves = on_host(
        linear_embedder(),
        dimensions=32,
        rows_per_window=2,
        num_classes=0,
        function=lambda windows: EmbedderOutput(windows.reshape(-1, 32).astype(np.float64)),
    )
    seen = embed(stream(noises(3, samples=WINDOW)), [halves], {"linear": {MOMENTS, EMBEDDINGS}})["linear"]
    np.testing.assert_array_equal(seen.embeddings, noises(3, samples=WINDOW).reshape(6, 32))
    assert seen.embeddings.dtype == np.float32
    assert seen.sound_of_row.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (np.ones((2, 4)), "no EmbedderOutput"),
        (EmbedderOutput(np.ones((2, 5)), np.ones((2, 3))), r"embedding is of shape \(2, 5\) and type float64 for 2"),
        (EmbedderOutput(np.ones((3, 4)), np.ones((3, 3))), r"must be floats \[2, 4\]"),
        (EmbedderOutput(np.ones((2, 4), complex), np.ones((2, 3))), "type complex128"),
        (EmbedderOutput(np.ones((2, 4), int), np.ones((2, 3))), "type int64"),
        (EmbedderOutput([[1.0] * 4] * 2, np.ones((2, 3))), "embedding is a list"),
        (EmbedderOutput(np.ones((2, 4))), "logits is a NoneType"),
        (EmbedderOutput(np.ones((2, 4)), np.ones((2, 2))), r"logits is of shape \(2, 2\)"),
    ],
)
def test_a_host_embedder_that_returns_something_else_is_one_sentence(output: Any, sentence: str) -> None:
    wrong = on_host(linear_embedder(), function=lambda _: output)
    with pytest.raises(BadInput, match=rf"^the embedder linear does not do as it says with sound 0: .*{sentence}"):
        embed(stream(noises(2, samples=WINDOW)), [wrong], ALL)


@pytest.mark.parametrize("value", [np.nan, 1e39])
def test_numbers_of_a_host_embedder_that_are_not_finite_are_of_a_named_sound(value: float) -> None:
    def function(windows: np.ndarray) -> EmbedderOutput:
        embedding = windows.astype(np.float64) @ np.ones((WINDOW, 4))
        embedding[40:] = value
        return EmbedderOutput(embedding, np.ones((len(windows), 3)))

    with pytest.raises(BadInput, match=r"^the linear embedding of sound 40 holds NaN or infinite"):
        embed(stream(noises(50, samples=WINDOW)), [on_host(linear_embedder(), function=function)], ALL, sharding(2))


def test_a_device_embedder_of_another_width_is_one_sentence() -> None:
    wrong = dataclasses.replace(linear_embedder(), dimensions=5)
    with pytest.raises(
        BadInput, match=r"the embedder linear does not do as it says: its embedding is of shape \(32, 4"
    ):
        embed(stream(noises(2)), [wrong], ALL)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"sample_rate": 44100.0}, "embedder linear has sample_rate 44100.0; it must be a whole number of at least 1"),
        ({"sample_rate": 0}, "sample_rate 0"),
        ({"window": 0}, "window 0"),
        ({"hop": -3}, "hop -3"),
        ({"dimensions": True}, "dimensions True"),
        ({"rows_per_window": 0}, "rows_per_window 0"),
        ({"num_classes": -1}, "num_classes -1; it must be a whole number of at least 0"),
        ({"name": "a/b"}, "has the name 'a/b'; give it a text without a slash"),
        ({"classes": ("one",)}, "names 1 classes and has num_classes 3"),
    ],
)
def test_an_embedder_that_cannot_be_is_refused_when_it_is_built(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        dataclasses.replace(linear_embedder(), **changes)


def test_embedders_multiply_alike_on_every_machine() -> None:
    plain = dataclasses.replace(
        linear_embedder(),
        dimensions=2,
        num_classes=0,
        function=lambda _, windows: EmbedderOutput(windows @ windows.T),
    )
    windows = jax.ShapeDtypeStruct((2, WINDOW), "float32")
    assert "HIGHEST" not in str(jax.make_jaxpr(plain.function)({}, windows))
    assert "HIGHEST" in str(jax.make_jaxpr(plain.embed)({}, windows))


def test_nothing_to_measure() -> None:
    with pytest.raises(BadInput, match="no sounds to measure"):
        embed(Stream(0, []), [linear_embedder()], ALL)


def test_sampled_asks_for_every_sound_once() -> None:
    asked = []

    def sample(start: int, count: int) -> np.ndarray:
        asked.append((start, count))
        return np.arange(start, start + count, dtype=np.float32)[:, None]

    sounds = list(sampled(sample, 10, RATE, 4).sounds)
    assert asked == [(0, 4), (4, 4), (8, 2)]
    assert [float(sound.waveform[0]) for sound in sounds] == list(range(10))
    assert sounds[9].name == "generated sound 9"


@pytest.mark.smoke
def test_log_mel_frames_equal_numpy() -> None:
    embedder = build_embedder("log_mel")
    rate, n_fft, hop = embedder.sample_rate, 1024, 256
    windows = noises(2, samples=embedder.window)
    rows = np.asarray(embedder.function({}, windows).embedding)
    assert rows.shape == (2 * embedder.rows_per_window, 40)

    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    mel_of = lambda hz: 2595 * np.log10(1 + hz / 700)  # noqa: E731
    edges = 700 * (10 ** (np.linspace(mel_of(20), mel_of(rate / 2), 42) / 2595) - 1)
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    expected = []
    for window in windows.astype(np.float64):
        padded = np.pad(window, n_fft // 2)
        for start in range(0, len(padded) - n_fft + 1, hop):
            magnitude = np.abs(np.fft.rfft(padded[start : start + n_fft] * hann)) / hann.sum()
            up = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
            down = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
            expected.append(np.log(np.maximum(0, np.minimum(up, down)) @ magnitude + 1e-4))
    np.testing.assert_allclose(rows, expected, atol=1e-4)
