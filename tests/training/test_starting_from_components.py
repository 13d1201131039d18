"""A generator that starts from principal components: its first sounds, its run, its encoder and its file."""

import json
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_cases import write_dataset

from drumgan_jax.configs import pca_gan
from drumgan_jax.core import weight_file
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.objectives.augmentation import PROBABILITY
from drumgan_jax.play.load import load, save_instrument
from drumgan_jax.play.packed_gan import pack_gan, unpack_gan
from drumgan_jax.runs.checkpoint_items import load_item
from drumgan_jax.training import run
from drumgan_jax.training.loop import train
from drumgan_jax.training.tasks import build_task
from drumgan_jax.training.tasks.gan_steps import Steps

pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory):
    config = pca_gan.tiny()
    folder = tmp_path_factory.mktemp("data")
    config.data.dir = str(write_dataset(folder, representation=config.representation.to_dict()).parent)
    config.train.total_images = 16
    config.logging.update(every=1, samples_every=0)
    config.checkpoint.every = 1
    return config


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    history = train(config, path).history
    assert all(np.isfinite(list(line.values())).all() for line in history)
    assert {"reconstruction/log_magnitude", "reconstruction/spectra"} <= history[-1].keys()
    assert {"r1/penalty", "r2/penalty"} <= history[0].keys()
    return path


def test_before_the_first_step_it_encodes_and_plays_what_its_components_can(config) -> None:
    dataset = open_dataset(config.data.dir)
    task = build_task(run.freeze(config, dataset), make_mesh())
    instrument = task.instrument(task.begin(dataset))
    waveforms = next(dataset.waveforms("train", 16, 16))
    latents = instrument.encode_waveforms(waveforms)
    example, again = (
        np.asarray(instrument.gan.representation.encode(waveforms)),
        np.asarray(instrument.gan.synthesize(instrument.variables, latents.ws, None)),
    )
    mean = np.asarray(instrument.variables["statistics"]["mean"]).reshape(example.shape[1:])
    # Components explain most of what differs between so few sounds.
    assert np.square(example - again).mean() < 0.5 * np.square(example - mean).mean()
    # Classes are apart: w drawn for a class are nearest to the mean of that class.
    labels = np.repeat(np.arange(3), 20)
    ws = instrument.draw(range(60), np.eye(3)[labels]).ws[:, 0]
    means = np.asarray(instrument.variables["statistics"]["mapping"]["class_means"])
    nearest = np.square(ws[:, None] - means).sum(axis=-1).argmin(axis=1)
    assert (nearest == labels).mean() > 0.5


def test_a_run_is_played_encoded_and_packed_with_its_own_encoder(trained: Path) -> None:
    instrument = load(trained)
    assert instrument.step == 2
    sounds = instrument.sample([0, 1], labels=["kick", "hat"])
    assert np.isfinite(sounds.waveforms).all()
    latents = instrument.encode(list(sounds.waveforms), sounds.sample_rate)
    assert latents.ws.shape == (2, *instrument.latent_shape)
    header, arrays = pack_gan(instrument)
    assert header["encoder"] is None
    # The components are half of the file, and are in half precision too.
    assert arrays["generator/statistics/directions"].dtype == np.float16
    unpacked = unpack_gan(header, arrays, instrument.config, instrument.conditions, instrument.step, "a file")
    np.testing.assert_allclose(
        unpacked.variables["statistics"]["directions"], instrument.variables["statistics"]["directions"], atol=1e-3
    )


def test_a_file_in_bytes_plays_nearly_the_same(trained: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(weight_file, "_MANY", 2**9)
    sizes, sounds = {}, {}
    for precision in ("half", "bytes"):
        path = tmp_path / f"{precision}.npz"
        save_instrument(path, load(trained), {}, precision)
        sizes[precision] = path.stat().st_size
        instrument = load(path)
        sounds[precision] = np.asarray(
            instrument.gan.synthesize(instrument.variables, instrument.draw([0, 1, 2], ["kick"] * 3).ws, None)
        )
    assert sizes["bytes"] < 0.9 * sizes["half"]
    assert np.abs(sounds["bytes"] - sounds["half"]).max() < 0.05 * np.ptp(sounds["half"])


def test_too_few_recordings_are_one_sentence(config) -> None:
    dataset = open_dataset(config.data.dir)
    changed = config.copy_and_resolve_references()
    changed.data_augmentation = {"kind": "none"}
    changed.train.update(class_balance=0.0, source_balance=0.0)
    changed.generator.update(z_dim=30, w_dim=30)
    task = build_task(run.freeze(changed, dataset), make_mesh())
    with pytest.raises(BadInput, match="30 components need 31 examples or more, not 24"):
        task.begin(dataset)


def test_a_run_starts_from_the_networks_of_another(config, trained: Path) -> None:
    dataset = open_dataset(config.data.dir)
    changed = config.copy_and_resolve_references()
    changed.task.start_from = str(trained)
    task = build_task(run.freeze(changed, dataset), make_mesh())
    state = task.begin(dataset)
    assert int(state.step) == 0
    networks, _ = load_item(trained, "train")
    average, _ = load_item(trained, "ema")
    for own, other in (
        (state.generator, networks["generator"]),
        (state.discriminator, networks["discriminator"]),
        (state.statistics, networks["statistics"]),
        (state.ema, average),
    ):
        jax.tree.map(np.testing.assert_array_equal, own, other)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(state.generator_optimizer))
    batch = {"waveforms": next(dataset.waveforms("train", 8, 8)), "labels": dataset.labels("train", 8)}
    state, metrics = task.step(state, jax.device_put(batch), 0)
    assert np.isfinite(float(metrics["loss/generator"]))


