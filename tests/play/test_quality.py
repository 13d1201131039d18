"""The table of quality that the package carries: 200 sounds of the packaged instrument beside baselines, anywhere."""

import dataclasses
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from training_cases import write_dataset
from verbs import drumgan

from drumgan_jax.audio import loop_descriptors
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.class_mix import classes_at_mix
from drumgan_jax.evaluation.quality import METRICS
from drumgan_jax.evaluation.quality.judge import Judge, fit_judge, packaged_judge
from drumgan_jax.evaluation.quality.table import AS_ASKED, COPIED, DISTANCE, quality_text
from drumgan_jax.evaluation.quality.thumbnails import thumbnails
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.latents.components import Components
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.play.baselines import NOISE, OTHERS, PCA, PROCEDURAL, TRAINING, Form, noise_bursts, procedural
from drumgan_jax.play.control import component_figures, slider_figures
from drumgan_jax.play.load import load
from drumgan_jax.play.playable import CanEncode
from drumgan_jax.play.quality import Quality, packaged_yardstick, quality

SOUNDS = 200
ROWS = [NOISE, PROCEDURAL, PCA, OTHERS, TRAINING, "packaged"]


@pytest.fixture(scope="module")
def packaged() -> Quality:
    """The packaged instrument's figures, without its sliders and components, which take several times as long."""
    instrument = load()
    yardstick = packaged_yardstick(Suite.of(METRICS), packaged_judge(), SOUNDS)
    sounds = _only_sounds(instrument)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("drumgan_jax.play.quality.slider_figures", lambda playable, judge: ())
        found = quality(sounds, yardstick, "packaged")
    # pytest -s shows it.
    print(quality_text(found.table, "packaged"))
    return found


def _only_sounds(instrument: Any) -> Any:
    class OnlySounds:
        """Draws and renders, and can do nothing else."""

        label_names = instrument.label_names
        sample_rate, num_samples = instrument.sample_rate, instrument.num_samples
        draw, render = instrument.draw, instrument.render

    made = OnlySounds()
    assert not isinstance(made, CanEncode)
    return made


def figure(found: Quality, name: str) -> list[float]:
    return [row.figures[name].value for row in found.table.rows]


def test_the_table_has_every_baseline_at_one_mix(packaged: Quality) -> None:
    assert [row.name for row in packaged.table.rows] == ROWS
    assert packaged.table.count == 168
    assert {row.count for row in packaged.table.rows if row.name not in (OTHERS, TRAINING)} == {SOUNDS}
    assert all(abs(float(row.mix.split()[1]) - 32.0) <= 3.0 for row in packaged.table.rows)
    text = json.dumps(packaged.as_json())
    assert "NaN" not in text
    assert "dimensions, so the covariance is not of full rank" in "".join(packaged.notes)


def test_the_measures_put_recordings_first_and_noise_last(packaged: Quality) -> None:
    for name in ("fid/drums", "kid/drums"):
        noise, _, pca, _, training, _ = figure(packaged, name)
        assert training < pca < noise
    assert packaged.table.judge is not None
    assert packaged.table.judge > 0.85
    asked = {row.name: row.figures[AS_ASKED].value for row in packaged.table.rows if AS_ASKED in row.figures}
    assert asked[NOISE] < 0.5 < 0.75 < asked[PCA]
    # The judge was fitted to the other recordings.
    assert OTHERS not in asked
    copied = figure(packaged, COPIED)
    assert copied[ROWS.index(TRAINING)] == 1.0
    assert max(copied[ROWS.index(name)] for name in (NOISE, PCA, "packaged")) < 0.2
    assert figure(packaged, DISTANCE)[ROWS.index(TRAINING)] == 0.0


def test_what_embeddings_do_not_show_is_heard(packaged: Quality) -> None:
    rows = {row.name: row for row in packaged.table.rows}
    # More of them are soft than of the held-out ones.
    assert rows[TRAINING].alarms == ["level"]
    assert not rows[OTHERS].alarms
    # Precision is deaf to all of this.
    assert rows["packaged"].figures["precision/drums"].value > 0.95


def test_the_packaged_instrument_beats_the_baseline(packaged: Quality) -> None:
    rows = {row.name: row for row in packaged.table.rows}
    own, baseline = rows["packaged"], rows[PCA]
    for name in ("fid/drums", "kid/drums", "fid/log_mel"):
        assert own.figures[name].value < baseline.figures[name].value
    assert own.figures["recall/drums"].value > baseline.figures["recall/drums"].value
    # Sounds near the class's mean are heard as the class most surely, so a tie is enough here.
    assert own.figures[AS_ASKED].high > baseline.figures[AS_ASKED].value
    assert len(own.alarms) <= len(baseline.alarms)


