"""The encoder's task: its losses against NumPy, one device against four, what stays frozen, whole small trainings."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from encoder_cases import BATCH, COMPLEX, FADING, GROWING, GROWN, PROGRESSIVE, frozen_config, labels_of, write_gan_run
from encoder_cases import encoder_config as config_of
from jax.sharding import Mesh
from training_cases import REPRESENTATION, mesh_of, write_dataset

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.keys import Purpose, run_key
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.core.weight_file import variables_digest
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.evaluation.reconstruction import mean_squared_error
from drumgan_jax.play.load import load
from drumgan_jax.runs import config as run_config
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.load import TrainedGan, load_gan
from drumgan_jax.systems.encoder import build_encoder
from drumgan_jax.training.loop import train
from drumgan_jax.training.tasks import build_task

pytestmark = pytest.mark.usefixtures("unoptimized")


# Complex spectra are inverted, without a search for phases.
KEYS = None


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "clu", None)  # importing TensorFlow takes seconds


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("data"), 24, 1, COMPLEX)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """A progressive generator's run, of steps within every stage."""
    folder = tmp_path_factory.mktemp("runs") / "grown"
    return write_gan_run(folder, data_dir, GROWING, FADING, GROWN, **PROGRESSIVE)


@pytest.fixture(scope="module")
def styled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A data set of log magnitudes, and a style-based generator's run without labels."""
    folder = tmp_path_factory.mktemp("styled")
    directory = write_dataset(folder, 24, 1, REPRESENTATION)
    return directory, write_gan_run(folder / "run", directory, 1, task={"kind": "gan", "conditional": False})


class Steps(NamedTuple):
    """A task, its state before each of some steps and after the last, fetched, and their metrics."""

    task: Any
    states: list[Any]
    metrics: list[dict[str, float]]


def run_steps(config: dict[str, Any], mesh: Mesh, steps: int) -> Steps:
    task = build_task(config, mesh)
    state, metrics = task.init(), []
    states = [jax.device_get(state)]
    batch = {"labels": jax.device_put(labels_of(BATCH), batch_sharding(mesh))}
    for step in range(steps):
        with jax.transfer_guard("disallow"):
            state, of_step = task.step(state, batch, step)
        states.append(jax.device_get(state))
        metrics.append({name: float(value) for name, value in jax.device_get(of_step).items()})
    return Steps(task, states, metrics)


@pytest.fixture(scope="module")
def steps(data_dir: Path, grown: Path) -> Steps:
    """60 steps on the wholly grown generator."""
    return run_steps(frozen_config(data_dir, grown), mesh_of(1), 60)


def view_in_numpy(x: Any, floor_db: float = 40.0) -> np.ndarray:
    power = np.square(np.float64(x)).sum(-1, keepdims=True)
    decibels = 10 * np.log10(power / power.max(axis=(1, 2, 3), keepdims=True))
    return np.maximum(decibels, -floor_db) / floor_db + 1


def check_losses(steps: Steps, trained: TrainedGan, items: dict[int, np.ndarray]) -> None:
    """The metrics of some steps, which took these latents, are those that NumPy finds."""
    network = steps.task.encoder.network

    @jax.jit
    def synthesize(w: jax.Array) -> jax.Array:
        return trained.gan.synthesize(trained.variables, w[:, None], None)

    @jax.jit
    def encode(params: Any, seen: jax.Array) -> jax.Array:
        return network.apply({"params": params}, seen, train=True, mutable=["batch_stats"])[0]

    for number, of_step in items.items():
        start, line = steps.states[number], steps.metrics[number]
        keys = [run_key(start.seed, Purpose.ENCODER_LATENTS, 0, int(item)) for item in of_step]
        w = np.concatenate([np.stack([jax.random.normal(key, (6,)) for key in keys]), labels_of(BATCH)], axis=1)
        x = synthesize(jnp.asarray(w))
        assert x.shape == (BATCH, 8, 16, 2)
        predicted = encode(start.params, jnp.asarray(view_in_numpy(x), jnp.float32))
        np.testing.assert_allclose(predicted[:, 6:].sum(axis=1), 1.0, rtol=1e-5)
        latent = np.mean(np.square(np.float64(predicted) - w))
        spectral = np.mean(np.square(view_in_numpy(synthesize(predicted)) - view_in_numpy(x)))
        assert line["loss/latent"] == pytest.approx(latent, rel=1e-3)
        assert line["loss/spectral"] == pytest.approx(spectral, rel=1e-3)
        assert line["loss/encoder"] == pytest.approx(latent + 3 * spectral, rel=1e-3)
        assert line["learning_rate/encoder"] == 0.01


