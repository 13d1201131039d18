"""Principal components, a generator that is no GAN, are fitted, loaded, packed and played by the same verbs."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from training_cases import LABELS, REPRESENTATION, write_dataset
from verbs import drumgan

from drumgan_jax.audio.files import read_audio, write_audio
from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.play.load import load
from drumgan_jax.play.pca_gaussian import FITTED, PcaInstrument, save_fitted
from drumgan_jax.play.playable import CanEdit, CanEncode, CanInvert
from drumgan_jax.systems.pca_gaussian import PcaGaussianSettings, fit_pca_gaussian

pytestmark = pytest.mark.usefixtures("unoptimized")
COMPONENTS = 6


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), 24, 1)


@pytest.fixture(scope="module")
def flags(data_dir: Path) -> list[str]:
    same = [f"--config.representation.{name}={value}" for name, value in REPRESENTATION.items() if name != "kind"]
    return ["--config=pca_gaussian:tiny", f"--config.data.dir={data_dir}", "--config.decoder.iterations=2", *same]


@pytest.fixture(scope="module")
def run(flags: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "pca"
    drumgan("fit", *flags, f"--workdir={folder}")
    return folder


def test_the_fit_is_that_of_numpy(data_dir: Path) -> None:
    dataset = open_dataset(data_dir)
    settings = PcaGaussianSettings(kind="pca_gaussian", components=COMPONENTS, ridge=1e-3)
    labels = dataset.class_weights("train", 24)
    waveforms = np.concatenate(list(dataset.waveforms("train", 24, 24)))
    fitted, shown = fit_pca_gaussian(
        [waveforms[:10], waveforms[10:]], labels, build_representation(REPRESENTATION), settings
    )

    x = np.asarray(shown.transform(waveforms), np.float64)
    x = ((x - x.mean()) / (3.0 * x.std())).reshape(24, -1)
    _, strengths, directions = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    deviations = strengths[:COMPONENTS] / np.sqrt(23)
    # The mean and the directions are kept in half precision.
    np.testing.assert_allclose(fitted.mean, x.mean(axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(fitted.deviations, deviations, rtol=1e-3)
    np.testing.assert_allclose(np.abs(np.sum(fitted.directions * directions[:COMPONENTS], axis=1)), 1.0, rtol=1e-3)
    scores = (x - fitted.mean) @ fitted.directions.T / fitted.deviations
    for number in range(len(LABELS)):
        own = scores[labels[:, number] == 1.0]
        np.testing.assert_allclose(fitted.class_means[number], own.mean(axis=0), atol=1e-4)
        covariance = np.cov(own.T, bias=True) + 1e-3 * np.eye(COMPONENTS)
        factor = fitted.class_factors[number].astype(np.float64)
        np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-4)
    np.testing.assert_allclose(np.asarray(fitted.project(x.astype(np.float32))), scores, atol=1e-3)
    w = scores[:2].astype(np.float32)
    np.testing.assert_allclose(np.asarray(fitted.project(fitted.synthesize(w))), w, atol=5e-3)


def test_it_is_loaded_and_played(run: Path) -> None:
    instrument = load(run)
    assert isinstance(instrument, PcaInstrument)
    assert isinstance(instrument, CanEncode)
    assert not isinstance(instrument, CanEdit | CanInvert)
    latents = instrument.draw([1, 2, 3], labels=LABELS[0])
    sounds = instrument.render(latents)
    assert sounds.waveforms.shape == (3, instrument.num_samples)
    assert np.abs(sounds.waveforms).max() > 1e-3
    elsewhere = instrument.on_devices(batch_sharding(make_mesh())).render(latents)
    np.testing.assert_allclose(elsewhere.waveforms, sounds.waveforms, atol=2e-5)
    # A class's average sound has no spread, and classes differ.
    still = instrument.draw([1, 2], labels=[LABELS[0], LABELS[1]], truncation=0.0).ws[:, 0]
    np.testing.assert_allclose(still, instrument.fitted.class_means[:2], atol=1e-6)
    with pytest.raises(BadInput, match="another run or step"):
        load().render(latents)


def test_the_verbs_take_it(run: Path, data_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "sounds"
    assert "3 sounds" in drumgan("generate", f"--run={run}", f"--out={out}", "--count=3", "--truncation=0.7")
    again = tmp_path / "again"
    drumgan("generate", f"--run={run}", f"--latents={out / 'latents.json'}", f"--out={again}")
    first = read_audio(out / "sound_0001.wav").samples
    np.testing.assert_array_equal(read_audio(again / "sound_0001.wav").samples, first)

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
    wanted = "an instrument of kind 'pca_gaussian' has no --invert; leave it out."
    assert drumgan("encode", *place, "--invert", status=2) == wanted
    wanted = "an instrument of kind 'pca_gaussian' cannot be edited; leave --vary out."
    assert drumgan("encode", *place, "--vary=0.5", status=2) == wanted


def test_verbs_that_need_more_than_it_can_are_told(run: Path, tmp_path: Path) -> None:
    place = (f"--run={run}", f"--out={tmp_path / 'out'}")
    wanted = "an instrument of kind 'pca_gaussian' cannot be edited; use drumgan generate with seeds."
    assert drumgan("explore", *place, status=2) == wanted
    assert drumgan("interpolate", *place, "--a=1", "--b=2", status=2) == wanted
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text(json.dumps({"task": {"kind": "flow"}}))
    with pytest.raises(BadInput, match="is a run of task 'flow'; give the run of a GAN"):
        load(other)


@pytest.mark.parametrize(
    ("flag", "wanted"),
    [
        ("--config.task.components=24", "24 components need 25 examples or more, not 24"),
        ("--config.task.ridge=0", "config.task.ridge is 0"),
        ("--config.representation.sample_rate=4000", "has a sample_rate of"),
        ("--config.representation.kind=log_power", "must be 'log_magnitude'"),
        ("--config.data.dir=nowhere", "nowhere is not a folder"),
    ],
)
def test_what_cannot_be_fitted_is_one_sentence(flags: list[str], tmp_path: Path, flag: str, wanted: str) -> None:
    assert wanted in drumgan("fit", *flags, flag, f"--workdir={tmp_path / 'run'}", status=2)
    assert not (tmp_path / "run").exists()


def test_what_is_fitted_is_not_trained(flags: list[str], tmp_path: Path) -> None:
    said = drumgan("train", *flags, f"--workdir={tmp_path / 'run'}", status=2)
    assert said == "this config is fitted, not trained; use drumgan fit with the same flags."


def test_a_damaged_fit_is_told(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text((run / "config.json").read_text())
    with pytest.raises(BadInput, match=r"fitted\.npz cannot be opened .*; give a fit of this version's \.npz"):
        load(folder)
    config = json.loads((run / "config.json").read_text())
    fitted = load(run).fitted
    for mean, wanted in ((fitted.mean[:-1], "do not fit each other"), (fitted.mean * np.nan, "NaN or infinite")):
        save_fitted(folder, dataclasses.replace(fitted, mean=mean), config)
        with pytest.raises(BadInput, match=wanted):
            load(folder)
    arrays = dict(np.load(run / FITTED))
    np.savez(folder / FITTED, **{**arrays, "mean": arrays["mean"] + 1})
    with pytest.raises(BadInput, match=r"fitted\.npz is damaged: .*; write it again with `drumgan fit`"):
        load(folder)


def test_another_config_beside_a_fit_is_told(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    config = json.loads((run / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "labels": config["labels"][::-1]}))
    wanted = r"config\.json: it is not the config that fitted\.npz was saved with, and differs in labels; restore it"
    with pytest.raises(BadInput, match=wanted):
        load(folder)
