"""The vocoder's task: its losses against NumPy, one device against four, what warming up leaves, whole trainings."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from training_cases import REPRESENTATION, mesh_of, write_dataset
from vocoder_task_cases import BATCH, MEL, frozen_config, vocoder_config

from drumgan_jax.audio.spectral_distance import bass_distance, multi_scale_spectral_loss
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.keys import Purpose, run_key
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.reconstruction import log_spectral_distance
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.config import find_step
from drumgan_jax.runs.load import load_vocoder
from drumgan_jax.runs.metrics import METRICS_NAME, read_metrics
from drumgan_jax.training.loop import TrainResult, train
from drumgan_jax.training.tasks import build_task

SCORE = "evaluation/vocoder/multi_scale_spectral"
pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(autouse=True, scope="module")
def no_tensorboard() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "clu", None)  # importing TensorFlow takes seconds
        yield


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), 8, 1, MEL)


class Steps(NamedTuple):
    """A task, its state before each of some steps and after the last, fetched, and their metrics."""

    task: Any
    states: list[Any]
    metrics: list[dict[str, float]]


def waveforms_of(data_dir: Path) -> np.ndarray:
    return next(open_dataset(data_dir).waveforms("train", BATCH, BATCH))


def run_steps(config: dict[str, Any], mesh: Mesh, steps: int) -> Steps:
    """Steps on one batch, the same each time."""
    task = build_task(config, mesh)
    state, metrics = task.init(), []
    states = [jax.device_get(state)]
    batch = {"waveforms": jax.device_put(waveforms_of(Path(config["data"]["dir"])), batch_sharding(mesh))}
    for step in range(steps):
        with jax.transfer_guard("disallow"):
            state, of_step = task.step(state, batch, step)
        states.append(jax.device_get(state))
        metrics.append({name: float(value) for name, value in jax.device_get(of_step).items()})
    return Steps(task, states, metrics)


@pytest.fixture(scope="module")
def steps(data_dir: Path) -> Steps:
    """20 steps to warm up, and 20 more against the discriminator."""
    return run_steps(frozen_config(data_dir, task={"warmup_images": 20 * BATCH}), mesh_of(1), 40)


def crops(task: Any, state: Any, waveforms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features and samples of the crops of a step, cut one by one."""
    key = run_key(state.seed, Purpose.CROP, state.step)
    starts = np.asarray(jax.random.randint(key, (BATCH,), 0, 16 - 8 + 1))
    features = np.asarray(task.vocoder.representation.transform(jnp.asarray(waveforms)))
    return (
        np.stack([one[:, start : start + 8] for one, start in zip(features, starts, strict=True)]),
        np.stack([one[16 * start : 16 * (start + 8)] for one, start in zip(waveforms, starts, strict=True)]),
    )


def test_losses_are_those_of_numpy(steps: Steps, data_dir: Path) -> None:
    task = steps.task
    judge = jax.jit(lambda params, x: task.discriminator.apply({"params": params}, x))
    make = jax.jit(lambda params, x: task.vocoder.synthesize({"params": params}, x))
    for number in (20, 30):
        before, after, line = steps.states[number], steps.states[number + 1], steps.metrics[number]
        features, real = crops(task, before, waveforms_of(data_dir))
        fake = make(before.generator, features)
        assert fake.shape == real.shape == (BATCH, 128)
        of_real, of_fake, again = (
            jax.tree.map(np.float64, judge(params, sounds))
            for params, sounds in (
                (before.discriminator, real),
                (before.discriminator, fake),
                (after.discriminator, fake),
            )
        )
        hinge = sum(np.maximum(0, 1 - scale[-1]).mean() for scale in of_real)
        hinge += sum(np.maximum(0, 1 + scale[-1]).mean() for scale in of_fake)
        assert line["loss/discriminator"] == pytest.approx(hinge, rel=1e-4)
        for name, judged in (("real", of_real), ("fake", of_fake)):
            scores = np.concatenate([scale[-1].ravel() for scale in judged])
            assert line[f"score/{name}"] == pytest.approx(scores.mean(), rel=1e-3, abs=1e-5)
        adversarial = -sum(scale[-1].mean() for scale in again)
        # One strided convolution: 3 layers below the scores, of 4 / 2 each, over 2 scales.
        matching = sum(
            np.abs(a - b).mean()
            for scale, other in zip(of_real, again, strict=True)
            for a, b in zip(scale[:-1], other[:-1], strict=True)
        )
        spectral = float(np.mean(multi_scale_spectral_loss(real, fake)))
        assert line["loss/adversarial"] == pytest.approx(adversarial, rel=1e-3, abs=1e-5)
        assert line["loss/matching"] == pytest.approx(matching, rel=1e-3)
        assert line["loss/spectral"] == pytest.approx(spectral, rel=1e-3)
        bass = float(np.mean(bass_distance(real, fake, 8000)))
        assert line["loss/bass"] == pytest.approx(bass, rel=1e-3)
        assert line["loss/generator"] == pytest.approx(adversarial + 10 * matching + 0.5 * spectral + bass, rel=1e-3)
        assert line["learning_rate/generator"] == line["learning_rate/discriminator"] == 0.01