def test_the_losses_are_those_of_numpy_on_fresh_latents(steps: Steps, grown: Path) -> None:
    check_losses(steps, load_gan(grown), {number: BATCH * number + np.arange(BATCH) for number in (0, 20)})


def test_latents_of_a_fixed_set_come_again_and_a_growing_generator_is_taken_as_it_is(
    data_dir: Path, grown: Path
) -> None:
    trained = {step: load_gan(grown, str(step)) for step in (GROWING, FADING, GROWN)}
    so_far = {step: (one.gan.stage, float(one.variables["growth"]["alpha"])) for step, one in trained.items()}
    assert so_far == {GROWING: (1, 1.0), FADING: (2, 0.5), GROWN: (2, 1.0)}
    steps = run_steps(frozen_config(data_dir, grown, task={"step": str(GROWING), "num_latents": 5}), mesh_of(1), 2)
    check_losses(steps, trained[GROWING], {number: (BATCH * number + np.arange(BATCH)) % 5 for number in range(2)})


def test_recordings_are_made_again_from_what_the_encoder_finds_in_them(data_dir: Path, grown: Path) -> None:
    task: Any = build_task(frozen_config(data_dir, grown, task={"recording_weight": 2.0}), mesh_of(1))
    assert task.keys == ("labels", "x")
    gan, variables = task.gan, load_gan(grown).variables
    waveforms = next(iter(open_dataset(data_dir).waveforms("train", BATCH, BATCH)))
    batch = {"labels": jnp.asarray(labels_of(BATCH)), "x": gan.representation.transform(waveforms)}
    state, before = task.init(), jax.device_get(task.init().params)
    _, metrics = task.step(state, batch, 0)

    @jax.jit
    def remade(x: jax.Array) -> jax.Array:
        keys = [run_key(5, Purpose.ENCODER_LATENTS, 0, item) for item in range(BATCH)]
        w = jnp.concatenate([jnp.stack([jax.random.normal(key, (6,)) for key in keys]), labels_of(BATCH)], axis=1)
        made = gan.synthesize(variables, w[:, None], None)
        seen = jnp.concatenate([task.encoder.view(made), task.encoder.view(x)])
        predicted, _ = task.encoder.network.apply({"params": before}, seen, train=True, mutable=["batch_stats"])
        return gan.synthesize(variables, predicted[BATCH:, None], None)

    x = gan.representation.encode(waveforms)
    error = np.mean(np.square(view_in_numpy(remade(x)) - view_in_numpy(x)))
    assert float(metrics["loss/recordings"]) == pytest.approx(error, rel=1e-3)
    total = float(metrics["loss/latent"]) + 3 * float(metrics["loss/spectral"]) + 2 * error
    assert float(metrics["loss/encoder"]) == pytest.approx(total, rel=1e-3)


def test_one_device_and_four_take_the_same_steps(steps: Steps, data_dir: Path, grown: Path) -> None:
    four = run_steps(frozen_config(data_dir, grown), mesh_of(4), 2)
    for line, same in zip(steps.metrics[:2], four.metrics, strict=True):
        assert line == pytest.approx(same, rel=2e-3, abs=1e-5)
    for a, b in zip(*(jax.tree.leaves((s.states[2].params, s.states[2].ema)) for s in (steps, four)), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4)


