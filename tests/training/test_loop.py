"""Whole trainings of a few steps: what they leave, how they go on, how they end."""

import itertools
import json
import os
import signal
import sys
import time

import jax
import numpy as np
import pytest
import toy_gan
from forked_cases import Forked, python
from toy_gan import toy_config
from training_cases import LABELS, finish, start_process, timeless, tiny_config, wait_for_line, write_dataset

from drumgan_jax.audio.representations import settings_of
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.report import read_reports, write_report
from drumgan_jax.runs import config as run_config
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.config import complete_steps, find_step, read_config
from drumgan_jax.runs.metrics import read_metrics
from drumgan_jax.training import run
from drumgan_jax.training.loop import train
from drumgan_jax.training.task import Evaluation
from drumgan_jax.training.tasks.gan import GanTask
from drumgan_jax.training.window import TrainingDiverged


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch):
    monkeypatch.setitem(sys.modules, "clu", None)  # importing TensorFlow takes seconds


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data")).parent


@pytest.mark.smoke
def test_a_run_leaves_all_it_should(data_dir, tmp_path):
    result = train(toy_config(data_dir, logging={"samples_every": 8}), tmp_path / "run")
    assert (result.step, result.stopped, len(result.history)) == (8, "complete", 8)
    assert read_metrics(tmp_path / "run") == result.history
    names = set().union(*result.history)
    assert names >= {
        *("loss/generator", "loss/discriminator", "toy/generator", "toy/discriminator"),
        *("norm/generator_gradient", "norm/generator_update", "norm/discriminator_gradient", "norm/toy_g_gradient"),
        *("learning_rate/generator", "learning_rate/discriminator", "time/data_wait", "time/first_step"),
        *("speed/images_per_second", "speed/steps_per_second"),
    }
    assert sorted(path.name for path in (tmp_path / "run" / "samples").iterdir()) == [
        "step_00000008.png",
        "step_00000008.wav",
    ]
    assert complete_steps(tmp_path / "run" / "checkpoints") == [4, 8]
    ema, step = load_ema(tmp_path / "run")
    assert step == 8
    np.testing.assert_array_equal(ema["params"]["a"], result.state.ema["params"]["a"])

    frozen = read_config(tmp_path / "run")
    stored = json.loads((data_dir / "1.0.0" / "representation.json").read_text())
    assert frozen["representation"] == stored
    assert (frozen["labels"], frozen["seed"]) == (list(LABELS), 3)

    # A finished run stays as it is; with more images it goes on.
    again = train(toy_config(data_dir), tmp_path / "run")
    assert (again.step, again.history) == (8, [])
    more = train(toy_config(data_dir, train={"total_images": 80}), tmp_path / "run")
    assert (more.step, [line["step"] for line in more.history]) == (10, [9, 10])


def test_going_on_equals_never_having_stopped(data_dir, tmp_path):
    whole = train(toy_config(data_dir, train={"total_images": 112}), tmp_path / "whole")
    first = train(toy_config(data_dir, train={"total_images": 48}), tmp_path / "parts")
    second = train(toy_config(data_dir, train={"total_images": 112}), tmp_path / "parts")
    assert timeless(first.history + second.history) == timeless(whole.history)
    assert timeless(read_metrics(tmp_path / "parts")) == timeless(whole.history)
    for one, other in zip(jax.tree.leaves(whole.state), jax.tree.leaves(second.state), strict=True):
        np.testing.assert_array_equal(one, other)


def test_log_lines_average_and_do_not_depend_on_stops(data_dir, tmp_path):
    every_step = train(toy_config(data_dir), tmp_path / "1").history
    sparse = train(toy_config(data_dir, logging={"every": 3}, checkpoint={"every": 8}), tmp_path / "3").history
    assert [line["step"] for line in sparse] == [3, 6, 8]
    for line, steps in zip(sparse, (range(3), range(3, 6), range(6, 8)), strict=True):
        expected = np.mean([every_step[step]["loss/generator"] for step in steps])
        assert line["loss/generator"] == pytest.approx(expected, rel=1e-12)


