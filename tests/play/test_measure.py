"""The sounds that a run is scored by: the same in training as in `drumgan evaluate`, and finished in both."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from instrument_cases import GROWING, RATE, drum, make_instrument
from training_cases import mesh_of, tiny_config, write_dataset
from verbs import drumgan

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.reference import dataset_side
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.play import instrument as instruments
from drumgan_jax.play.finish import finish
from drumgan_jax.play.load import load
from drumgan_jax.play.measure import embed_generated, reference_labels
from drumgan_jax.runs.checkpoints import Checkpoints
from drumgan_jax.training.run import claim, freeze
from drumgan_jax.training.tasks import build_task

pytestmark = pytest.mark.usefixtures("unoptimized")
METRICS = ("fid:log_mel", "kid:drums")
SOUNDS = 24


class Scored(NamedTuple):
    """A run with one checkpoint, its task's evaluation, and what that scored it with, on four devices."""

    folder: Path
    evaluate: Callable[[], dict[str, float]]
    scores: dict[str, float]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("measured")
    evaluation = {"every": 2, "num_samples": SOUNDS, "metrics": METRICS}
    dataset = open_dataset(write_dataset(folder, 24, 1))
    frozen = freeze(tiny_config(dataset.directory, evaluation=evaluation), dataset)
    claim(folder / "run", frozen)
    task: Any = build_task(frozen, make_mesh())
    state = task.init()
    checkpoints = Checkpoints(folder / "run", keep=1, metric="fid/log_mel")
    checkpoints.save(1, state)
    checkpoints.close()
    evaluator = task.evaluator(dataset)
    return Scored(folder / "run", lambda: dict(evaluator(state).scores), dict(evaluator(state).scores))


def test_training_and_the_verb_measure_the_same_sounds(scored: Scored) -> None:
    drumgan("evaluate", f"--run={scored.folder}", f"--metrics={','.join(METRICS)}", f"--samples={SOUNDS}")
    report = json.loads((scored.folder / "evaluations" / "step_00000001.json").read_text())
    for name, value in scored.scores.items():
        assert report["figures"][name]["value"] == pytest.approx(value, rel=1e-4)


def test_a_generator_that_has_fallen_silent_is_scored_in_training(
    scored: Scored, monkeypatch: pytest.MonkeyPatch
) -> None:
    render = instruments.Instrument.render

    def silent(*arguments: Any, **options: Any) -> Any:
        rendered = render(*arguments, **options)
        return dataclasses.replace(rendered, waveforms=np.zeros_like(rendered.waveforms))

    monkeypatch.setattr(instruments.Instrument, "render", silent)
    scores = scored.evaluate()
    assert scores["fid/log_mel"] > 2.0 * scored.scores["fid/log_mel"]
    with pytest.raises(BadInput, match="are silent"):
        embed_generated(load(scored.folder), Suite.of(["fid:log_mel"]), np.eye(3), 4)


def test_one_device_and_four_measure_the_same_sounds(scored: Scored) -> None:
    instrument = load(scored.folder)
    sharding = batch_sharding(mesh_of(1))
    suite, dataset = Suite.of(METRICS, sharding), open_dataset(instrument.config["data"]["dir"])
    labels = reference_labels(dataset, instrument.label_names, instrument.config, "train", SOUNDS)
    fake = embed_generated(instrument.on_devices(sharding), suite, labels, SOUNDS)
    results = suite.compare(dataset_side(suite, dataset, SOUNDS), fake)
    assert results.scores == pytest.approx(scored.scores, rel=1e-4)


def test_every_sound_that_is_heard_is_finished_and_no_round_trip_is(monkeypatch: pytest.MonkeyPatch) -> None:
    instrument: Any = make_instrument(GROWING)
    latents = instrument.draw(range(4))
    decoded = instrument.render(latents, finished=False).waveforms
    finished = finish(decoded, RATE, instrument.config)
    np.testing.assert_array_equal(instrument.render(latents).waveforms, finished)
    assert np.abs(finished - decoded).max() > 1e-3

    calls = []

    def halve(waveforms: np.ndarray, sample_rate: int, config: Mapping[str, Any]) -> np.ndarray:
        assert config is instrument.config
        calls.append((waveforms.shape, sample_rate))
        return 0.5 * waveforms

    monkeypatch.setattr(instruments, "finish", halve)
    np.testing.assert_array_equal(instrument.sample(range(4)).waveforms, 0.5 * decoded)
    assert calls == [(decoded.shape, RATE)]
    heard: list[np.ndarray] = []

    class Listening:
        """In a suite's place: takes the sounds of a stream."""

        embedders = Suite.of(["fid:log_mel"]).embedders

        def embed(self, stream: Any, progress: Any, *, keep_silent_sounds: bool, embedders: Any) -> dict[str, Any]:
            heard.extend(sound.waveform for sound in stream.sounds)
            return {}

    suite: Any = Listening()
    embed_generated(instrument, suite, np.eye(3), 4)
    labelled = instrument.render(instrument.draw(range(4), np.eye(3)[[0, 1, 2, 0]]), finished=False).waveforms
    np.testing.assert_array_equal(np.stack(heard), 0.5 * labelled)
    # Inversion compares decoded sounds with recordings, and what it finds is the same whatever the finish.
    count = len(calls)
    instrument.invert(drum(), RATE, steps=2, starts=1)
    assert len(calls) == count
