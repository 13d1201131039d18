"""A generator of another kind is loaded, measured, packed and played by the same verbs, without touching Instrument."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pca_kind import PcaInstrument, write_pca_run
from training_cases import write_dataset
from verbs import drumgan

from drumgan_jax.audio.files import read_audio, write_audio
from drumgan_jax.audio.representations import settings_of
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.play.load import load
from drumgan_jax.play.playable import CanEdit, CanEncode, CanInvert

pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), 24, 1)


@pytest.fixture(scope="module")
def run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    dataset = open_dataset(data_dir)
    config: dict[str, Any] = {
        "format": 2,
        "representation": settings_of(dataset.representation),
        "decoder": {"kind": "griffin_lim", "iterations": 2},
        "task": {"kind": "pca"},
        "data": {"dir": str(data_dir)},
        "evaluation": {"metric": "fid/log_mel"},
        "labels": [],
    }
    return write_pca_run(tmp_path_factory.mktemp("runs") / "pca", dataset, config)


def test_it_is_loaded_and_played(run: Path) -> None:
    instrument = load(run)
    assert isinstance(instrument, PcaInstrument)
    sounds = instrument.render(instrument.draw([1, 2]))
    assert sounds.waveforms.shape == (2, instrument.num_samples)
    assert np.abs(sounds.waveforms).max() > 1e-3
    assert isinstance(instrument, CanEncode)
    assert not isinstance(instrument, CanEdit | CanInvert)


def test_the_verbs_take_it(run: Path, data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "sounds"
    assert "3 sounds" in drumgan("generate", f"--run={run}", f"--out={out}", "--count=3", "--truncation=0.7")
    again = tmp_path / "again"
    drumgan("generate", f"--run={run}", f"--latents={out / 'latents.json'}", f"--out={again}")
    first = read_audio(out / "sound_0001.wav").samples
    np.testing.assert_array_equal(read_audio(again / "sound_0001.wav").samples, first)
    said = drumgan("evaluate", f"--run={run}", "--metrics=fid:log_mel", "--samples=12")
    assert "fid/log_mel" in said
    (report,) = (run / "evaluations").glob("step_*.json")
    assert json.loads(report.read_text())["figures"]["fid/log_mel"]["value"] > 0

    packed = tmp_path / "pca.npz"
    drumgan("pack", f"--run={run}", f"--out={packed}", "--step=last")
    assert str(data_dir) not in str(load(packed).config)
    drumgan("generate", f"--run={packed}", f"--latents={out / 'latents.json'}", f"--out={tmp_path / 'packed'}")
    np.testing.assert_array_equal(read_audio(tmp_path / "packed" / "sound_0001.wav").samples, first)


def test_it_encodes_without_being_edited(run: Path, tmp_path: Path) -> None:
    instrument = load(run)
    sound = instrument.render(instrument.draw([3])).waveforms[0]
    write_audio(tmp_path / "sound.wav", sound, instrument.sample_rate)
    place = (f"--run={run}", f"--audio={tmp_path / 'sound.wav'}", f"--out={tmp_path / 'out'}")
    assert "1 recordings" in drumgan("encode", *place)
    files = read_audio(tmp_path / "out" / "decoded" / "0000_sound.wav")
    assert np.abs(files.samples).max() > 1e-3
    wanted = "an instrument of kind 'pca' has no --invert; leave it out."
    assert drumgan("encode", *place, "--invert", status=2) == wanted
    wanted = "an instrument of kind 'pca' cannot be edited; leave --vary out."
    assert drumgan("encode", *place, "--vary=0.5", status=2) == wanted


def test_verbs_that_need_more_than_it_can_are_told(run: Path, tmp_path: Path) -> None:
    place = (f"--run={run}", f"--out={tmp_path / 'out'}")
    wanted = "an instrument of kind 'pca' cannot be edited; use drumgan generate with seeds."
    assert drumgan("explore", *place, status=2) == wanted
    assert drumgan("interpolate", *place, "--a=1", "--b=2", status=2) == wanted
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"task": {"kind": "flow"}}))
    with pytest.raises(BadInput, match="is a run of task 'flow'; give the run of a GAN"):
        load(other)
