"""The GAN task against the same iterations written out in NumPy float64 (PARITY 20, 21, 27, 28)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy_gan import D_INTERVAL, D_WEIGHT, G_INTERVAL, G_WEIGHT, START_A, START_B, build_toy_task
from training_cases import LABELS, REPRESENTATION, tiny_config

from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.latents.latents import Sounds
from drumgan_jax.objectives.augmentation import Constant
from drumgan_jax.objectives.relativistic import Relativistic
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.training.tasks.gan import build_gan_task

pytestmark = pytest.mark.usefixtures("unoptimized")
BATCH = 8
STEPS = 7
HALF_LIFE, RAMPUP = 100, 0.5
SOUNDS = Sounds(np.zeros((5, 8), np.float32), 8000, None)


class Adam:
    """Adam (Kingma and Ba 2015, algorithm 1) of one number, float64."""

    def __init__(self, rate: float, beta1: float, beta2: float, epsilon: float = 1e-8):
        self.rate, self.beta1, self.beta2, self.epsilon = rate, beta1, beta2, epsilon
        self.m = self.v = 0.0
        self.t = 0

    def step(self, value: float, gradient: float) -> float:
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * gradient
        self.v = self.beta2 * self.v + (1 - self.beta2) * gradient**2
        m = self.m / (1 - self.beta1**self.t)
        v = self.v / (1 - self.beta2**self.t)
        return value - self.rate * m / (np.sqrt(v) + self.epsilon)


def simulate(real_means: np.ndarray, lazy: bool) -> dict[str, float]:
    """The toy's iterations by hand; `real_means` [steps, batch] are the means of the normalised examples."""
    k_g, k_d = (G_INTERVAL, D_INTERVAL) if lazy else (1, 1)
    c_g, c_d = (k_g / (k_g + 1), k_d / (k_d + 1)) if lazy else (1.0, 1.0)
    adam_g, adam_d = Adam(0.02 * c_g, 0.5**c_g, 0.9**c_g), Adam(0.03 * c_d, 0.0**c_d, 0.99**c_d)
    a, b = START_A, START_B
    ema, w_average = a, 0.0
    calls = 0
    for step, means in enumerate(real_means):
        w_average = w_average * 0.995 + a * 0.005
        if lazy:
            a = adam_g.step(a, -b)
            if step % k_g == 0:
                a, calls = adam_g.step(a, k_g * G_WEIGHT * 2 * a), calls + 1
            b = adam_d.step(b, a - means.mean())
            if step % k_d == 0:
                b = adam_d.step(b, k_d * D_WEIGHT * 2 * b * np.mean(means**2))
        else:
            a, calls = adam_g.step(a, -b + G_WEIGHT * 2 * a), calls + 1
            b = adam_d.step(b, a - means.mean() + D_WEIGHT * 2 * b * np.mean(means**2))
        half_life = min(HALF_LIFE, step * BATCH * RAMPUP)
        keep = 0.5 ** (BATCH / max(half_life, 1e-8))
        ema = ema * keep + a * (1 - keep)
    return {"a": a, "b": b, "ema": ema, "w_average": w_average, "calls": calls}


def toy_config(tmp_path, accumulation=1, gain=0.0, **intervals):
    config = tiny_config(tmp_path, train={"batch_size": BATCH, "accumulation": accumulation})
    config.task = {"kind": "toy", "gain": gain, **intervals}
    config.optimizer.generator.update({"learning_rate": 0.02, "beta1": 0.5, "beta2": 0.9})
    config.optimizer.discriminator.update({"learning_rate": 0.03, "beta1": 0.0, "beta2": 0.99})
    config.train.update({"ema_half_life_images": HALF_LIFE, "ema_rampup": RAMPUP})
    frozen = config.to_dict()
    frozen["representation"] = {**REPRESENTATION, "mean": -3.0, "std": 2.0}
    return frozen


def run_task(config, batches):
    mesh = make_mesh()
    task = build_toy_task(config, mesh)
    state, lines = task.init(), []
    for step, x in enumerate(batches):
        with jax.transfer_guard("disallow"):
            state, metrics = task.step(state, {"x": jax.device_put(x, batch_sharding(mesh))}, step)
        lines.append(jax.device_get(metrics))
    return state, lines


