"""The classifier's task: its loss and figures against NumPy, one device against four, and whole small trainings."""

import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from training_cases import LABELS, mesh_of, write_around, write_dataset

from drumgan_jax.commands.pack import describe, pack
from drumgan_jax.configs import drum_classifier
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.records import INDEX_NAME
from drumgan_jax.evaluation.embedders.classifier import from_file
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.config import find_step
from drumgan_jax.systems.classifier import build_classifier, load_classifier, save_classifier
from drumgan_jax.training.loop import train
from drumgan_jax.training.run import freeze
from drumgan_jax.training.tasks import build_task
from drumgan_jax.training.tasks.classifier import weighted_cross_entropy, whole_split

REPRESENTATION = {"kind": "waveform", "sample_rate": 8000, "num_samples": 512}
BATCH = 8


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clu", None)  # importing TensorFlow takes seconds


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three shards of 10 examples: two of the split "train" and one of "test"."""
    directory = write_dataset(tmp_path_factory.mktemp("data"), 30, 3, REPRESENTATION)
    (directory / INDEX_NAME).unlink()
    for shard, name in enumerate(("train.tfrecord-00000-of-00002", "train.tfrecord-00001-of-00002")):
        (directory / f"toy-train.tfrecord-0000{shard}-of-00003").rename(directory / f"toy-{name}")
    (directory / "toy-train.tfrecord-00002-of-00003").rename(directory / "toy-test.tfrecord-00000-of-00001")
    write_around(directory)
    return directory


def toy_config(data_dir: Path, **sections: dict[str, Any]) -> Any:
    config = drum_classifier.get_config("tiny")
    # The least of networks: what is asked here is the task's doing.
    config.network = {"kind": "short_chunk", "channels": 4, "blocks": (1,)}
    # With the usual epsilon Adam's first steps are the gradient's sign, which rounding decides where it is zero: here
    # for the biases before batch normalisation.
    config.optimizer.classifier.update(learning_rate=0.1, epsilon=0.1)
    config.update(
        representation=REPRESENTATION,
        front_end={"n_fft": 128, "hop_length": 64, "num_mels": 16},
        train={"batch_size": BATCH, "total_images": 6 * BATCH, "ema_rampup": 0.5},
        data={"dir": str(data_dir)},
        logging={"every": 2},
        checkpoint={"every": 2, "keep": 1},
        evaluation={"every": 2},
    )
    config.update(sections)
    return config


def test_attributes_are_predicted_of_sounds_as_they_are(tmp_path: Path) -> None:
    """Their error is added by its weight; the file keeps their names, and class logits stay apart from them."""
    names = ("decay", "brightness", "noisiness")
    directory = write_dataset(tmp_path, 30, 2, REPRESENTATION, names)
    (directory / "toy-train.tfrecord-00001-of-00002").rename(directory / "toy-test.tfrecord-00000-of-00001")
    (directory / "toy-train.tfrecord-00000-of-00002").rename(directory / "toy-train.tfrecord-00000-of-00001")
    (directory / INDEX_NAME).unlink()
    write_around(directory)
    dataset, losses = open_dataset(directory), []
    for weight in (0.0, 3.0):
        task_settings = {"attributes": ("brightness", "decay"), "attribute_weight": weight}
        config = freeze(toy_config(directory, task=task_settings), dataset)
        task = build_task(config, make_mesh())
        state = task.initial_state()
        batch = next(whole_split(dataset, "train", BATCH, np.arange(BATCH), task.keys))
        state, metrics = jax.jit(task._stepped)(state, {name: batch[name] for name in task.keys})
        losses.append(float(metrics["loss/classifier"]))
    # Three times a mean squared error of ranks.
    assert 0.0 < losses[1] - losses[0] < 3.0
    scores = task.evaluator(dataset)(state).scores
    assert {"accuracy", "spearman/brightness", "spearman/decay"} <= scores.keys()
    save_classifier(tmp_path / "one.npz", task.classifier, jax.device_get(state.ema), {})
    kept = load_classifier(tmp_path / "one.npz")
    assert kept.classifier.attributes == ("brightness", "decay")
    logits, _ = kept.classifier.predict(kept.variables, batch["waveforms"])
    assert logits.shape == (BATCH, len(LABELS))
    ranks = np.asarray(kept.classifier.predict_attributes(kept.variables, batch["waveforms"]))
    assert ranks.shape == (BATCH, 2)
    assert ((ranks > 0) & (ranks < 1)).all()
    with pytest.raises(BadInput, match="the data set has no attribute 'pitch'; it has decay, brightness, noisiness"):
        build_task(freeze(toy_config(directory, task={"attributes": ("pitch",)}), dataset), make_mesh())


def frozen(data_dir: Path, **sections: dict[str, Any]) -> dict[str, Any]:
    return {**toy_config(data_dir, **sections).to_dict(), "labels": list(LABELS)}


def batch_of(data_dir: Path, step: int = 0) -> dict[str, np.ndarray]:
    dataset = open_dataset(data_dir)
    batch = list(whole_split(dataset, "train", BATCH, np.arange(BATCH)))[step]
    return {name: batch[name] for name in ("waveforms", "labels")}


def run_steps(data_dir: Path, mesh: Mesh, steps: int = 2) -> tuple[Any, list[dict[str, float]]]:
    task = build_task(frozen(data_dir), mesh)
    state, lines = task.init(), []
    for step in range(steps):
        placed = {name: jax.device_put(value, batch_sharding(mesh)) for name, value in batch_of(data_dir, step).items()}
        with jax.transfer_guard("disallow"):
            state, metrics = task.step(state, placed, step)
        lines.append({name: float(value) for name, value in jax.device_get(metrics).items()})
    return state, lines


@pytest.mark.smoke
@pytest.mark.parametrize("balanced", [True, False])
def test_the_loss_is_the_cross_entropy_of_class_means_or_of_examples(balanced: bool) -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.standard_normal((7, 4)), np.array([0, 0, 0, 0, 2, 2, 3])
    nats = np.log(np.exp(logits).sum(1)) - logits[np.arange(7), truth]
    means = [nats[truth == label].mean() for label in (0, 2, 3)]
    expected = np.mean(means) if balanced else nats.mean()
    found = weighted_cross_entropy(logits.astype(np.float32), np.eye(4, dtype=np.float32)[truth], balanced)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_one_device_and_four_take_the_same_steps(data_dir: Path) -> None:
    one, one_lines = run_steps(data_dir, mesh_of(1))
    four, four_lines = run_steps(data_dir, mesh_of(4))
    for line, same in zip(one_lines, four_lines, strict=True):
        assert line == pytest.approx(same, rel=1e-4, abs=1e-5)
    for a, b in zip(jax.tree.leaves((one.params, one.ema)), jax.tree.leaves((four.params, four.ema)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    assert int(one.step) == int(four.step) == 2


def test_a_step_moves_parameters_statistics_and_their_average(data_dir: Path) -> None:
    mesh = make_mesh()
    start = jax.device_get(build_task(frozen(data_dir), mesh).init())
    state, lines = run_steps(data_dir, mesh)
    assert lines[0].keys() >= {"loss/classifier", "accuracy/train", "norm/classifier_gradient"}
    assert lines[0]["learning_rate/classifier"] == 0.1
    for name in ("params", "batch_stats"):
        before, now = jax.tree.leaves(getattr(start, name)), jax.tree.leaves(getattr(state, name))
        moved = [np.abs(np.asarray(a) - np.asarray(b)).max() for a, b in zip(before, now, strict=True)]
        assert np.mean(np.array(moved) > 0) > 0.9
    # After two steps of 8 with a half-life of half of what was seen before: 0 of the first, a quarter of the second.
    first, _ = run_steps(data_dir, mesh, steps=1)
    keep = 0.5 ** (BATCH / (0.5 * BATCH))
    for name in ("params", "batch_stats"):
        old, new, average = (jax.tree.leaves(tree) for tree in (first.ema[name], getattr(state, name), state.ema[name]))
        for a, b, mean in zip(old, new, average, strict=True):
            expected = keep * np.float64(a) + (1 - keep) * np.float64(b)
            np.testing.assert_allclose(mean, expected, rtol=1e-5, atol=1e-6)


def test_every_example_of_the_split_counts_once(data_dir: Path) -> None:
    config = frozen(data_dir)
    dataset, task = open_dataset(data_dir), build_task(config, make_mesh())
    state = task.init()
    evaluation = task.evaluator(dataset)(state)
    classifier, source = build_classifier(config, LABELS), dataset.source("test")
    examples = [dataset.parse(source[item], ("waveforms", "labels")) for item in range(len(source))]
    logits, _ = jax.jit(classifier.predict)(state.ema, np.stack([one["waveforms"] for one in examples]))
    logits, labels = np.float64(logits), np.stack([one["labels"] for one in examples])
    right = logits.argmax(1) == labels.argmax(1)
    nats = np.log(np.exp(logits).sum(1)) - (logits * labels).sum(1)
    assert len(examples) == 10
    assert evaluation.scores == pytest.approx(
        {"accuracy": right.mean(), "error": 1 - right.mean(), "loss": nats.mean()}, rel=1e-5
    )
    np.testing.assert_array_equal(np.sum(evaluation.report["confusion"], axis=1), labels.sum(0))
    assert json.loads(json.dumps(evaluation.report))["split"] == "test"
    assert evaluation.pictures["confusion"].dtype == np.uint8
    assert task.summarize(state) is None


def test_a_data_set_without_test_split_is_told(tmp_path: Path) -> None:
    directory = write_dataset(tmp_path, 8, 1, REPRESENTATION)
    task = build_task(frozen(directory), make_mesh())
    with pytest.raises(BadInput, match="has no split 'validation' or 'test' to evaluate on; prepare it with"):
        task.evaluator(open_dataset(directory))


def test_unfit_settings_are_told(data_dir: Path) -> None:
    for section, match in (
        ({"train": {"accumulation": 2}}, "a classifier takes 1 only"),
        ({"train": {"compute_dtype": "bfloat16"}}, "takes float32 only"),
        ({"network": {"kind": "stylegan2"}}, "config.network.kind is 'stylegan2'"),
        ({"augmentation": {"band_limit": 2.0}}, "config.augmentation.band_limit"),
    ):
        with pytest.raises(BadInput, match=match):
            build_task(frozen(data_dir, **section), make_mesh())
    with pytest.raises(BadInput, match="needs two labels or more"):
        build_task({**frozen(data_dir), "labels": []}, make_mesh())


def test_a_run_is_trained_evaluated_and_packed(data_dir: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "toy.npz"
    result = train(toy_config(data_dir), run)
    losses = {line["step"]: line["evaluation/loss"] for line in result.history if "evaluation/loss" in line}
    assert list(losses) == [0, 2, 4, 6]
    assert (run / "evaluations" / "step_00000006_confusion.png").is_file()
    best = min(list(losses)[1:], key=lambda step: losses[step])
    assert find_step(run, "best") == best

    path, card = pack(str(run), str(out), held_out=str(data_dir))
    loaded = load_classifier(path)
    assert loaded.card == json.loads(json.dumps(card))
    assert (card["step"], card["images"], card["labels"]) == (best, best * BATCH, list(LABELS))
    assert card["held_out"]["count"] == 30
    assert card["stopping"]["loss"] == pytest.approx(losses[best])
    assert "data" not in card["config"]
    assert str(tmp_path) not in json.dumps(card)
    assert describe(card["held_out"]).startswith("accuracy ")
    averages, _ = load_ema(run, best)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, averages)

    embedder = from_file(path)
    assert (embedder.name, embedder.window, embedder.hop, embedder.dimensions) == (
        f"toy@{loaded.sha256[:8]}",
        512,
        512,
        4,
    )
    assert (embedder.num_classes, embedder.weights_hash) == (3, loaded.sha256)
    waveforms = batch_of(data_dir)["waveforms"]
    features = jax.jit(embedder.function)(embedder.variables, waveforms)
    logits, embedding = loaded.classifier.predict(loaded.variables, waveforms)
    np.testing.assert_allclose(features.logits, logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(features.embedding, embedding, rtol=1e-4, atol=1e-5)


def test_going_on_equals_never_having_stopped(data_dir: Path, tmp_path: Path) -> None:
    whole = train(toy_config(data_dir), tmp_path / "whole").state
    train(toy_config(data_dir, train={"total_images": 2 * BATCH}), tmp_path / "parts")
    again = train(toy_config(data_dir), tmp_path / "parts").state
    jax.tree.map(np.testing.assert_array_equal, again, whole)


def test_processes_share_a_split_without_gap_or_overlap(data_dir: Path) -> None:
    dataset = open_dataset(data_dir)
    whole = list(whole_split(dataset, "test", BATCH, np.arange(BATCH)))
    halves = [list(whole_split(dataset, "test", BATCH, np.arange(4 * i, 4 * i + 4))) for i in range(2)]
    assert [batch["valid"].sum() for batch in whole] == [8, 2]
    for batch, first, second in zip(whole, *halves, strict=True):
        for name in batch:
            np.testing.assert_array_equal(np.concatenate([first[name], second[name]]), batch[name])


def test_only_a_run_that_is_used_is_packed_and_only_what_fits_measured(data_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(toy_config(data_dir, train={"total_images": BATCH}, evaluation={"every": 0}), run)
    with pytest.raises(BadInput, match="has no checkpoint with an evaluation of loss"):
        pack(str(run), str(tmp_path / "out.npz"))
    other = write_dataset(tmp_path, 8, 1, REPRESENTATION | {"num_samples": 256})
    with pytest.raises(BadInput, match="prepared with another representation"):
        pack(str(run), str(tmp_path / "out.npz"), "last", held_out=str(other))
    with pytest.raises(BadInput, match="has no checkpoint of step 5"):
        pack(str(run), str(tmp_path / "out.npz"), step="5")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "task": {"kind": "encoder"}}))
    with pytest.raises(BadInput, match="is a run of task 'encoder'"):
        pack(str(run), str(tmp_path / "out.npz"))
    assert not (tmp_path / "out.npz").exists()