def test_a_run_that_cannot_be_started_from_is_one_sentence(config, trained: Path, tmp_path: Path) -> None:
    dataset = open_dataset(config.data.dir)

    def begin(start_from: Path, features: int = 8) -> None:
        changed = config.copy_and_resolve_references()
        changed.task.start_from = str(start_from)
        changed.discriminator.features = features
        build_task(run.freeze(changed, dataset), make_mesh()).begin(dataset)

    with pytest.raises(BadInput, match=r"has a discriminator with .* of shape .*; give a run of the same networks"):
        begin(trained, features=4)
    with pytest.raises(BadInput, match=r"config\.json"):
        begin(tmp_path)
    other = json.loads((trained / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**other, "labels": other["labels"][::-1]}))
    with pytest.raises(BadInput, match=r"is .*, of the classes .*; give the run of the same classes in the same order"):
        begin(tmp_path)
    (tmp_path / "config.json").write_text('{"task": {"kind": "vocoder"}}')
    with pytest.raises(BadInput, match="a run of task 'vocoder'; give the run of a GAN"):
        begin(tmp_path)


def test_labels_come_by_and_by_and_augmentation_adapts(config) -> None:
    """Without any weight the labels of a step change nothing; the probability is a value of the state."""
    dataset = open_dataset(config.data.dir)
    changed = config.copy_and_resolve_references()
    with changed.task.ignore_type():
        changed.task.label_weight = {"kind": "linear", "start": 0.0, "end": 1.0, "images": 8}
    changed.augmentation = {"kind": "adaptive", "offset": 0.1, "target": 1.0, "images": 80, "start": 0.5}
    task = build_task(run.freeze(changed, dataset), make_mesh())
    labels = dataset.labels("train", 8)
    waveforms = next(dataset.waveforms("train", 8, 8))

    def stepped(labels: np.ndarray) -> list[dict]:
        state, lines = task.begin(dataset), []
        for step in range(2):
            batch = jax.device_put({"waveforms": waveforms, "labels": labels})
            state, metrics = task.step(state, batch, step)
            lines.append(jax.device_get(metrics))
        assert float(state.objective[PROBABILITY]) == pytest.approx(0.3)
        return lines

    lines, others = stepped(labels), stepped(np.roll(labels, 1, axis=1))
    assert lines[0]["loss/generator"] == others[0]["loss/generator"]
    assert lines[1]["loss/generator"] != others[1]["loss/generator"]
    assert lines[1]["augmentation/probability"] == pytest.approx(0.3)


def test_changed_recordings_may_be_for_reconstructions_alone(config) -> None:
    dataset = open_dataset(config.data.dir)
    changed = config.copy_and_resolve_references()
    changed.data_augmentation.update(decay_probability=1.0, decay=60.0)
    tasks = {}
    for only in (False, True):
        changed.data_augmentation.reconstructions_only = only
        tasks[only] = build_task(run.freeze(changed, dataset), make_mesh())
    batch = {"waveforms": jnp.asarray(next(dataset.waveforms("train", 8, 8)))}
    shown = tasks[True].gan.representation
    state = types.SimpleNamespace(seed=jnp.uint32(0), step=jnp.int32(3))

    def examples(task):
        steps = Steps(task.gan, 0, task.context.settings, task.players, 1, 1.0, task.context.mesh)
        return steps._examples(batch, 0, state)

    (real, varied), (both, none) = examples(tasks[True]), examples(tasks[False])
    assert none is None
    np.testing.assert_allclose(real, shown.encode(batch["waveforms"]), atol=1e-5)
    np.testing.assert_allclose(varied, both, atol=1e-5)
