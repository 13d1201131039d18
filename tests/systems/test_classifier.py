"""A classifier's file: what is written is read, and nothing else is."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from weight_cases import changed

from drumgan_jax.audio.front_end import LogMelFrontEnd
from drumgan_jax.core.errors import BadInput
from drumgan_jax.systems.classifier import Classifier, build_classifier, load_classifier, save_classifier

CONFIG: dict[str, Any] = {
    "representation": {"kind": "waveform", "sample_rate": 8000, "num_samples": 2048},
    "front_end": {"n_fft": 128, "hop_length": 128, "num_mels": 16},
    "network": {"kind": "mel_inception", "width": 1},
}
LABELS = ("kick", "snare")
CARD = {"step": 3, "held_out": {"accuracy": 0.9}}


@pytest.fixture(scope="module")
def made() -> tuple[Classifier, dict[str, Any]]:
    classifier = build_classifier(CONFIG, LABELS)
    return classifier, jax.jit(classifier.init)(jax.random.key(0))


@pytest.fixture
def path(made, tmp_path: Path) -> Path:
    save_classifier(tmp_path / "toy.npz", *made, CARD)
    return tmp_path / "toy.npz"


@pytest.mark.smoke
def test_what_is_written_is_read(made, path: Path, tmp_path: Path) -> None:
    classifier, variables = made
    loaded = load_classifier(path)
    assert loaded.classifier == classifier
    assert loaded.card == CARD
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, variables)
    save_classifier(tmp_path / "again.npz", classifier, variables, CARD)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert load_classifier(tmp_path / "again.npz").sha256 == loaded.sha256


def test_figures_do_not_depend_on_how_a_machine_multiplies(made) -> None:
    classifier, variables = made
    windows = jax.ShapeDtypeStruct((2, 2048), "float32")
    text = str(jax.make_jaxpr(classifier.predict)(variables, windows))
    assert "conv_general_dilated" in text
    assert "precision=None" not in text


@pytest.mark.parametrize(
    ("section", "values", "match"),
    [
        ("network", {"kind": "mel_inception", "width": 0}, r"network\.width is 0; it must be a whole number"),
        ("network", {"width": -2}, r"network\.width is -2; it must be a whole number"),
        ("network", {"kind": "mel_inception", "width": 2.5}, r"network\.width is 2\.5; it must be a whole number"),
        ("network", {"kind": "mel_inception", "dropout": 3.0}, r"network\.dropout is 3\.0"),
        ("network", {"kind": "short_chunk", "width": 3}, "network has no setting width"),
        ("front_end", {"kind": "spectrum"}, r"front_end\.kind is 'spectrum'; it must be one of log_mel, mel"),
        ("front_end", {"floor_db": "x"}, r"front_end\.floor_db is 'x'"),
        ("front_end", {"mean": float("nan")}, r"front_end\.mean is nan"),
    ],
)
def test_values_out_of_range_are_one_sentence(section: str, values: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        build_classifier({**CONFIG, section: {**CONFIG[section], **values}}, LABELS)


def test_weights_that_are_not_finite_are_not_written(made, tmp_path: Path) -> None:
    classifier, variables = made
    broken = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), variables)
    with pytest.raises(BadInput, match="holds NaN or infinite values"):
        save_classifier(tmp_path / "broken.npz", classifier, broken, {})
    assert not list(tmp_path.iterdir())


def test_the_other_network_is_kept_too(tmp_path: Path) -> None:
    section = {"kind": "short_chunk", "channels": 2, "blocks": [1, 2]}
    classifier = build_classifier({**CONFIG, "network": section}, LABELS)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(classifier.init, _key()))
    save_classifier(tmp_path / "short.npz", classifier, variables, {})
    assert load_classifier(tmp_path / "short.npz").classifier == classifier


def test_a_front_end_of_another_kind_is_kept_too(tmp_path: Path) -> None:
    section = {"kind": "log_mel", "n_fft": 128, "hop_length": 64, "num_mels": 16, "mean": -1.0}
    classifier = build_classifier({**CONFIG, "front_end": section}, LABELS)
    assert isinstance(classifier.front_end, LogMelFrontEnd)
    variables = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), jax.eval_shape(classifier.init, _key()))
    save_classifier(tmp_path / "log_mel.npz", classifier, variables, {})
    assert load_classifier(tmp_path / "log_mel.npz").classifier == classifier


def test_files_from_before_there_were_kinds_of_front_ends_still_load(made, path: Path, tmp_path: Path) -> None:
    with np.load(path) as file:
        front_end = json.loads(file["header"].tobytes())["front_end"]
    assert front_end.pop("kind") == "mel"
    loaded = load_classifier(changed(path, tmp_path / "old.npz", {"front_end": front_end}))
    assert loaded.classifier == made[0]


def _key() -> jax.Array:
    return jax.random.key(0)


def test_files_that_are_cut_changed_or_of_another_kind_are_refused(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    middle = bytearray(whole)
    middle[len(whole) // 2] ^= 0xFF
    kinds = {"empty": b"", "cut": whole[: len(whole) // 2], "text": b"not a classifier", "changed": bytes(middle)}
    for name, content in kinds.items():
        damaged = tmp_path / f"{name}.npz"
        damaged.write_bytes(content)
        with pytest.raises(BadInput, match=f"{name}.npz is not a classifier's file, or is damaged"):
            load_classifier(damaged)
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    with pytest.raises(BadInput, match="not a classifier's file"):
        load_classifier(tmp_path / "other.npz")
    with pytest.raises(BadInput, match="cannot be opened"):
        load_classifier(tmp_path / "absent.npz")


def test_arrays_that_would_run_code_are_refused(path: Path, tmp_path: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.array([print], object), allow_pickle=True)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "code.npz", "w") as new:
        for entry in old.namelist():
            new.writestr(entry, content.getvalue() if entry.startswith("params/Dense") else old.read(entry))
    with pytest.raises(BadInput, match=r"code.npz is not a classifier's file, or is damaged \(ValueError\)"):
        load_classifier(tmp_path / "code.npz")


def test_what_does_not_fit_together_is_told_by_name(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "odd.npz"
    for array, match in (
        (None, "differ in params/Dense_0/bias"),
        (np.zeros(3, np.float32), r"bias is float32\[3\], but the network has float32\[2\]"),
        (np.zeros(2), r"bias is float64\[2\]"),
        (np.array([0, np.nan], np.float32), "holds NaN"),
    ):
        with pytest.raises(BadInput, match=match):
            load_classifier(changed(path, out, params__Dense_0__bias=array))
    for header, match in (
        ({"format": "drumgan classifier 2"}, "is of format 'drumgan classifier 2'"),
        ({"network": {"kind": "other"}}, "config.network.kind is 'other'"),
        ({"network": 3}, "does not fit this version"),
        ({"labels": ["kick"]}, "two labels or more"),
        ({"labels": ["kick", "snare", "hat"]}, "but the network has"),
        ({"front_end": {"sample_rate": 8000, "num_samples": 0}}, "num_samples"),
    ):
        with pytest.raises(BadInput, match=match):
            load_classifier(changed(path, out, header))


def test_a_file_that_cannot_be_written_is_told(made, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="must end in"):
        save_classifier(tmp_path / "toy.bin", *made, {})
    with pytest.raises(BadInput, match="cannot be written"):
        save_classifier(tmp_path / "absent" / "toy.npz", *made, {})
    assert not list(tmp_path.iterdir())