def test_crops_have_their_place_and_true_surroundings(steps: Steps, data_dir: Path) -> None:
    waveforms = waveforms_of(data_dir)
    for state in (steps.states[0], steps.states[5]):
        found = steps.task._crops(state, {"waveforms": jnp.asarray(waveforms)})
        for ours, one_by_one in zip(found, crops(steps.task, state, waveforms), strict=True):
            np.testing.assert_allclose(ours, one_by_one, atol=1e-5)


def test_warming_up_leaves_the_discriminator(steps: Steps) -> None:
    first, warm, last = (steps.states[number] for number in (0, 20, 40))
    jax.tree.map(np.testing.assert_array_equal, warm.discriminator, first.discriminator)
    jax.tree.map(np.testing.assert_array_equal, warm.discriminator_optimizer, first.discriminator_optimizer)
    assert set(steps.metrics[19]) == {
        "loss/spectral",
        "loss/bass",
        "norm/generator_gradient",
        "norm/generator_update",
        "learning_rate/generator",
        "learning_rate/discriminator",
    }
    pairs = zip(jax.tree.leaves(last.discriminator), jax.tree.leaves(warm.discriminator), strict=True)
    assert np.mean([not np.array_equal(a, b) for a, b in pairs]) > 0.8
    assert steps.metrics[20]["norm/discriminator_update"] > 0


def test_it_learns(steps: Steps) -> None:
    spectral = [line["loss/spectral"] for line in steps.metrics]
    # After warming up, and after as many steps against the discriminator.
    for end in (20, 40):
        assert np.mean(spectral[end - 5 : end]) < 0.8 * spectral[0]
    first, last = steps.states[0], steps.states[-1]
    for name in ("generator", "ema"):
        pairs = zip(jax.tree.leaves(getattr(first, name)), jax.tree.leaves(getattr(last, name)), strict=True)
        assert all(not np.array_equal(a, b) for a, b in pairs)
    assert int(last.step) == 40