def test_baselines_are_of_the_form_and_always_the_same() -> None:
    form = Form(22_050, 5000, ("kick", "snare", "cymbal"))
    classes = classes_at_mix(np.ones(3), 6)
    for make in (noise_bursts, procedural):
        sounds, again = make(form, classes), make(form, classes)
        assert sounds is not None
        assert again is not None
        assert sounds.waveforms.shape == (6, 5000)
        np.testing.assert_allclose(np.abs(sounds.waveforms).max(axis=1), 10 ** (-1 / 20), rtol=1e-6)
        np.testing.assert_array_equal(again.waveforms, sounds.waveforms)
    assert procedural(dataclasses.replace(form, label_names=("bark", "meow")), np.zeros(2, int)) is None
    bars = procedural(Form(8000, 16_000, ()), np.zeros(2, int))
    assert bars is not None
    assert bars.classes is None
    assert bars.waveforms.shape == (2, 16_000)
    of_genre = procedural(Form(8000, 16_000, ("house", "techno")), np.asarray([0, 1]))
    assert of_genre is not None
    assert of_genre.label_names == ("house", "techno")


class Dial:
    """Sounds whose class is that of the greatest weight, if it heeds labels; component 0 is the level, 1 is nothing."""

    label_names = ("low", "high")
    sample_rate = 22_050
    config: ClassVar[dict[str, Any]] = {}

    def __init__(self, heeds: bool):
        self.heeds = heeds

    def draw(self, seeds, labels=None, truncation=1.0):
        weights = (
            np.full((len(seeds), 2), 0.5)
            if labels is None
            else np.tile([labels["low"], labels["high"]], (len(seeds), 1))
        )
        ws = np.zeros((len(seeds), 1, 2), np.float32)
        return Latents(np.asarray(seeds, np.uint32), ws, None, weights.astype(np.float32), None, "dial")

    def render(self, latents):
        time = np.arange(4000) / self.sample_rate
        share = latents.labels[:, 1:] if self.heeds else np.full((len(latents), 1), 0.5)
        rng = np.random.default_rng(latents.seeds.sum())
        tones = (1 - share) * np.sin(2 * np.pi * 200 * time) + share * np.sin(2 * np.pi * 4000 * time)
        waveforms = np.exp(latents.ws[:, 0, :1]) * tones + 1e-3 * rng.standard_normal((len(latents), 4000))
        return Sounds(waveforms.astype(np.float32), self.sample_rate, latents)

    def components(self):
        return Components(np.zeros(2), np.eye(2), np.ones(2), np.asarray([0.9, 0.1]), 10)

    def edit(self, latents, component, amount):
        return dataclasses.replace(latents, ws=latents.ws + amount * np.eye(2, dtype=np.float32)[component])


@pytest.fixture(scope="module")
def ear() -> Judge:
    """Tells a low tone from a high one."""
    time = np.arange(4000) / 22_050
    rng = np.random.default_rng(0)
    tones = [np.sin(2 * np.pi * hertz * rng.uniform(0.9, 1.1) * time) for hertz in (200, 4000) for _ in range(8)]
    noisy = np.stack(tones) + 1e-3 * rng.standard_normal((16, 4000))
    return fit_judge(thumbnails(noisy, 22_050), np.repeat([0, 1], 8), ("low", "high"), {})


def test_sliders_that_work_are_told_from_those_that_do_not(ear: Judge) -> None:
    (works,) = slider_figures(Dial(heeds=True), ear, 12)
    assert (works.first, works.second) == ("low", "high")
    assert works.carried.value == 1.0
    assert works.correlation > 0.95
    (idle,) = slider_figures(Dial(heeds=False), ear, 12)
    assert idle.carried.value == 0.0
    assert abs(idle.correlation) < 0.5


def test_components_that_do_nothing_are_told() -> None:
    first, second = component_figures(Dial(heeds=True), 8)
    assert (first.strongest, first.does_nothing) == ("level", False)
    assert first.correlations["level"] > 0.95
    assert second.does_nothing


class LoopDial(Dial):
    """Bars of five clicks and a hum; component 0 delays the clicks at odd steps, 1 is nothing."""

    config: ClassVar[dict[str, Any]] = {"slicing": {"kind": "bar", "beats": 4, "tempo": 120.0}}

    def render(self, latents):
        waveforms = 1e-4 * np.random.default_rng(0).standard_normal((len(latents), 2 * self.sample_rate))
        for waveform, late in zip(waveforms, latents.ws[:, 0, 0], strict=True):
            for step in (0, 4, 5 + 0.1 * late, 8, 11 + 0.1 * late):
                start = round(step / 8 * self.sample_rate)
                waveform[start : start + 500] += np.random.default_rng(1).standard_normal(500)
        return Sounds(waveforms.astype(np.float32), self.sample_rate, latents)


