"""A generator of mel bands with a vocoder: as its config says, as its caller says, and from one file."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from instrument_cases import LOGISTIC, config_of, make_instrument
from vocoder_cases import REPRESENTATION, make_vocoder, write_vocoder
from weight_cases import changed

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import read_weights
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import FORMAT, load, save_instrument
from drumgan_jax.runs.load import load_vocoder, with_vocoder
from drumgan_jax.training import run

pytestmark = pytest.mark.usefixtures("unoptimized")
PARTS: dict[str, Any] = {
    "representation": {**REPRESENTATION, "mean": -1.0, "std": 0.5},
    "decoder": {"kind": "vocoder", "path": "", "iterations": 2},
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
    config = config_of({**PARTS, "decoder": {**PARTS["decoder"], "path": str(vocoder)}})
    return dataclasses.replace(plain, gan=with_vocoder(plain.gan, config, vocoder), config=config, kept={})


def test_the_vocoder_that_is_named_makes_the_sounds(plain: Instrument, sounding: Instrument, vocoder: Path) -> None:
    assert make_instrument({**PARTS, "decoder": {"kind": "vocoder", "path": str(vocoder)}}).gan == sounding.gan
    assert with_vocoder(plain.gan, plain.config, None) == plain.gan
    assert with_vocoder(sounding.gan, sounding.config, "") == plain.gan
    assert (plain.decoder_digest, sounding.decoder_digest) == (None, sounding.gan.decoder.digest)
    # Latents are the generator's, whatever its decoder.
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
    assert str(vocoder) not in str(read_weights(path, FORMAT, "an instrument").header)
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
    assert bare.decoder_digest is None
    save_instrument(tmp_path / "bare.npz", bare, {})
    assert load(tmp_path / "bare.npz").decoder_digest is None


def test_a_damaged_vocoder_in_a_file_is_told(sounding: Instrument, tmp_path: Path) -> None:
    path = tmp_path / "sounding.npz"
    save_instrument(path, sounding, {})
    odd = {"decoder/params/model.1/bias": None}
    with pytest.raises(BadInput, match=r"differ in params/model\.1/bias"):
        load(changed(path, tmp_path / "odd.npz", **odd))
    weights = {"params": {**sounding.gan.decoder.weights["params"]}}
    weights["params"]["model.1"] = {**weights["params"]["model.1"], "bias": np.full(8, np.nan, np.float32)}
    gan = sounding.gan.with_decoder(dataclasses.replace(sounding.gan.decoder, weights=weights))
    with pytest.raises(BadInput, match=r"params/model\.1/bias holds NaN"):
        save_instrument(tmp_path / "broken.npz", dataclasses.replace(sounding, gan=gan), {})


def test_a_vocoder_that_does_not_fit_or_is_not_there_is_told(plain: Instrument, vocoder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.npz cannot be used; .* for none: .*absent\.npz cannot be op"):
        with_vocoder(plain.gan, plain.config, tmp_path / "absent.npz")
    other = make_instrument({**PARTS, "representation": {**PARTS["representation"], "floor": 1e-4, "fmin": 50.0}})
    with pytest.raises(BadInput, match=r"fmin: 50\.0 against 0\.0, floor: 0\.0001 against 1e-05; train a vocoder"):
        with_vocoder(other.gan, other.config, vocoder)
    assert load_vocoder(vocoder).vocoder == make_vocoder().vocoder


def test_a_run_may_go_on_with_another_vocoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {
        "format": 2,
        "task": {"kind": "gan", "label_weight": 1.0, "start_from": ""},
        "representation": {"kind": "log_mel"},
        "decoder": {"kind": "vocoder", "path": ""},
    }
    run.claim(tmp_path, config)
    monkeypatch.setattr(run, "complete_steps", lambda _: [1])
    run.check(tmp_path, {**config, "decoder": {"kind": "vocoder", "path": "runs/melgan"}})
    with pytest.raises(BadInput, match=r"differs in representation\.num_mels"):
        run.check(tmp_path, {**config, "representation": {"kind": "log_mel", "num_mels": 3}})
    with pytest.raises(BadInput, match="is a run of task 'gan'; give the run of a vocoder"):
        load_vocoder(tmp_path)
