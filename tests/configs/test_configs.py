"""Every config builds; the full ones lower at full size, without memory for it."""

import importlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import jax
import pytest
from ml_collections import ConfigDict

from drumgan_jax.configs import defaults
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.core.schedules import value_at
from drumgan_jax.core.settings import build_part, read_section
from drumgan_jax.data_pipelines.conditioning import build_preparation
from drumgan_jax.data_pipelines.slicing import build_slicing
from drumgan_jax.runs.settings import AdamSettings, TrainSettings
from drumgan_jax.systems.gan import OBJECTIVES, build_gan
from drumgan_jax.training.tasks import build_task

SHAPES = {
    ("splice_loops", "full"): (256, 512, 1),
    ("splice_loops", "small"): (256, 256, 1),
    ("splice_loops", "tiny"): (64, 64, 1),
    ("electrogan", "full"): (1024, 1024, 1),
    ("electrogan", "small"): (256, 256, 1),
    ("electrogan", "tiny"): (64, 128, 1),
    ("drumgan_vst", "full"): (1024, 48, 2),
    ("drumgan_vst", "small"): (1024, 48, 2),
    ("drumgan_vst", "packaged"): (256, 48, 2),
    ("drumgan_vst", "tiny"): (64, 32, 2),
    ("style_drumsynth", "full"): (1, 16384, 1),
    ("style_drumsynth", "small"): (1, 16384, 1),
    ("style_drumsynth", "packaged"): (1, 8192, 1),
    ("style_drumsynth", "tiny"): (1, 2048, 1),
    ("style_drumsynth", "full-loudness"): (1, 16384, 1),
    ("pjloopgan", "full"): (64, 200, 1),
    ("pjloopgan", "small"): (64, 200, 1),
    ("pjloopgan", "tiny"): (32, 100, 1),
    ("pca_gan", "full"): (1024, 88, 1),
    ("pca_gan", "small"): (1024, 88, 1),
    ("pca_gan", "packaged"): (1024, 88, 1),
    ("pca_gan", "loops"): (256, 350, 1),
    ("pca_gan", "tiny"): (128, 32, 1),
}
PHASES = {
    "splice_loops": {"generator", "discriminator", "r1", "path_length"},
    "electrogan": {"generator", "discriminator", "r1", "path_length"},
    "drumgan_vst": {
        f"{player}{stage}"
        for player in ("generator", "discriminator")
        for stage in ("", *(f" of stage {number}" for number in range(5)))
    },
    "style_drumsynth": {"generator", "discriminator"},
    "pjloopgan": {"generator", "discriminator"},
    "pca_gan": {"generator", "discriminator", "r1", "r2"},
}
# Of the generator at full size.
PARAMETERS = {
    "splice_loops": 20e6,
    "electrogan": 20e6,
    "drumgan_vst": 5e6,
    "style_drumsynth": 15e6,
    "pjloopgan": 20e6,
    "pca_gan": 5e6,
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
    if values["representation"]["kind"] != "waveform":
        values["representation"].update(mean=-4.0, std=2.0)
    values["labels"] = ["kick", "snare", "cymbal"] if values["task"]["conditional"] else []
    return values


@pytest.mark.parametrize(("name", "variant"), SHAPES)
def test_every_section_becomes_its_part(repository: Path, name: str, variant: str) -> None:
    config = load(repository, name).get_config(variant)
    values = fitted(config)
    gan = build_gan(values, num_labels=len(values["labels"]))
    assert gan.representation.shape == SHAPES[name, variant]
    assert gan.generator.shape == gan.discriminator.shape == SHAPES[name, variant]
    build_slicing(config.slicing)
    build_preparation(config.preparation)


@pytest.mark.smoke
@pytest.mark.parametrize("name", PHASES)
def test_full_size_lowers_on_four_devices(repository: Path, name: str) -> None:
    config = load(repository, name).get_config("full")
    task = build_task(fitted(config), make_mesh())
    parameters = sum(leaf.size for leaf in jax.tree.leaves(task.shapes.ema["params"]))
    assert parameters > PARAMETERS[name]
    samples = task.gan.representation.num_samples
    rows = {"x": SHAPES[name, "full"], "waveforms": (samples,), "labels": (3,), "soft_labels": (3,)}
    batch = {key: jax.ShapeDtypeStruct((config.train.batch_size, *rows[key]), "float32") for key in task.keys}
    lowered = task.lower(batch)
    assert set(lowered) == PHASES[name]
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


def test_the_papers_grid_reaches_the_papers_lengths_and_table_2(repository: Path) -> None:
    module = load(repository, "electrogan")
    config = module.get_config()
    # Table 1's longest cell is at its best after 7,200 thousand images, and patience must pass before it ends.
    window = config.evaluation.patience * config.evaluation.every * config.train.batch_size
    assert window > 0
    assert config.train.total_images >= 7_200_000 + window
    assert all("train.total_images" not in overrides for overrides in load(repository, "electrogan_grid").RUNS.values())
    assert config.checkpoint.milestones == (800_000, 1_600_000, 2_200_000)
    assert (config.evaluation.metric, config.evaluation.num_samples) == ("fid/picture", 50_000)
    # Without published weights, and as long as they say.
    for variant in ("small", "tiny"):
        smaller = module.get_config(variant)
        assert "fid:picture" not in smaller.evaluation.metrics
        assert (smaller.evaluation.metric, smaller.evaluation.patience) == ("fid/log_mel", 0)
        assert smaller.checkpoint.milestones == ()


def test_an_unknown_variant_names_the_known_ones(repository: Path) -> None:
    with pytest.raises(ValueError, match="full, small, tiny"):
        load(repository, "splice_loops").get_config("huge")


def test_the_rows_of_table_1_are_variants_with_one_generator(repository: Path) -> None:
    """Networks a row looks through, score maps a network, and the sizes of the latents."""
    module = load(repository, "pjloopgan")
    rows = {
        "stylegan2": (),
        "stylegan2_early": (),
        "vggish": ("vggish",),
        "scnn_tags": ("scnn_tags",),
        "scnn_loops": ("scnn_loops",),
        "vggish_scnn_tags": ("vggish", "scnn_tags"),
        "vggish_scnn_loops": ("vggish", "scnn_loops"),
        "scnn_synth_loops": ("scnn_synth_loops",),
        "vggish_scnn_synth_loops": ("vggish", "scnn_synth_loops"),
        "z512": ("vggish",),
    }
    for size in ("full", "small", "tiny"):
        whole = module.get_config(size)
        assert whole == module.get_config(f"{size}-vggish_scnn_loops")
        for row, features in rows.items():
            config = module.get_config(f"{size}-{row}")
            assert set(config.get("feature_networks", {})) == set(features)
            assert config.objective.kind == ("hinge" if features else "logistic")
            latents = (512, 64) if row == "z512" else (32, 64)
            assert (config.generator.z_dim, config.generator.w_dim) == latents
            if row != "z512":
                assert config.generator == whole.generator
            assert config.representation == whole.representation
    early, baseline = (module.get_config(f"full-{row}") for row in ("stylegan2_early", "stylegan2"))
    assert early.train.total_images * 5 == baseline.train.total_images
    critics = {row: build_gan(fitted(module.get_config(f"tiny-{row}")), 0).discriminator for row in rows}
    maps = {
        row: jax.eval_shape(critic.init_with_output, jax.random.key(0), _example(), None)[0]
        for row, critic in critics.items()
    }
    assert {row: len(critique.logits) for row, critique in maps.items()} == {
        row: 4 * len(features) or 1 for row, features in rows.items()
    }


def _example() -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((4, 32, 100, 1), "float32")


@pytest.mark.parametrize("name", ["splice_loops", "drumgan_vst", "style_drumsynth", "pjloopgan"])
def test_values_of_every_system_may_be_schedules(name: str) -> None:
    """Learning rate, beta, a weight of the objective and the EMA's half-life, through JSON as a run keeps them."""
    config = importlib.import_module(f"drumgan_jax.configs.{name}").get_config("tiny")
    falling = {"kind": "linear", "start": 0.5, "end": 0.1, "images": 100}
    weight = {"logistic": "r1_gamma", "wasserstein": "penalty_weight"}.get(config.objective.kind)
    scheduled = [(config.optimizer.generator, "learning_rate"), (config.optimizer.discriminator, "beta1")]
    scheduled += [(config.train, "ema_half_life_images")] + ([(config.objective, weight)] if weight else [])
    for section, value in scheduled:
        defaults.schedule(section, value, **falling)
    config.lock()
    config.optimizer.generator.learning_rate.end = 0.0
    read = json.loads(config.to_json())
    adam = read_section(read, "optimizer.generator", AdamSettings)
    assert value_at(adam.learning_rate, 50) == 0.25
    assert value_at(read_section(read, "optimizer.discriminator", AdamSettings).beta1, 50) == pytest.approx(0.3)
    assert value_at(read_section(read, "train", TrainSettings).ema_half_life_images, 0) == 0.5
    objective = build_part(OBJECTIVES, read["objective"], "objective")
    if weight:
        assert value_at(getattr(objective, weight), 100) == pytest.approx(0.1)
        assert objective.regularizers