def test_the_encoder_learns_and_the_generator_stays(steps: Steps, grown: Path) -> None:
    for name in ("loss/encoder", "loss/latent", "loss/spectral"):
        values = [line[name] for line in steps.metrics]
        assert np.mean(values[-10:]) < 0.8 * np.mean(values[:3]), name
    before, after = steps.states[0], steps.states[-1]
    variables, _ = load_ema(grown, GROWN)
    jax.tree.map(np.testing.assert_array_equal, after.frozen["variables"]["params"], variables["params"])
    jax.tree.map(np.testing.assert_array_equal, after.frozen, before.frozen)
    assert bytes(after.ema["generator"]).hex() == variables_digest(variables)
    for name in ("params", "batch_stats", "ema"):
        pairs = zip(jax.tree.leaves(getattr(before, name)), jax.tree.leaves(getattr(after, name)), strict=True)
        assert np.mean([not np.array_equal(a, b) for a, b in pairs]) > 0.9
    assert steps.metrics[0]["norm/encoder_gradient"] > 0
    assert steps.metrics[0]["norm/encoder_update"] > 0


def test_the_generator_is_no_constant_of_the_program(data_dir: Path, grown: Path) -> None:
    task: Any = build_task(frozen_config(data_dir, grown), mesh_of(1))
    batch = {"labels": jax.ShapeDtypeStruct((BATCH, 3), "float32")}
    traced = jax.make_jaxpr(task._stepped)(task.shapes, batch)
    assert sum(np.size(const) for const in traced.consts) < 100
    assert sum(np.size(const) for const in jax.make_jaxpr(task.initial_state)().consts) < 100


def test_scores_are_those_of_the_sounds_and_latents(steps: Steps, data_dir: Path, grown: Path) -> None:
    state, dataset = steps.states[-1], open_dataset(data_dir)
    evaluate = steps.task.evaluator(dataset)
    evaluation, untrained = evaluate(state), evaluate(steps.states[0])
    figures = {"mse", "snr_db", "log_spectral_distance", "multi_scale_spectral"}
    sides = {f"{side}/{name}" for side in ("generated", "train") for name in figures}
    assert {"latent/mse", "latent/ratio", "latent/cosine"} | sides == set(evaluation.scores)
    assert all(np.isfinite(value) for value in evaluation.scores.values())
    assert json.loads(json.dumps(evaluation.report))["split"] == "train"
    assert evaluation.scores["latent/ratio"] < untrained.scores["latent/ratio"]
    assert evaluation.scores["latent/cosine"] > 0.3

    trained = load_gan(grown)
    gan, real = trained.gan, next(iter(dataset.waveforms("train", 12, 12)))

    @jax.jit
    def again(waveforms: jax.Array) -> jax.Array:
        w = steps.task.encoder.predict(state.ema, gan.representation.encode(waveforms))
        return gan.decoder.decode(gan.synthesize(trained.variables, w[:, None], None), KEYS)

    expected = np.mean(mean_squared_error(jnp.asarray(real), again(real)))
    assert evaluation.scores["train/mse"] == pytest.approx(float(expected), rel=1e-3)


def test_a_summary_has_each_sound_before_its_reconstruction(steps: Steps, grown: Path) -> None:
    task, state = steps.task, steps.states[-1]
    summary = task.summarize(state)
    assert (summary.waveforms.shape, summary.sample_rate) == ((4, 120), 8000)

    # The originals are the sounds of the first seeds, as the run's instrument makes them but for the last step.
    instrument = load(grown)
    sounds = instrument.render(instrument.draw([0, 1], labels_of(2)), finished=False)
    np.testing.assert_allclose(summary.waveforms[::2], sounds.waveforms, atol=1e-5)

    trained, gan = load_gan(grown), load_gan(grown).gan
    w = steps.task.encoder.predict(state.ema, gan.synthesize(trained.variables, sounds.latents.ws, None))
    decoded = gan.decoder.decode(gan.synthesize(trained.variables, w[:, None], None), KEYS)
    np.testing.assert_allclose(summary.waveforms[1::2], decoded, atol=1e-4)


def test_a_generator_that_has_grown_meanwhile_is_told(steps: Steps, data_dir: Path, grown: Path) -> None:
    task = build_task(frozen_config(data_dir, grown, task={"step": str(GROWING)}), mesh_of(1))
    with pytest.raises(BadInput, match=r"has grown from stage 2 to 1 since .* give another --workdir, or as config"):
        task.step(steps.states[-1], {}, 1)