def test_one_device_and_four_take_the_same_steps(data_dir: Path) -> None:
    one, four = (run_steps(frozen_config(data_dir), mesh_of(count), 2) for count in (1, 4))
    for line, same in zip(one.metrics, four.metrics, strict=True):
        assert line == pytest.approx(same, rel=2e-3, abs=1e-5)
    for a, b in zip(*(jax.tree.leaves((s.states[2].generator, s.states[2].ema)) for s in (one, four)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def test_scores_are_those_of_the_sounds_beside_griffin_lims(steps: Steps, data_dir: Path) -> None:
    task, dataset = steps.task, open_dataset(data_dir)
    evaluate = task.evaluator(dataset)
    evaluation, untrained = evaluate(steps.states[-1]), evaluate(steps.states[0])
    real = next(dataset.waveforms("train", 6, 6))
    shown = task.vocoder.representation
    made = jax.jit(task.vocoder.synthesize)(steps.states[-1].ema, shown.transform(real))
    for name, formula in (
        ("multi_scale_spectral", multi_scale_spectral_loss),
        ("log_spectral_distance", log_spectral_distance),
    ):
        expected = float(np.mean(formula(real, made)))
        assert evaluation.scores[f"vocoder/{name}"] == pytest.approx(expected, rel=1e-3)
        assert evaluation.scores[f"griffin_lim/{name}"] == untrained.scores[f"griffin_lim/{name}"] > 0
    assert evaluation.scores["vocoder/multi_scale_spectral"] < untrained.scores["vocoder/multi_scale_spectral"]
    assert json.loads(json.dumps(evaluation.report)) == {"split": "train", "sounds": 6, **evaluation.scores}


def test_a_summary_has_each_recording_before_what_is_made_of_it(steps: Steps, data_dir: Path) -> None:
    task, state = steps.task, steps.states[-1]
    summary = task.summarize(state)
    assert (summary.waveforms.shape, summary.sample_rate) == ((4, 256), 8000)
    real = next(open_dataset(data_dir).waveforms("train", 2, 2))
    np.testing.assert_array_equal(summary.waveforms[::2], real)
    made = task.vocoder.render(state.ema, task.vocoder.representation.transform(real))
    np.testing.assert_allclose(summary.waveforms[1::2], made, atol=1e-5)


WARM_UP = {"warmup_images": 3 * BATCH}


@pytest.fixture(scope="module")
def whole(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainResult]:
    """A run without a stop, evaluated, and its result."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    return run, train(vocoder_config(data_dir, task=WARM_UP, evaluation={"every": 2}), run)


def test_going_on_equals_never_having_stopped(whole: tuple[Path, TrainResult], data_dir: Path, tmp_path: Path) -> None:
    _, result = whole
    assert {line["step"] for line in result.history if SCORE in line} == {0, 2, 4}
    train(vocoder_config(data_dir, task=WARM_UP, train={"total_images": 2 * BATCH}), tmp_path)
    again = train(vocoder_config(data_dir, task=WARM_UP), tmp_path)
    jax.tree.map(np.testing.assert_array_equal, again.state, result.state)
    # It was not evaluated: its vocoder is that of its last step.
    trained = load_vocoder(tmp_path)
    assert trained.vocoder.representation.mean is not None
    jax.tree.map(np.testing.assert_array_equal, dict(trained.variables), result.state.ema)


@pytest.mark.parametrize("best", [2, 4])
def test_the_vocoder_of_an_evaluated_run_is_its_best(
    whole: tuple[Path, TrainResult], best: int, tmp_path: Path
) -> None:
    run = shutil.copytree(whole[0], tmp_path / "run")
    lines = [{**line, SCORE: abs(line["step"] - best)} if SCORE in line else line for line in read_metrics(run)]
    (run / METRICS_NAME).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    variables, step = load_ema(run, find_step(run, "best"))
    other, _ = load_ema(run, 6 - best)
    found = dict(load_vocoder(run).variables)
    assert step == best
    jax.tree.map(np.testing.assert_array_equal, found, variables)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(other), strict=True)
    assert any(not np.array_equal(a, b) for a, b in pairs)


def test_unfit_settings_are_told(data_dir: Path, tmp_path: Path) -> None:
    for section, match in (
        ({"train": {"accumulation": 2}}, "a vocoder takes 1 only"),
        ({"train": {"compute_dtype": "bfloat16"}}, "takes float32 only"),
        ({"task": {"crop_frames": 0}}, r"config\.task\.crop_frames is 0"),
        ({"task": {"crop_frames": 17}}, r"config\.task\.crop_frames is 17, more than the 16 frames"),
        ({"task": {"matching_weight": -1.0}}, r"config\.task\.matching_weight is -1\.0"),
        ({"task": {"warmup_images": -1}}, r"config\.task\.warmup_images is -1"),
        ({"task": {"warmup_images": 8, "spectral_weight": 0.0}}, r"needs config\.task\.spectral_weight above 0"),
        ({"discriminator": {"kind": "other"}}, r"config\.discriminator\.kind is 'other'"),
        (
            {"discriminator": {"width": 0}},
            r"config\.discriminator\.width is 0; it must be a whole number of at least 1",
        ),
        (
            {"discriminator": {"scales": 0}},
            r"config\.discriminator\.scales is 0; it must be a whole number of at least 1",
        ),
        ({"discriminator": {"strided": -1}}, r"config\.discriminator\.strided is -1; it must be a whole number of at"),
        ({"discriminator": {"scales": True}}, r"config\.discriminator\.scales is True; it must be a whole number"),
    ):
        config = frozen_config(data_dir)
        for name, values in section.items():
            config[name].update(values)
        with pytest.raises(BadInput, match=match):
            build_task(config, make_mesh())
    spectra = write_dataset(tmp_path, 4, 1, REPRESENTATION)
    config = {**frozen_config(data_dir), "representation": {**REPRESENTATION, "mean": 0.0, "std": 1.0}}
    with pytest.raises(BadInput, match="a vocoder takes log_mel"):
        build_task({**config, "data": {"dir": str(spectra)}}, make_mesh())


def test_a_run_of_another_task_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"task": {"kind": "gan"}}))
    with pytest.raises(BadInput, match="is a run of task 'gan'; give the run of a vocoder"):
        load_vocoder(tmp_path)
    with pytest.raises(BadInput, match=r"absent/config\.json cannot be opened"):
        load_vocoder(tmp_path / "absent")
