"""musicnn's embedder: its front end against NumPy float64, and what the original graph makes of recordings."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from make_musicnn_reference import projected

from drumgan_jax.audio.files import read_audio, resample
from drumgan_jax.audio.musicnn_mel import musicnn_log_mel
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedders import build_embedder
from drumgan_jax.weights import store

REFERENCE = json.loads(Path(__file__).with_name("musicnn_reference.json").read_text())


def slaney(hz: np.ndarray) -> np.ndarray:
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


@pytest.mark.smoke
def test_the_front_end_is_librosas_of_the_time() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 5 * 256))
    padded = np.pad(samples, ((0, 0), (256, 0)), mode="reflect")
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
    frames = np.stack([padded[:, 256 * t : 256 * t + 512] * hann for t in range(5)], axis=1)
    power = np.abs(np.fft.rfft(frames)) ** 2
    mels = np.linspace(0, slaney(np.float64(8000)), 98)
    edges = np.interp(mels, slaney(grid := np.linspace(0, 8000, 800_001)), grid)
    hz = np.arange(257) * 31.25
    rising, falling = (
        (hz - edges[:-2, None]) / np.diff(edges)[:-1, None],
        (edges[2:, None] - hz) / np.diff(edges)[1:, None],
    )
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    expected = np.log10(10_000 * (power @ filters.T) + 1).swapaxes(1, 2)
    np.testing.assert_allclose(musicnn_log_mel(samples.astype(np.float32)), expected, atol=1e-4)


@pytest.mark.usefixtures("users_weights")
@pytest.mark.parametrize(("name", "model"), [("musicnn", "MSD_musicnn"), ("musicnn_mtt", "MTT_musicnn")])
def test_features_are_the_original_graphs(name: str, model: str, recordings: Path) -> None:
    try:
        store.find(name)
    except BadInput as problem:
        pytest.skip(str(problem))
    embedder = build_embedder(name)
    windows = []
    for file in REFERENCE:
        audio = read_audio(recordings / file)
        mono = resample(audio.samples.mean(axis=1), audio.sample_rate, embedder.sample_rate)
        windows.append(np.pad(mono, (0, max(0, embedder.window - len(mono))))[: embedder.window])
    assert len(windows) == 20
    output = jax.jit(embedder.embed)(embedder.variables, np.stack(windows))
    pairs = zip(np.asarray(output.embedding), np.asarray(output.logits), strict=True)
    found = [[*projected(embedding), *projected(logits)] for embedding, logits in pairs]
    np.testing.assert_allclose(found, [REFERENCE[file][model] for file in REFERENCE], rtol=0, atol=1e-4)


def test_absent_weights_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path))
    build_embedder.cache_clear()
    with pytest.raises(BadInput, match="run `drumgan weights get musicnn`"):
        build_embedder("musicnn")