@pytest.fixture(scope="module")
def features():
    shape = build_representation(REPRESENTATION).shape
    return np.random.default_rng(1).normal(-3, 2, (STEPS, BATCH, *shape)).astype(np.float32)


def normalised_means(features):
    representation = build_representation({**REPRESENTATION, "mean": -3.0, "std": 2.0})
    return np.stack([np.asarray(representation.normalize(x), np.float64).mean((1, 2, 3)) for x in features])


@pytest.mark.smoke
@pytest.mark.parametrize("lazy", [True, False])
def test_iterations_equal_numpy(tmp_path, features, lazy):
    intervals = {} if lazy else {"g_interval": 1, "d_interval": 1}
    state, _ = run_task(toy_config(tmp_path, **intervals), features)
    expected = simulate(normalised_means(features), lazy)
    np.testing.assert_allclose(state.generator["a"], expected["a"], rtol=2e-5)
    np.testing.assert_allclose(state.discriminator["b"], expected["b"], rtol=2e-5)
    np.testing.assert_allclose(state.ema["params"]["a"], expected["ema"], rtol=2e-5)
    np.testing.assert_allclose(state.statistics["w_average"], [expected["w_average"]], rtol=2e-5)
    np.testing.assert_array_equal(state.ema["statistics"]["w_average"], state.statistics["w_average"])
    assert float(state.objective["calls"]) == expected["calls"]
    assert int(state.step) == STEPS


def test_lazy_regularisers_run_at_multiples_of_their_interval(tmp_path, features):
    _, lines = run_task(toy_config(tmp_path), features)
    assert [step for step, line in enumerate(lines) if "toy/generator" in line] == [0, 2, 4, 6]
    assert [step for step, line in enumerate(lines) if "toy/discriminator" in line] == [0, 3, 6]


@pytest.mark.parametrize("count", [2, 4])
def test_accumulation_does_not_change_the_result(tmp_path, features, count):
    # Sizes at which each of several devices still gets a row of every micro-batch.
    batches = np.concatenate([features] * 4, axis=1)
    config = toy_config(tmp_path)
    config["train"]["batch_size"] = len(batches[0])
    whole, whole_lines = run_task(config, batches)
    config["train"]["accumulation"] = count
    parts, parts_lines = run_task(config, batches)
    for name in ("generator", "discriminator", "ema", "statistics"):
        for one, other in zip(
            jax.tree.leaves(getattr(whole, name)), jax.tree.leaves(getattr(parts, name)), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5)
    np.testing.assert_allclose(whole_lines[-1]["loss/discriminator"], parts_lines[-1]["loss/discriminator"], rtol=1e-5)


def test_latents_are_fresh_in_every_phase_step_and_micro_batch(tmp_path, features):
    config = toy_config(tmp_path, gain=1.0)
    config["optimizer"]["generator"]["learning_rate"] = config["optimizer"]["discriminator"]["learning_rate"] = 1e-12
    _, lines = run_task(config, np.repeat(features[:1], 3, axis=0))
    # With parameters and batch held still, the losses differ by their latents alone.
    drawn = [line["loss/generator"] / -START_B for line in lines]
    drawn += [(line["loss/discriminator"] - lines[0]["loss/discriminator"]) for line in lines[1:]]
    drawn += [line["toy/generator"] for line in lines if "toy/generator" in line]
    assert len({round(float(value), 6) for value in drawn}) == len(drawn)


