"""Embedders whose networks are other packages': small random models where those are installed, and what is said of
what is missing, with stand-ins where they are not.
"""

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.collecting import EMBEDDINGS, Sound, Stream, embed
from drumgan_jax.evaluation.embedders import build_embedder

HUB = {"clap": "laion/larger_clap_music", "encodec": "facebook/encodec_24khz", "mert": "m-a-p/MERT-v1-95M"}


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Nothing built before or kept after."""
    build_embedder.cache_clear()
    yield
    build_embedder.cache_clear()


def small_clap(transformers: Any, folder: Path) -> None:
    text = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    audio = {
        "window_size": 4,
        "num_mel_bins": 64,
        "spec_size": 128,
        "patch_stride": [4, 4],
        "patch_embeds_hidden_size": 8,
        "depths": [1, 1],
        "num_attention_heads": [1, 1],
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "enable_fusion": False,
        "fusion_type": None,
    }
    config = transformers.ClapConfig(
        text_config={**text, "intermediate_size": 16, "projection_dim": 8},
        audio_config={**audio, "projection_dim": 8},
        projection_dim=8,
    )
    transformers.ClapModel(config).save_pretrained(folder)
    transformers.ClapFeatureExtractor(feature_size=64, max_length_s=1, truncation="rand_trunc").save_pretrained(folder)


def small_encodec(transformers: Any, folder: Path) -> None:
    sizes = {"num_filters": 4, "hidden_size": 16, "codebook_dim": 16, "codebook_size": 8, "num_lstm_layers": 1}
    transformers.EncodecModel(transformers.EncodecConfig(target_bandwidths=[1.5], **sizes)).save_pretrained(folder)


def small_mert(transformers: Any, folder: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.HubertConfig(
        conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, **sizes
    )
    transformers.HubertModel(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(sampling_rate=24_000).save_pretrained(folder)


def wanted_clap(transformers: Any, torch: Any, folder: Path, windows: np.ndarray) -> np.ndarray:
    network = transformers.ClapModel.from_pretrained(folder).eval()
    extractor = transformers.ClapFeatureExtractor.from_pretrained(folder)
    inputs = extractor(list(windows), sampling_rate=48_000, return_tensors="pt")
    hidden = network.audio_model(**inputs).pooler_output
    projected = network.audio_projection(hidden)
    return (projected / projected.norm(dim=1, keepdim=True)).detach().numpy()


def wanted_encodec(transformers: Any, torch: Any, folder: Path, windows: np.ndarray) -> np.ndarray:
    network = transformers.EncodecModel.from_pretrained(folder).eval()
    return np.concatenate([network.encoder(torch.tensor(one)[None, None])[0].T.detach().numpy() for one in windows])


def wanted_mert(transformers: Any, torch: Any, folder: Path, windows: np.ndarray) -> np.ndarray:
    network = transformers.HubertModel.from_pretrained(folder).eval()
    normalized = (windows - windows.mean(axis=1, keepdims=True)) / np.sqrt(windows.var(axis=1, keepdims=True) + 1e-7)
    return np.concatenate(list(network(torch.tensor(normalized)).last_hidden_state.detach().numpy()))


# By name: how a small model is made, what it should give, its rate, the rows of a window and the dimensions.
SMALL = {
    "clap": (small_clap, wanted_clap, 48_000, 1, 8),
    "encodec": (small_encodec, wanted_encodec, 24_000, 75, 16),
    "mert": (small_mert, wanted_mert, 24_000, 74, 16),
}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("name", SMALL)
def test_a_model_of_a_folder_is_an_embedder(name: str, tmp_path: Path) -> None:
    transformers, torch = pytest.importorskip("transformers"), pytest.importorskip("torch")
    torch.manual_seed(0)
    make, wanted, rate, rows, dimensions = SMALL[name]
    make(transformers, tmp_path)
    embedder = build_embedder(f"{name}={tmp_path}")
    assert embedder.name == f"{name}@{embedder.weights_hash[:8]}"
    assert (embedder.sample_rate, embedder.window, embedder.hop) == (rate, rate, rate)
    assert (embedder.rows_per_window, embedder.dimensions) == (rows, dimensions)
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * rate).astype(np.float32)
    stream = Stream(2, [Sound(waveform, rate, "long"), Sound(waveform[:rate], rate, "short")])
    seen = embed(stream, [embedder], {embedder.name: {EMBEDDINGS}})[embedder.name]
    expected = wanted(transformers, torch, tmp_path, waveform.reshape(3, rate))
    assert seen.sound_of_row.tolist() == [0] * 3 * rows + [1] * rows
    # CLAP's samples are rounded to 16 bits.
    np.testing.assert_allclose(seen.embeddings[: 3 * rows], expected, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_allclose(seen.embeddings[3 * rows :], seen.embeddings[:rows], atol=1e-5)


@pytest.mark.filterwarnings("default")
def test_a_folder_of_another_model_is_one_sentence(tmp_path: Path) -> None:
    small_encodec(pytest.importorskip("transformers"), tmp_path)
    with pytest.raises(
        BadInput, match=r"are not those of clap \(they lack .*\); give the folder of another model: clap="
    ):
        build_embedder(f"clap={tmp_path}")


class Absent:
    """A class of transformers in whose cache nothing is."""

    @classmethod
    def from_pretrained(cls, where: str, *, local_files_only: bool, **options: Any) -> Any:
        assert local_files_only
        raise OSError(f"{where} is not in the cache.\nMore lines.")


class Foreign:
    """A class of transformers with weights that are not all there."""

    @classmethod
    def from_pretrained(cls, where: str, *, output_loading_info: bool, **options: Any) -> Any:
        assert output_loading_info
        return object(), {"missing_keys": {"b.weight", "a.weight"}}


def stand_in(monkeypatch: pytest.MonkeyPatch, kind: type) -> None:
    names = ("ClapModel", "ClapFeatureExtractor", "EncodecModel", "AutoModel", "Wav2Vec2FeatureExtractor")
    log = types.SimpleNamespace(CRITICAL=50)
    for name in ("get_verbosity", "set_verbosity", "disable_progress_bar", "enable_progress_bar"):
        setattr(log, name, lambda *_: None)
    module = types.SimpleNamespace(utils=types.SimpleNamespace(logging=log), **dict.fromkeys(names, kind))
    monkeypatch.setitem(sys.modules, "transformers", module)
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace())


@pytest.mark.parametrize("name", HUB)
def test_weights_that_are_not_here_are_said_to_be_fetched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, Absent)
    where = HUB[name]
    sentence = (
        rf"{where} is not in the cache\); run `hf download {where}`, or name a folder that holds them: {name}=FOL"
    )
    with pytest.raises(BadInput, match=sentence):
        build_embedder(name)


@pytest.mark.parametrize("name", HUB)
def test_weights_of_another_model_are_refused(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, Foreign)
    with pytest.raises(BadInput, match=rf"the weights at {tmp_path} are not those of {name} \(they lack a.weight\)"):
        build_embedder(f"{name}={tmp_path}")


@pytest.mark.parametrize("name", [*HUB, "panns"])
def test_a_package_that_is_not_installed_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # None there makes an import fail as if the package were not installed.
    for module in ("torch", "transformers"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        BadInput, match=rf"embedder {name} needs packages .* .* or `pip install torch (transf|panns-inf)"
    ):
        build_embedder(name)


def test_panns_says_which_file_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace())
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(
        BadInput, match=r"panns needs .*class_labels_indices\.csv, which is not there; download it from"
    ):
        build_embedder("panns")
    (tmp_path / "panns_data").mkdir()
    (tmp_path / "panns_data" / "class_labels_indices.csv").write_text("")
    with pytest.raises(BadInput, match=r"Cnn14_mAP=0\.431\.pth, which is not there; download it from https://zenodo"):
        build_embedder("panns")
    with pytest.raises(BadInput, match=r"nowhere\.pth, which is not there; check the path"):
        build_embedder("panns=nowhere.pth")
