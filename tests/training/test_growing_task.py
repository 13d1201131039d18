"""Training of networks that grow, and several steps of the critic for one of the generator."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_gan_task import toy_config
from toy_gan import build_toy_task

from drumgan_jax.configs import drumgan_vst, style_drumsynth
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.runs.settings import AdamSettings
from drumgan_jax.training.optimization import Player
from drumgan_jax.training.tasks.gan import GanTask, GanTaskSettings, build_gan_task
from drumgan_jax.training.tasks.gan_steps import Steps

pytestmark = pytest.mark.usefixtures("unoptimized")
BATCH, LABELS = 8, 3
# Stages of 2 and 4 steps, then the last; each fades in over its first half.
IMAGES = (16, 32, 64)


def config() -> dict:
    made = drumgan_vst.tiny()
    made.growth.images = IMAGES
    values = json.loads(made.to_json())
    values["representation"].update(mean=0.0, std=1.0)
    values["labels"] = ["kick", "snare", "cymbal"]
    return values


@pytest.fixture(scope="module")
def task() -> GanTask:
    return build_gan_task(config(), make_mesh())


def batch(task: GanTask, seed: int) -> Mapping[str, jax.Array]:
    keys = jax.random.split(jax.random.key(seed))
    x = jax.random.normal(keys[0], (BATCH, *task.gan.representation.shape))
    return {"x": x, "soft_labels": jax.nn.softmax(jax.random.normal(keys[1], (BATCH, LABELS)))}


def run(task: GanTask, state, first: int, last: int):
    history = []
    for step in range(first, last):
        state, metrics = task.step(state, batch(task, step), step)
        history.append(metrics)
    return state, history


def copied(state):
    return jax.tree.map(jnp.copy, state)


def test_a_run_through_all_stages_equals_one_that_is_taken_up_again_inside_a_fade(task: GanTask) -> None:
    """The second one has a task of its own, which compiles the stages anew."""
    state, history = run(task, task.init(), 0, 3)
    kept = copied(state)
    state, rest = run(task, state, 3, 8)
    assert [metrics["growth/stage"] for metrics in history + rest] == [0, 0, 1, 1, 1, 1, 2, 2]
    assert [metrics["growth/alpha"] for metrics in history + rest] == [1, 1, 0, 0.5, 1, 1, 0, 0.25]
    again, rest_again = run(build_gan_task(config(), make_mesh()), kept, 3, 8)
    for ours, expected in zip(rest_again, rest, strict=True):
        assert ours["loss/generator"] == expected["loss/generator"]
        assert ours["loss/discriminator"] == expected["loss/discriminator"]
    for ours, expected in zip(jax.tree.leaves(again), jax.tree.leaves(state), strict=True):
        np.testing.assert_array_equal(ours, expected)


def test_a_stage_trains_its_own_modules_and_leaves_the_others(task: GanTask) -> None:
    before = copied(task.init())
    state, _ = run(task, task.init(), 0, 2)

    def changed(old, new) -> set[str]:
        return {
            name
            for name in old
            if any(
                not np.array_equal(a, b)
                for a, b in zip(jax.tree.leaves(old[name]), jax.tree.leaves(new[name]), strict=True)
            )
        }

    assert changed(before.generator, state.generator) == {"blocks_0", "outputs_0"}
    assert changed(before.generator_optimizer, state.generator_optimizer) == {"blocks_0", "outputs_0"}
    base = {"last", "dense", "score", "labels"}
    assert changed(before.discriminator, state.discriminator) == {"inputs_0", *base}
    at_2 = copied(state)
    state, _ = run(task, state, 2, 4)
    assert changed(at_2.generator, state.generator) == {"blocks_0", "outputs_0", "blocks_1", "outputs_1"}
    assert changed(at_2.discriminator, state.discriminator) == {"inputs_0", "inputs_1", "blocks_1", *base}
    sounds = task.instrument(state).sample(range(3), labels=np.eye(3))
    assert sounds.waveforms.shape == (3, task.gan.representation.num_samples)


def test_new_modules_begin_with_a_fresh_adam() -> None:
    """The first step of Adam is the learning rate, whatever the gradient; the second of a growing gradient is not."""
    player = Player("toy", AdamSettings(0.1, 0.5, 0.9))
    params = {"old": jnp.ones(2), "new": {"a": jnp.ones(3)}}
    moments, images = player.init(params), jnp.int32(0)
    after, moments, _ = player.descend(params, moments, {"old": jnp.ones(2)}, images)
    np.testing.assert_array_equal(after["new"]["a"], 1.0)
    gradient = {"old": 3 * jnp.ones(2), "new": {"a": 2 * jnp.ones(3)}}
    last, _, _ = player.descend(after, moments, gradient, images)
    np.testing.assert_allclose(last["new"]["a"], 1.0 - 0.1, rtol=1e-5)
    assert np.abs(last["old"] - after["old"] + 0.1).min() > 1e-3


def test_the_generator_waits_for_its_critic(tmp_path: Path) -> None:
    task = build_toy_task(toy_config(tmp_path, gain=0.0), make_mesh())
    task = dataclasses.replace(task, task=GanTaskSettings(critic_steps=3))
    state = task.init()
    seen = []
    for step in range(7):
        x = jnp.ones((BATCH, *task.gan.representation.shape))
        state, metrics = task.step(state, {"x": x}, step)
        seen.append(("loss/generator" in metrics, "toy/generator" in metrics, "loss/discriminator" in metrics))
    assert [generator for generator, _, _ in seen] == [True, False, False, True, False, False, True]
    # Its lazy regulariser runs at every second of its own steps.
    assert [penalty for _, penalty, _ in seen] == [True, False, False, False, False, False, True]
    assert all(discriminator for _, _, discriminator in seen)


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("task", {"critic_steps": 0}, "critic_steps is 0"),
        ("task", {"conditional": False}, "set both or neither"),
        ("growth", {"images": [16, 32]}, "3 stage\\(s\\) of growth and config.growth 2"),
        ("growth", {"kind": "sudden"}, "constant, progressive"),
        ("generator", {"channels": [8, 8]}, "one number above 0 for each of the 3"),
    ],
)
def test_bad_settings(section: str, values: dict, message: str) -> None:
    unfit = config()
    unfit[section].update(values)
    with pytest.raises(BadInput, match=message):
        build_gan_task(unfit, make_mesh())


def test_a_conditional_config_needs_labels() -> None:
    unfit = config()
    unfit["labels"] = []
    with pytest.raises(BadInput, match="the data set has no labels"):
        build_gan_task(unfit, make_mesh())


def test_only_full_size_examples_are_made_consistent(task: GanTask) -> None:
    gan, settings = task.gan, task.context.settings
    full = jax.random.normal(jax.random.key(0), (2, *gan.representation.shape))
    half = full[:, ::2, ::2]

    def steps(consistent: bool) -> Steps:
        return Steps(gan.at(2), 2, settings, task.players, 1, 1.0, task.context.mesh, consistent=consistent)

    np.testing.assert_array_equal(steps(True)._consistent(full), gan.representation.consistent(full))
    np.testing.assert_array_equal(steps(True)._consistent(half), half)
    np.testing.assert_array_equal(steps(False)._consistent(full), full)


def test_only_complex_spectra_can_be_made_consistent() -> None:
    unfit = json.loads(style_drumsynth.tiny().to_json())
    unfit["labels"] = ["kick", "snare", "cymbal"]
    unfit["task"]["consistent"] = True
    with pytest.raises(BadInput, match=r"config\.task\.consistent is true, but config\.representation\.kind is not"):
        build_gan_task(unfit, make_mesh())