def test_a_style_based_generator_is_encoded_by_its_w(styled: tuple[Path, Path]) -> None:
    data_dir, gan_run = styled
    config = frozen_config(data_dir, gan_run, task={"spectral_weight": 0.0})
    config["encoder"]["view"] = {"kind": "plain"}
    task: Any = build_task(config, mesh_of(1))
    assert task.keys == ("x",)
    assert task.encoder.network.num_labels == 0
    state, metrics = task.step(task.init(), {}, 0)
    assert "loss/spectral" not in metrics
    assert float(metrics["loss/encoder"]) == float(metrics["loss/latent"]) > 0
    assert int(state.step) == 1


def test_going_on_equals_never_having_stopped(data_dir: Path, grown: Path, tmp_path: Path) -> None:
    evaluated = {"evaluation": {"every": 2, "num_samples": 8}}
    whole = train(config_of(data_dir, grown, **evaluated), tmp_path / "whole")
    assert {line["step"] for line in whole.history if "evaluation/latent/mse" in line} == {0, 2, 4}
    # The generator's run goes on meanwhile: the encoder keeps the one that it began with.
    shutil.copytree(grown, tmp_path / "gan")
    train(config_of(data_dir, tmp_path / "gan", train={"total_images": 2 * BATCH}), tmp_path / "parts")
    write_gan_run(tmp_path / "gan", data_dir, GROWN + 1, **PROGRESSIVE)
    assert load_gan(tmp_path / "gan").step == GROWN + 1
    again = train(config_of(data_dir, tmp_path / "gan"), tmp_path / "parts")
    jax.tree.map(np.testing.assert_array_equal, again.state, whole.state)

    averages, _ = load_ema(tmp_path / "whole", run_config.find_step(tmp_path / "whole", "best"))
    trained = load_gan(grown)
    np.testing.assert_array_equal(averages["generator"], trained.digest)
    assert not np.array_equal(trained.digest, load_gan(tmp_path / "gan").digest)
    encoder = build_encoder(run_config.read_config(tmp_path / "whole"), trained.gan, 3)
    assert encoder.predict(averages, jnp.zeros((2, 8, 16, 2))).shape == (2, 9)


def test_unfit_runs_and_settings_are_told(
    data_dir: Path, grown: Path, styled: tuple[Path, Path], tmp_path: Path
) -> None:
    for section, match in (
        ({"train": {"accumulation": 2}}, "an encoder takes 1 only"),
        ({"train": {"compute_dtype": "bfloat16"}}, "takes float32 only"),
        ({"task": {"run": ""}}, "config.task.run is empty; give"),
        ({"task": {"run": str(tmp_path / "absent")}}, r"absent/config.json cannot be opened"),
        ({"task": {"step": "77"}}, "has no checkpoint of step 77; it has 3, 5, 8"),
        ({"task": {"step": "newest"}}, "neither a number nor last, best or images"),
        ({"task": {"num_latents": -1}}, "config.task.num_latents is -1"),
        ({"task": {"latent_weight": -1.0}}, "config.task.latent_weight is -1.0"),
        ({"task": {"latent_weight": 0.0, "spectral_weight": 0.0}}, "are all 0"),
        ({"task": {"run": str(styled[1])}}, "another representation than config.representation, which differs in kind"),
    ):
        config = frozen_config(data_dir, grown)
        for name, values in section.items():
            config[name].update(values)
        with pytest.raises(BadInput, match=match):
            build_task(config, make_mesh())
    config = frozen_config(data_dir, grown)
    with pytest.raises(BadInput, match="knows the classes kick, snare, hat, and the data set has kick, tom; give"):
        build_task({**config, "labels": ["kick", "tom"]}, make_mesh())


def test_a_run_of_another_task_is_told(data_dir: Path, grown: Path, tmp_path: Path) -> None:
    shutil.copytree(grown, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "task": {"kind": "classifier"}}))
    with pytest.raises(BadInput, match="is a run of task 'classifier'; give the run of a GAN"):
        build_task(frozen_config(data_dir, tmp_path / "run"), make_mesh())


def test_soft_labels_are_read_where_the_generator_had_them(data_dir: Path, tmp_path: Path) -> None:
    task = {"kind": "gan", "conditional": True, "soft_labels": True}
    run = write_gan_run(tmp_path / "run", data_dir, GROWN, **PROGRESSIVE, task=task)
    assert build_task(frozen_config(data_dir, run), make_mesh()).keys == ("soft_labels",)
