"""A generator of mel bands that sounds by a vocoder: as its config says, as its caller says, and from one file."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from instrument_cases import LOGISTIC, config_of, make_instrument
from vocoder_cases import REPRESENTATION, make_vocoder, write_vocoder

from drumgan_jax.core.errors import BadInput
from drumgan_jax.play.instrument import Instrument, load
from drumgan_jax.play.packed import read_instrument, save_instrument
from drumgan_jax.runs import config as run_config
from drumgan_jax.runs.load import keep_vocoder, load_vocoder, with_vocoder
from drumgan_jax.systems.gan import variables_digest
from drumgan_jax.systems.vocoder import Vocoded
from drumgan_jax.training import run

PARTS: dict[str, Any] = {
    "representation": {**REPRESENTATION, "mean": -1.0, "std": 0.5},
    "generator": {"kind": "stylegan2", "base": (4, 8), "z_dim": 4, "w_dim": 4, "mapping_layers": 1, "channel_max": 4},
    "discriminator": {"kind": "stylegan2", "base": (4, 8), "channel_max": 4},
    "objective": LOGISTIC,
}


@pytest.fixture(scope="module")
def plain() -> Instrument:
    return make_instrument(PARTS)


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_vocoder(tmp_path_factory.mktemp("vocoder") / "vocoder.npz")


@pytest.fixture(scope="module")
def sounding(plain: Instrument, vocoder: Path) -> Instrument:
    """The same instrument, whose config names the vocoder."""
    config = config_of({**PARTS, "representation": {**PARTS["representation"], "vocoder": str(vocoder)}})
    named = dataclasses.replace(plain.gan.representation, vocoder=str(vocoder))
    gan = with_vocoder(dataclasses.replace(plain.gan, representation=named))
    return dataclasses.replace(plain, gan=gan, config=config, kept={})


def test_the_vocoder_that_is_named_makes_the_sounds(plain: Instrument, sounding: Instrument, vocoder: Path) -> None:
    shown: Any = sounding.gan.representation
    assert isinstance(shown, Vocoded)
    assert shown.vocoder == str(vocoder)
    assert with_vocoder(plain.gan) is plain.gan
    assert with_vocoder(plain.gan, vocoder).representation.digest == shown.digest
    assert with_vocoder(sounding.gan, "").representation == dataclasses.replace(
        plain.gan.representation, vocoder=str(vocoder)
    )
    # Latents are the generator's, whatever it sounds by.
    assert sounding.model == plain.model
    latents = plain.draw([1, 2])
    found, inverted = sounding.render(latents).waveforms, plain.render(latents).waveforms
    assert found.shape == inverted.shape == (2, 256)
    assert not np.allclose(found, inverted)
    # A sound is the same in any batch.
    np.testing.assert_allclose(sounding.render(plain.draw([2])).waveforms[0], found[1], atol=1e-5)


def test_a_packed_instrument_brings_its_vocoder(sounding: Instrument, vocoder: Path, tmp_path: Path) -> None:
    path = tmp_path / "sounding.npz"
    save_instrument(path, sounding, {})
    assert str(vocoder) not in str(read_instrument(path).config)
    packed = load(path)
    latents = packed.draw([1, 2])
    wanted = sounding.render(sounding.draw([1, 2])).waveforms
    found = packed.render(latents).waveforms
    np.testing.assert_allclose(found, wanted, atol=2e-2 * np.abs(wanted).max())
    save_instrument(tmp_path / "again.npz", packed, {})
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    # Another vocoder may be given, or none.
    other = load(path, vocoder=write_vocoder(tmp_path / "other.npz", seed=1))
    assert not np.allclose(other.render(latents).waveforms, found)
    bare = load(path, vocoder="")
    assert not isinstance(bare.gan.representation, Vocoded)
    save_instrument(tmp_path / "bare.npz", bare, {})
    assert not isinstance(load(tmp_path / "bare.npz").gan.representation, Vocoded)


def test_a_damaged_vocoder_in_a_file_is_told(sounding: Instrument, tmp_path: Path) -> None:
    path = tmp_path / "sounding.npz"
    save_instrument(path, sounding, {})
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    del arrays["vocoder/params/model.1/bias"]
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(BadInput, match=r"differ in params/model\.1/bias"):
        load(tmp_path / "odd.npz")
    weights = {"params": {**sounding.gan.representation.weights["params"]}}
    weights["params"]["model.1"] = {**weights["params"]["model.1"], "bias": np.full(8, np.nan, np.float32)}
    broken = dataclasses.replace(sounding.gan.representation, weights=weights)
    gan = dataclasses.replace(sounding.gan, representation=broken)
    with pytest.raises(BadInput, match=r"vocoder/params/model\.1/bias holds NaN"):
        save_instrument(tmp_path / "broken.npz", dataclasses.replace(sounding, gan=gan), {})


def test_a_vocoder_that_does_not_fit_or_is_not_there_is_told(plain: Instrument, vocoder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"this vocoder cannot be used; .* for none: .*absent\.npz cannot be op"):
        with_vocoder(plain.gan, tmp_path / "absent.npz")
    other = make_instrument({**PARTS, "representation": {**PARTS["representation"], "floor": 1e-4, "fmin": 50.0}})
    with pytest.raises(BadInput, match=r"fmin: 50\.0 against 0\.0, floor: 0\.0001 against 1e-05; train one"):
        with_vocoder(other.gan, vocoder)
    assert load_vocoder(vocoder).vocoder == make_vocoder().vocoder


def test_a_run_keeps_a_copy_of_its_vocoder(vocoder: Path, tmp_path: Path) -> None:
    folder, original = tmp_path / "run", write_vocoder(tmp_path / "original.npz")
    config = {"task": {"kind": "gan"}, "representation": {**PARTS["representation"], "vocoder": str(original)}}
    kept = keep_vocoder(config, folder, write=True)
    run.claim(folder, kept)
    assert json.loads((folder / "config.json").read_text())["representation"]["vocoder"] == run.VOCODER_NAME
    # It plays wherever it lies, also when the original is gone, and goes on by what it began with.
    write_vocoder(original, seed=1)
    assert keep_vocoder(config, folder, write=True) == kept
    original.unlink()
    assert keep_vocoder(config, folder, write=True) == kept
    moved = folder.rename(tmp_path / "moved")
    found = load_vocoder(run_config.read_config(moved)["representation"]["vocoder"])
    assert variables_digest(found.variables) == variables_digest(load_vocoder(vocoder).variables)
    # A damaged copy is made again, and another path is another vocoder.
    (moved / run.VOCODER_NAME).write_bytes(b"damaged")
    write_vocoder(original, seed=1)
    keep_vocoder(config, moved, write=True)
    again = load_vocoder(moved / run.VOCODER_NAME)
    assert variables_digest(again.variables) == variables_digest(load_vocoder(original).variables)
    keep_vocoder(run.with_vocoder_at(config, str(vocoder)), moved, write=True)
    again = load_vocoder(moved / run.VOCODER_NAME)
    assert variables_digest(again.variables) == variables_digest(found.variables)


def test_what_cannot_be_kept_is_told_and_the_copy_stays(vocoder: Path, tmp_path: Path) -> None:
    config = {"representation": {**PARTS["representation"], "vocoder": str(vocoder)}}
    keep_vocoder(config, tmp_path, write=True)
    before = (tmp_path / run.VOCODER_NAME).read_bytes()
    with pytest.raises(BadInput, match=r"^config\.representation\.vocoder cannot be used: .*absent\.npz cannot be op"):
        keep_vocoder(run.with_vocoder_at(config, str(tmp_path / "absent.npz")), tmp_path, write=True)
    other = {"representation": {**config["representation"], "floor": 1e-4, "vocoder": str(vocoder)}}
    write_vocoder(tmp_path / "other.npz")
    with pytest.raises(BadInput, match=r"floor: 0\.0001 against 1e-05"):
        keep_vocoder(run.with_vocoder_at(other, str(tmp_path / "other.npz")), tmp_path, write=True)
    assert (tmp_path / run.VOCODER_NAME).read_bytes() == before


def test_a_run_may_go_on_with_another_vocoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"task": {"kind": "gan"}, "representation": {"kind": "log_mel", "vocoder": ""}}
    run.claim(tmp_path, config)
    monkeypatch.setattr(run, "complete_steps", lambda _: [1])
    run.check(tmp_path, run.with_vocoder_at(config, "runs/melgan"))
    with pytest.raises(BadInput, match=r"differs in representation\.num_mels"):
        run.check(tmp_path, {**config, "representation": {"kind": "log_mel", "num_mels": 3}})
    with pytest.raises(BadInput, match="is a run of task 'gan'; give the run of a vocoder"):
        load_vocoder(tmp_path)