def test_a_component_of_loops_is_named_by_what_it_does_to_a_loop() -> None:
    first, second = component_figures(LoopDial(heeds=True), 2)
    assert (first.strongest, first.does_nothing) == ("swing", False)
    assert set(first.correlations) == set(loop_descriptors.UNITS)
    assert second.does_nothing


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fit of a toy data set, which has no held-out recordings."""
    place = tmp_path_factory.mktemp("run")
    data = write_dataset(place, 48, 1)
    shown = open_dataset(data).representation
    same = [
        f"--config.representation.{name}={getattr(shown, name)}"
        for name in ("sample_rate", "n_fft", "hop_length", "num_frames")
    ]
    drumgan("fit", "--config=pca_gaussian:tiny", f"--config.data.dir={data}", f"--workdir={place / 'pca'}", *same)
    return place / "pca"


def test_a_run_is_measured_beside_baselines_of_its_data(run: Path, tmp_path: Path) -> None:
    flags = ["--metrics=fid:log_mel", "--table_metrics=fid:log_mel", "--samples=12"]
    said = drumgan("evaluate", f"--run={run}", *flags, "--sounds=24", f"--out={tmp_path / 'out.json'}")
    assert "one half of it is the reference, on which the run may have been trained" in said
    assert "encoded and decoded" in said
    report = json.loads((tmp_path / "out.json").read_text())
    rows = report["quality"]["table"]["rows"]
    assert [row["name"] for row in rows] == [NOISE, PROCEDURAL, PCA, TRAINING, str(run)]
    assert set(report["quality"]["encoder"]) >= {str(run), "PCA: projection", "nearest training recording"}
    compared = drumgan("compare", str(run), "--plot=")
    assert "against 24 sounds" in compared.lower()
    # Another number of sounds: not comparable, with the command that makes it so.
    other = tmp_path / "other"
    other.mkdir()
    for name in ("config.json", "fitted.npz"):
        (other / name).write_bytes((run / name).read_bytes())
    drumgan("evaluate", f"--run={other}", *flags, "--sounds=12")
    compared = drumgan("compare", str(run), str(other), "--plot=")
    assert (
        f"{other} is not comparable with {run}: its table of quality has 12 sounds a row, not 24; make it again"
        in compared
    )
    # Another truncation is another generator.
    drumgan("evaluate", f"--run={other}", *flags, "--sounds=24", "--truncation=0.5")
    # What was measured of truncated sounds stands apart, and is no figure of the run.
    assert f"drumgan evaluate --run={other} --data=DATA --sounds=24" in drumgan(
        "compare", str(run), str(other), "--plot="
    )


def test_wrong_calls_are_one_sentence(run: Path, tmp_path: Path) -> None:
    packed = tmp_path / "pca.npz"
    drumgan("pack", f"--run={run}", f"--out={packed}", "--step=last")
    said = drumgan("evaluate", f"--run={packed}", status=2)
    assert (
        "s and those of held-out recordings 1.01 s; compare it with a data set of its own length: give --data." in said
    )
    said = drumgan("evaluate", "--run=packaged", "--sounds=2", status=2)
    assert "--sounds is 2; the table of quality needs 12 or more, 0 leaves it out." in said
    said = drumgan("evaluate", "--run=packaged", "--metrics=fid:clap", "--samples=5", status=2)
    assert "--metrics, --samples need a data set, and packaged names none; give one with --data" in said
    said = drumgan("evaluate", "--run=packaged", f"--out={tmp_path}", status=2)
    assert "is a folder; give the name of a file." in said
    said = drumgan("evaluate", f"--run={packed}", "--sounds=0", status=2)
    assert "which does not name its data; give --data" in said
    other = write_dataset(tmp_path, 12, 1, {**_toy(run), "sample_rate": 4000})
    said = drumgan("evaluate", f"--run={run}", f"--data={other}", status=2)
    assert "has sounds of 4000 Hz and the run makes" in said
    said = drumgan("evaluate", f"--run={run}", f"--judge={packed}", status=2)
    assert "give that of a drumgan judge" in said
    said = drumgan("evaluate", "--run=pca_gaussian", "--table_metrics=fid:vgg16", "--sounds=20", status=2)
    assert "held-out recordings was not embedded by vgg16, only by drums, log_mel; give the recordings" in said


def _toy(run: Path) -> dict[str, Any]:
    config = json.loads((run / "config.json").read_text())["representation"]
    return {name: value for name, value in config.items() if name not in ("mean", "std")}
