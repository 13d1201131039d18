"""Every config builds; the full ones lower at full size, without memory for it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import jax
import pytest
from ml_collections import ConfigDict

from data_pipelines.conditioning import build_preparation
from data_pipelines.slicing import build_slicing
from drumgan_jax.gan import build_gan
from drumgan_jax.training.mesh import make_mesh
from drumgan_jax.training.tasks import build_task

SHAPES = {
    ("splice_loops", "full"): (256, 512, 1),
    ("splice_loops", "small"): (256, 128, 1),
    ("splice_loops", "tiny"): (64, 64, 1),
    ("electrogan", "full"): (1024, 1024, 1),
    ("electrogan", "small"): (256, 256, 1),
    ("electrogan", "tiny"): (64, 128, 1),
}


def load(repository: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, repository / "configs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fitted(config: ConfigDict) -> dict:
    values = config.to_dict()
    values["representation"].update(mean=-4.0, std=2.0)
    values["labels"] = []
    return values


@pytest.mark.parametrize(("name", "variant"), SHAPES)
def test_every_section_becomes_its_part(repository: Path, name: str, variant: str) -> None:
    config = load(repository, name).get_config(variant)
    gan = build_gan(fitted(config), num_labels=0)
    assert gan.representation.shape == SHAPES[name, variant]
    assert gan.generator.shape == gan.discriminator.shape == SHAPES[name, variant]
    build_slicing(config.slicing)
    build_preparation(config.preparation)


@pytest.mark.smoke
@pytest.mark.parametrize("name", ["splice_loops", "electrogan"])
def test_full_size_lowers_on_four_devices(repository: Path, name: str) -> None:
    config = load(repository, name).get_config("full")
    task = build_task(fitted(config), make_mesh())
    parameters = sum(leaf.size for leaf in jax.tree.leaves(task.shapes.ema["params"]))
    assert parameters > 20e6
    shape = (config.train.batch_size, *SHAPES[name, "full"])
    lowered = task.lower({"x": jax.ShapeDtypeStruct(shape, "float32")})
    assert {"generator", "discriminator", "r1", "path_length"} <= set(lowered)
    assert all("stablehlo.convolution" in step.as_text() for step in lowered.values())


def test_the_papers_grid_is_six_overrides_that_the_config_knows(repository: Path) -> None:
    grid = load(repository, "electrogan_grid")
    config = load(repository, "electrogan").get_config()
    assert len(grid.RUNS) == 6
    for overrides in grid.RUNS.values():
        config.update_from_flattened_dict(overrides)
        build_gan(fitted(config), num_labels=0)
    assert config.optimizer.generator.learning_rate == 0.002
    assert config.objective.r1_gamma == 10.0


def test_an_unknown_variant_names_the_known_ones(repository: Path) -> None:
    with pytest.raises(ValueError, match="full, small, tiny"):
        load(repository, "splice_loops").get_config("huge")