def test_another_config_is_refused(data_dir, tmp_path):
    train(toy_config(data_dir, train={"total_images": 8}), tmp_path)
    # A run from before there were balances does not name them, and is the same run.
    stored = json.loads((tmp_path / "config.json").read_text())
    before = {name: value for name, value in stored["train"].items() if not name.endswith("_balance")}
    assert before != stored["train"]
    (tmp_path / "config.json").write_text(json.dumps({**stored, "train": before}))
    run.check(tmp_path, run.freeze(toy_config(data_dir), open_dataset(data_dir), tmp_path))
    other = toy_config(data_dir, train={"batch_size": 4, "ema_rampup": 0.1})
    other.seed = 4
    with pytest.raises(
        BadInput, match=r"holds a run of another config, which differs in seed, train\.batch_size; give"
    ):
        train(other, tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadInput, match=r"config\.json is damaged"):
        train(toy_config(data_dir), tmp_path)


def test_another_representation_is_refused(data_dir, tmp_path):
    config = toy_config(data_dir)
    config.representation.hop_length = 4
    with pytest.raises(
        BadInput, match=r"another representation: the config's differs in hop_length: 4 against 8; prepare"
    ):
        train(config, tmp_path)


@pytest.mark.parametrize(
    ("sections", "match"),
    [
        ({"train": {"batch_size": 32}}, r"has 24 examples in split 'train', fewer than config\.train\.batch_size"),
        ({"train": {"batch_size": 6}}, r"batch_size is 6, which 4 device\(s\) x 1 micro-batch\(es\) do not divide"),
        ({"mesh": {"data": 3}}, r"does not fit the 4 device"),
        ({"data": {"dir": "nowhere"}}, r"nowhere is not a folder"),
        ({"logging": {"every": 0}}, r"config\.logging\.every is 0"),
        (
            {"task": {"kind": "opera"}},
            r"task\.kind is 'opera'; it must be one of classifier, encoder, gan, tagger, toy",
        ),
    ],
)
def test_unfit_configs_end_with_a_sentence(data_dir, tmp_path, sections, match):
    with pytest.raises(BadInput, match=match):
        train(toy_config(data_dir, **sections), tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_workdir_that_is_a_file(data_dir, tmp_path):
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(BadInput, match=r"run cannot be written .*give another --workdir"):
        train(toy_config(data_dir), tmp_path / "run")


def test_a_refused_config_leaves_no_folder(data_dir, tmp_path):
    with pytest.raises(BadInput):
        train(toy_config(data_dir, train={"batch_size": 32}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_divergence_stops_and_is_not_saved(data_dir, tmp_path, monkeypatch):
    def explode(match, statistics, key):
        calls = statistics["calls"] + 1.0
        return jax.numpy.where(calls == 4, jax.numpy.inf, 0.0) * match.draw_ws(key, 2).sum(), {"calls": calls}, {}

    monkeypatch.setattr(toy_gan, "generator_penalty", explode)
    config = toy_config(data_dir, checkpoint={"every": 5}, logging={"every": 100})
    with pytest.raises(
        TrainingDiverged, match=r"diverged at step 7: norm/toy_g_gradient, .* and \d+ more not finite; .* step 5;"
    ):
        train(config, tmp_path)
    assert complete_steps(tmp_path / "checkpoints") == [5]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(load_ema(tmp_path)[0]))


def test_a_run_that_diverged_goes_on_with_a_lower_learning_rate(data_dir, tmp_path, monkeypatch, caplog):
    """From the checkpoint before, with the moments it had; what was changed is said, and kept in the config."""

    def explode(match, statistics, key):
        # The learning rate is no part of it: this one does not diverge a second time.
        calls = statistics["calls"] + 1.0
        return jax.numpy.where(calls == 4, jax.numpy.inf, 0.0) * match.draw_ws(key, 2).sum(), {"calls": calls}, {}

    with monkeypatch.context() as patch:
        patch.setattr(toy_gan, "generator_penalty", explode)
        with pytest.raises(TrainingDiverged, match="last good checkpoint is step 4"):
            train(toy_config(data_dir), tmp_path)
    slower = toy_config(data_dir, train={"ema_rampup": 0.25})
    slower.optimizer.generator.learning_rate = 0.001
    slower.optimizer.discriminator.beta1 = 0.5
    caplog.clear()
    result = train(slower, tmp_path)
    assert [line["step"] for line in result.history] == [5, 6, 7, 8]
    rates = {line["step"]: line["learning_rate/generator"] for line in read_metrics(tmp_path)}
    assert rates[8] == pytest.approx(rates[4] / 2)
    assert (
        f"{tmp_path} goes on from step 4 with another optimizer.discriminator.beta1 (0.0, now 0.5), "
        "optimizer.generator.learning_rate (0.002, now 0.001), train.ema_rampup (0.5, now 0.25)."
    ) in caplog.messages
    before = {"optimizer.discriminator.beta1": 0.0, "optimizer.generator.learning_rate": 0.002, "train.ema_rampup": 0.5}
    assert read_config(tmp_path)["changes"] == [{"step": 4, "before": before}]
    # As it is now it goes on without a word, and what was changed is not forgotten; a schedule is another change.
    caplog.clear()
    train(slower, tmp_path)
    assert caplog.messages == []
    falling = {"kind": "linear", "start": 0.001, "end": 0.0, "images": 80}
    with slower.optimizer.generator.ignore_type():
        slower.optimizer.generator.learning_rate = falling
    slower.train.total_images = 80
    assert train(slower, tmp_path).step == 10
    assert [one["step"] for one in read_config(tmp_path)["changes"]] == [4, 8]


def test_best_is_kept_and_training_stops_early(data_dir, tmp_path, monkeypatch):
    scores = iter([4.0, 3.0, 1.0, 2.0, float("nan"), 0.5])

    def evaluator(task, dataset):
        return lambda state: Evaluation({"fid/log_mel": (score := next(scores))}, {"figures": {"fid/log_mel": score}})

    monkeypatch.setattr(GanTask, "evaluator", evaluator)
    sections = {"evaluation": {"every": 2, "patience": 2}, "checkpoint": {"every": 100, "keep": 1}}
    result = train(toy_config(data_dir, train={"total_images": 800}, **sections), tmp_path)
    assert (result.step, result.stopped) == (8, "early")
    assert complete_steps(tmp_path / "checkpoints") == [4, 8]
    name = "evaluation/fid/log_mel"
    told = [(line["step"], line[name]) for line in result.history if name in line]
    assert told[:4] == [(0, 4.0), (2, 3.0), (4, 1.0), (6, 2.0)]
    assert read_reports(tmp_path)[4]["figures"] == {"fid/log_mel": 1.0}
    again = train(toy_config(data_dir, train={"total_images": 800}, **sections), tmp_path)
    assert (again.step, again.stopped, again.history) == (8, "early", [])


def test_milestones_are_kept_beside_the_last_and_the_best(data_dir, tmp_path):
    # 17 images are seen by step 3 of 8 images each; 200 never.
    sections = {"checkpoint": {"every": 100, "keep": 1, "milestones": (17, 40, 200)}}
    whole = train(toy_config(data_dir, train={"total_images": 64}, **sections), tmp_path / "whole")
    assert complete_steps(tmp_path / "whole" / "checkpoints") == [3, 5, 8]
    assert find_step(tmp_path / "whole", "0.017kimg") == 3
    milestone, _ = load_ema(tmp_path / "whole", find_step(tmp_path / "whole", "0.04kimg"))

    # Stopped between two milestones, and resumed from another step than either.
    train(toy_config(data_dir, train={"total_images": 32}, **sections), tmp_path / "resumed")
    assert complete_steps(tmp_path / "resumed" / "checkpoints") == [3, 4]
    with pytest.raises(
        BadInput, match=r"no checkpoint of 0\.04kimg \(step 5\); it has the milestones 0\.017kimg and the"
    ):
        find_step(tmp_path / "resumed", "0.04kimg")
    resumed = train(toy_config(data_dir, train={"total_images": 64}, **sections), tmp_path / "resumed")
    assert complete_steps(tmp_path / "resumed" / "checkpoints") == [3, 5, 8]
    same = load_ema(tmp_path / "resumed", 5)[0]
    for one, other in zip(jax.tree.leaves(milestone), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(one, other)
    assert resumed.step == whole.step == 8


@pytest.mark.parametrize("milestones", [(0,), (8, 8), (8.5,), ("8kimg",), 8])
def test_milestones_that_are_no_numbers_of_images(data_dir, tmp_path, milestones):
    config = {**toy_config(data_dir).to_dict(), "checkpoint": {"milestones": milestones}}
    with pytest.raises(BadInput, match=r"config\.checkpoint\.milestones is .* different whole numbers of at least 1"):
        train(config, tmp_path)


def test_evaluation_of_the_suite_runs_in_the_loop(data_dir, tmp_path):
    config = toy_config(data_dir, evaluation={"every": 8, "num_samples": 32})
    history = train(config, tmp_path).history
    assert history[-1]["evaluation/fid/log_mel"] > 0
    figure = read_reports(tmp_path)[8]["figures"]["fid/log_mel"]
    assert figure["value"] == history[-1]["evaluation/fid/log_mel"]
    assert (figure["samples"], figure["reference_samples"], figure["weights"]) == (32, 24, "")
    assert figure["low"] < figure["value"] < figure["high"]


def test_a_metric_that_is_not_measured_is_told_at_once(data_dir, tmp_path):
    sections = {"evaluation": {"every": 4, "num_samples": 8, "metric": "fid/drums"}}
    with pytest.raises(
        BadInput, match=r"config\.evaluation\.metric is 'fid/drums', which is not measured; .* fid/log_mel"
    ):
        train(toy_config(data_dir, **sections), tmp_path)


def test_evaluations_of_a_run_that_began_anew_are_gone(data_dir, tmp_path):
    write_report(tmp_path, 500, {"figures": {"fid/log_mel": {"value": 1.0}}})
    train(toy_config(data_dir), tmp_path)
    assert read_reports(tmp_path) == {}


def test_higher_is_better_of_some_figures(data_dir, tmp_path, monkeypatch):
    scores = iter([0.1, 0.5, 0.9, 0.3, 0.2])

    def evaluator(task, dataset):
        return lambda state: Evaluation({"coverage/drums": next(scores)}, {})

    monkeypatch.setattr(GanTask, "evaluator", evaluator)
    sections = {"evaluation": {"every": 2, "patience": 2, "metric": "coverage/drums"}, "checkpoint": {"keep": 1}}
    result = train(toy_config(data_dir, train={"total_images": 800}, **sections), tmp_path)
    assert (result.step, result.stopped) == (8, "early")
    assert complete_steps(tmp_path / "checkpoints") == [4, 8]


def test_hours_go_on_after_a_stop(data_dir, tmp_path):
    train(toy_config(data_dir, train={"total_images": 16}), tmp_path)
    before = read_metrics(tmp_path)[-1]
    train(toy_config(data_dir, train={"total_images": 64}), tmp_path)
    for name in ("time/hours", "time/training_hours"):
        hours = [line[name] for line in read_metrics(tmp_path)]
        assert hours == sorted(hours)
        assert hours[-1] > max(before[name], 0)
    # The start is that of the first process, so that what lies between two of them counts.
    assert len({line["time/began"] for line in read_metrics(tmp_path)}) == 1
    last = read_metrics(tmp_path)[-1]
    since = 3600 * last["time/training_hours"] / last["time/goodput"]
    assert 3600 * last["time/hours"] < since < time.time() - last["time/began"]


def test_training_hours_are_of_steps_alone(data_dir, tmp_path, monkeypatch):
    def evaluator(task, dataset):
        return lambda state: time.sleep(0.5) or Evaluation({"fid/log_mel": 1.0}, {})

    monkeypatch.setattr(GanTask, "evaluator", evaluator)
    logging = {"every": 1, "samples_every": 0}
    evaluation = {"every": 1, "metric": "fid/log_mel"}
    train(toy_config(data_dir, train={"total_images": 64}, logging=logging, evaluation=evaluation), tmp_path)
    lines = [line for line in read_metrics(tmp_path) if "time/training_hours" in line]
    # The first step compiles; evaluations before and after it are left out too.
    assert lines[0]["time/training_hours"] == 0.0
    for before, line in itertools.pairwise(lines):
        step = 1 / line["speed/steps_per_second"] / 3600
        assert line["time/training_hours"] - before["time/training_hours"] == pytest.approx(step, rel=1e-6)
        assert line["time/hours"] - before["time/hours"] > step + 0.5 / 3600


def test_no_tensorflow_before_the_first_step(data_dir, tmp_path):
    code = f"""
    import sys
    import toy_gan
    from toy_gan import toy_config
    from drumgan_jax.training import loop
    assert "tensorflow" not in sys.modules, "import"
    add = loop.MetricsWindow.add
    def stop(window, step, metrics):
        assert "tensorflow" not in sys.modules, "first step"
        print("without TensorFlow")
        sys.exit()
    loop.MetricsWindow.add = stop
    loop.train(toy_config({os.fspath(data_dir)!r}), {os.fspath(tmp_path)!r})
    """
    assert "without TensorFlow" in finish(start_process(code))


SIGTERM_CODE = """
import sys
import time
sys.modules["clu"] = None
import toy_gan
from toy_gan import toy_config
from drumgan_jax.training.loop import train
result = train(toy_config({data!r}, train={{"total_images": {images}}}), {run!r})
print(result.step, result.stopped)
"""


def test_sigterm_saves_and_the_same_command_goes_on(data_dir, tmp_path):
    code = SIGTERM_CODE.format(data=os.fspath(data_dir), run=os.fspath(tmp_path), images=8_000_000)
    process = start_process(code)
    wait_for_line(process, tmp_path / "metrics.jsonl", 6)
    # A second training of the run directory ends with a sentence, and leaves it alone.
    with pytest.raises(
        BadInput, match=rf"is being written by `drumgan train` \(process {process.pid} on .*; wait for it"
    ):
        train(toy_config(data_dir), tmp_path)
    process.send_signal(signal.SIGTERM)
    step, stopped = finish(process).split()
    assert stopped == "preempted"
    assert complete_steps(tmp_path / "checkpoints")[-1] == int(step) >= 6
    until = int(step) + 3
    code = SIGTERM_CODE.format(data=os.fspath(data_dir), run=os.fspath(tmp_path), images=until * 8)
    assert finish(Forked(python, code)).split() == [str(until), "complete"]
    assert [line["step"] for line in read_metrics(tmp_path)] == list(range(1, until + 1))


def test_labels_condition_only_when_asked(data_dir):
    from drumgan_jax.core.mesh import make_mesh
    from drumgan_jax.data.dataset import open_dataset
    from drumgan_jax.training.run import freeze
    from drumgan_jax.training.tasks import build_task

    config = tiny_config(data_dir)
    assert "labels" in build_task(freeze(config, open_dataset(data_dir)), make_mesh()).keys
    config.task.conditional = False
    assert "labels" not in build_task(freeze(config, open_dataset(data_dir)), make_mesh()).keys


def test_a_run_of_an_earlier_version_is_not_gone_on_with(tmp_path, monkeypatch):
    frozen = {"seed": 1, "labels": [], "format": 2}
    run.claim(tmp_path, frozen)
    monkeypatch.setattr(run, "complete_steps", lambda _: [1])
    run.check(tmp_path, frozen)
    (tmp_path / "config.json").write_text(json.dumps({"seed": 1, "labels": []}))
    with pytest.raises(BadInput, match=r"was begun by an earlier version, .* it can be played and measured as it is"):
        run.check(tmp_path, frozen)


def test_a_run_that_saved_nothing_may_change_its_config(tmp_path):
    for seed in (1, 2):
        frozen = {"seed": seed, "labels": []}
        run.check(tmp_path, frozen)
        run.claim(tmp_path, frozen)
    assert run_config.read_config(tmp_path)["seed"] == 2


def test_phases_are_the_configs_and_statistics_the_data_sets(data_dir):
    changed = tiny_config(data_dir)
    changed.decoder.iterations = 7
    dataset = open_dataset(data_dir)
    frozen = run.freeze(changed, dataset)
    representation = frozen["representation"]
    assert (frozen["decoder"]["iterations"], frozen["format"]) == (7, 2)
    assert representation["mean"] == settings_of(dataset.representation)["mean"]