def test_lazy_regularisers_see_fakes_and_generators_real_logits(tmp_path, features):
    """R2 of the toy's critic is b^2 over the size of x at any example; relativistic losses compare both sides."""
    config = toy_config(tmp_path)
    # The critic stays as it is.
    config["optimizer"]["discriminator"]["learning_rate"] = 1e-12
    task = build_toy_task(config, make_mesh())
    objective = Relativistic(r1_gamma=0.0, r2_gamma=2.0, interval=2)
    task = dataclasses.replace(task, gan=dataclasses.replace(task.gan, objective=objective))
    state = task.init()
    (mean,) = normalised_means(features[:1])
    state, metrics = task.step(state, {"x": jnp.asarray(features[0])}, 0)
    difference = START_B * (mean - START_A)
    assert metrics["loss/generator"] == pytest.approx(np.log1p(np.exp(difference)).mean(), rel=1e-5)
    assert metrics["r2/penalty"] == pytest.approx(START_B**2 / np.prod(task.gan.representation.shape), rel=1e-5)
    assert metrics["norm/r2_gradient"] > 0
    _, after = task.step(state, {"x": jnp.asarray(features[1])}, 1)
    assert "r2/penalty" not in after


@dataclasses.dataclass(frozen=True)
class Doubled(Constant):
    """In place of a random augmentation: everything that the discriminator sees is twice as large."""

    def __call__(self, x, key, state):
        return 2.0 * x


def test_the_discriminator_sees_augmented_examples_of_both_sides(tmp_path, features):
    task = build_toy_task(toy_config(tmp_path), make_mesh())
    batch = {"x": jnp.asarray(features[0])}
    _, plain = task.step(task.init(), batch, 0)
    task = dataclasses.replace(task, gan=dataclasses.replace(task.gan, augmentation=Doubled()))
    _, doubled = task.step(task.init(), batch, 0)
    assert doubled["loss/generator"] == pytest.approx(2 * float(plain["loss/generator"]), rel=1e-5)
    assert doubled["toy/discriminator"] > 2 * plain["toy/discriminator"]


def test_learning_rates_follow_their_schedule(tmp_path, features):
    config = toy_config(tmp_path)
    falling = {"kind": "linear", "start": 0.02, "end": 0.0, "images": 2 * BATCH}
    config["optimizer"]["generator"]["learning_rate"] = falling
    config["optimizer"]["discriminator"]["learning_rate"] = {"kind": "constant", "value": 0.03}
    _, lines = run_task(config, features[:4])
    c = G_INTERVAL / (G_INTERVAL + 1)
    rates = [line["learning_rate/generator"] for line in lines]
    assert rates == pytest.approx([0.02 * c, 0.01 * c, 0.0, 0.0])
    assert lines[1]["norm/generator_update"] > 0
    assert lines[2]["norm/generator_update"] == 0
    assert lines[3]["learning_rate/discriminator"] == pytest.approx(0.03 * D_INTERVAL / (D_INTERVAL + 1))


def test_conditional_needs_labels(tmp_path):
    config = tiny_config(tmp_path).to_dict()
    config["labels"] = []
    with pytest.raises(BadInput, match=r"config\.task\.conditional is true but the data set has no labels"):
        build_gan_task(config, make_mesh())


def test_the_moving_average_plays_as_an_instrument(tmp_path):
    """The sounds of a seed are the same in any batch; a summary has those of the first seeds."""
    task = build_toy_task(toy_config(tmp_path, gain=1.0), make_mesh())
    state = task.init()
    instrument = task.instrument(state)
    sounds = instrument.sample(range(13)).waveforms
    assert sounds.shape == (13, build_representation(REPRESENTATION).num_samples)
    np.testing.assert_allclose(instrument.sample(range(8, 13)).waveforms, sounds[8:], atol=1e-6)
    np.testing.assert_allclose(
        task.summarize(state).waveforms, sounds[: len(task.summarize(state).waveforms)], atol=1e-6
    )


def test_summaries_have_labels_in_turns(tmp_path, monkeypatch):
    config = tiny_config(tmp_path).to_dict()
    config["representation"].update(mean=-4.0, std=2.0)
    config["labels"] = list(LABELS)
    config["logging"]["num_samples"] = 5
    task = build_gan_task(config, make_mesh())
    asked = []
    monkeypatch.setattr(Instrument, "sample", lambda self, seeds, labels: asked.append((list(seeds), labels)) or SOUNDS)
    task.summarize(dataclasses.replace(task.shapes, step=np.int32(0), ema={}))
    assert asked[0][0] == [0, 1, 2, 3, 4]
    assert asked[0][1].argmax(axis=1).tolist() == [0, 1, 2, 0, 1]
