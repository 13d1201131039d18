"""A projected GAN through the loop: what is frozen stays so, and a run goes on as if it had not stopped."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from feature_cases import write_classifier
from projected_cases import LOG_MEL, projected_config
from training_cases import mesh_of, timeless, write_dataset

import drumgan_jax
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.runs.config import read_config
from drumgan_jax.systems.feature_networks import load_weights
from drumgan_jax.training import run
from drumgan_jax.training.loop import train
from drumgan_jax.training.tasks import build_task

Array = jax.Array


pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(scope="module")
def data(unoptimized: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_dataset(tmp_path_factory.mktemp("data"), representation=LOG_MEL).parent
    write_classifier(folder / "loops.npz", LOG_MEL)
    return folder


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    folder = tmp_path_factory.mktemp("whole")
    return train(projected_config(data, train={"total_images": 32}), folder), folder


def test_what_is_frozen_stays_as_it_was_loaded_while_all_else_moves(data: Path, whole: tuple[Any, Path]) -> None:
    result, folder = whole
    config = read_config(folder)
    before = build_task(config, make_mesh()).init()
    after = result.state
    assert result.step == 4
    jax.tree.map(np.testing.assert_array_equal, after.frozen, before.frozen)
    for name, weights in load_weights(config["feature_networks"]).items():
        jax.tree.map(np.testing.assert_array_equal, after.frozen[name], weights.variables)
    moved = jax.tree.map(lambda a, b: not np.array_equal(a, b), after.discriminator, before.discriminator)
    assert all(jax.tree.leaves(moved))
    turned = jax.tree.map(
        lambda a, b: not np.array_equal(a, b), after.discriminator_statistics, before.discriminator_statistics
    )
    # The vector of a kernel with a single output is 1 or -1, and stays.
    of_blocks = [leaf for path, leaf in jax.tree_util.tree_leaves_with_path(turned) if "score" not in str(path)]
    assert of_blocks
    assert all(of_blocks)
    assert set(after.discriminator_optimizer) == set(after.discriminator)
    optimised = [np.shape(leaf) for leaf in jax.tree.leaves(after.discriminator_optimizer) if np.ndim(leaf)]
    assert len(optimised) == 2 * len(jax.tree.leaves(after.discriminator))


def test_the_run_records_the_networks_and_their_hashes(data: Path, whole: tuple[Any, Path]) -> None:
    features = read_config(whole[1])["feature_networks"]
    assert len(features["loops"]["sha256"]) == 64
    assert features["loops"]["network"] == {"channels": 2, "blocks": [1, 1, 1, 2, 2]}
    assert features["loops"]["input"] == "converted"
    changed = projected_config(data)
    changed.feature_networks.loops.input = "normalized"
    with pytest.raises(BadInput, match=r"feature_networks\.loops\.input"):
        train(changed, whole[1])


def test_a_run_goes_on_and_plays_with_the_same_figures_where_the_weights_are_not(
    data: Path, whole: tuple[Any, Path], tmp_path: Path
) -> None:
    def part(images: int) -> list[dict[str, float]]:
        config = projected_config(data, train={"total_images": images}, checkpoint={"every": 2})
        config.feature_networks.loops.weights = str(tmp_path / "loops.npz")
        return train(config, tmp_path / "run").history

    shutil.copy(data / "loops.npz", tmp_path)
    first = part(16)
    (tmp_path / "loops.npz").unlink()
    assert timeless(first + part(32)) == timeless(whole[0].history)
    assert drumgan_jax.load(tmp_path / "run").sample([0]).waveforms.shape == (1, 32 * 64)


@pytest.mark.slow
def test_one_device_and_four_take_the_same_steps(data: Path) -> None:
    config = projected_config(data)
    for player in config.optimizer.values():
        player.epsilon = 1e-3  # Else Adam's first steps are the gradient's sign, which rounding decides near zero.
    frozen = run.freeze(config, open_dataset(data))
    batch = {"x": np.random.default_rng(0).standard_normal((8, 32, 64, 1)).astype(np.float32)}
    found = []
    for mesh in (mesh_of(1), mesh_of(2, 2)):
        task = build_task(frozen, mesh)
        state, metrics = task.step(task.init(), jax.device_put(batch, batch_sharding(mesh)), 1)
        moved = (state.generator, state.discriminator, state.discriminator_statistics)
        found.append(({name: float(value) for name, value in metrics.items()}, jax.device_get(moved)))
    (one, moved), (four, same) = found
    assert one == pytest.approx(four, rel=2e-3, abs=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4), moved, same)


def test_the_generator_learns_from_both_chunks(data: Path) -> None:
    """Of the score's gradient at generated examples; a generator's own convolutions would mix the chunks."""
    config = run.freeze(projected_config(data), open_dataset(data))
    task = build_task(config, make_mesh())
    state = task.init()
    variables = {"params": state.discriminator, "statistics": state.discriminator_statistics, "frozen": state.frozen}
    x = np.random.default_rng(0).standard_normal((4, *task.gan.representation.shape)).astype(np.float32)

    def score(x: Array) -> Array:
        return sum(part.mean() for part in task.gan.discriminator.apply(variables, x, None).logits)

    gradient = np.asarray(jax.jit(jax.grad(score))(x))
    frames = gradient.shape[2] // 2
    for chunk in (gradient[:, :, :frames], gradient[:, :, frames:]):
        assert np.abs(chunk).max() > 0
        assert np.mean(np.abs(chunk).max(axis=(1, 3)) > 0) == 1.0


@pytest.mark.parametrize(
    ("sections", "match"),
    [
        ({"feature_networks": {}}, r"config\.feature_networks is empty"),
    ],
)
def test_what_does_not_split_into_chunks_or_scales_is_one_sentence(data: Path, sections: dict, match: str) -> None:
    config = projected_config(data)
    for section, values in sections.items():
        config[section] = {**config[section].to_dict(), **values} if values else values
    frozen = json.loads(json.dumps(config.to_dict())) | {"labels": ["kick"]}
    frozen["representation"] |= {"mean": -1.0, "std": 1.0}
    with pytest.raises(BadInput, match=match):
        build_task(frozen, make_mesh())


def test_features_for_a_discriminator_that_has_no_use_for_them_are_one_sentence(data: Path) -> None:
    config = projected_config(data)
    frozen = json.loads(json.dumps(config.to_dict())) | {"labels": []}
    frozen["representation"] |= {"mean": -1.0, "std": 1.0}
    frozen["discriminator"] = {"kind": "stylegan2", "base": [4, 8]}
    with pytest.raises(
        BadInput, match=r"config has feature_networks, which this kind of config\.discriminator has no use for"
    ):
        build_task(frozen, make_mesh())
