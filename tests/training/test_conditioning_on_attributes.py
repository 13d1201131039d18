"""A run with attributes: it begins, trains, is packed, plays what is asked, and every system can be built with them."""

import dataclasses
import importlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from training_cases import LABELS, write_dataset

from drumgan_jax.commands.latents_file import read_latents, write_latents
from drumgan_jax.configs import pca_gan
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.core.weight_file import variables_digest
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.play.control import attribute_figures
from drumgan_jax.play.load import load, save_instrument
from drumgan_jax.play.measure import reference_labels
from drumgan_jax.play.quality import attributes_text
from drumgan_jax.systems.gan import build_gan
from drumgan_jax.training import run
from drumgan_jax.training.tasks import build_task
from drumgan_jax.training.tasks.gan_steps import Steps

pytestmark = pytest.mark.usefixtures("unoptimized")

STORED = ("decay", "brightness", "noisiness")


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    config = pca_gan.tiny()
    folder = tmp_path_factory.mktemp("data")
    settings = config.representation.to_dict()
    config.data.dir = str(write_dataset(folder, 96, representation=settings, attributes=STORED).parent)
    config.task.attributes = ("brightness",)
    return config


@pytest.fixture(scope="module")
def task(config):
    return build_task(run.freeze(config, open_dataset(config.data.dir)), make_mesh())


@pytest.fixture(scope="module")
def instrument(config, task):
    """Before the first step: what components and recordings make of attributes."""
    made = task.instrument(task.begin(open_dataset(config.data.dir)))
    return dataclasses.replace(made, model=variables_digest(made.variables))


def test_an_instrument_plays_and_is_packed_with_its_attributes(instrument, tmp_path):
    assert instrument.attributes.names == ("brightness",)
    asked = {"kick": 1.0, "brightness": 0.9}
    latents = instrument.draw(range(3), asked)
    np.testing.assert_allclose(latents.labels, [[1, 0, 0, 0.9]] * 3)
    save_instrument(tmp_path / "packed.npz", instrument, {})
    packed = load(tmp_path / "packed.npz")
    np.testing.assert_allclose(packed.draw(range(3), asked).ws, latents.ws, atol=0.05)
    write_latents(tmp_path, latents, instrument, {"noise": True}, ["a.wav", "b.wav", "c.wav"])
    assert json.loads((tmp_path / "latents.json").read_text())["sounds"][0]["labels"]["brightness"] == pytest.approx(
        0.9
    )
    again, _ = read_latents(str(tmp_path / "latents.json"), instrument)
    np.testing.assert_array_equal(again.labels, latents.labels)
    (followed,) = attribute_figures(instrument, 12)
    assert followed.attribute == "brightness"
    assert followed.within > 0.5
    assert followed.heard[-1] > followed.heard[0]
    header, _, line = attributes_text([followed]).splitlines()
    assert header.split("  ")[0] == "attribute"
    assert line.split()[1:3] == [f"{followed.correlation:+.2f}", f"{followed.within:+.2f}"]


def test_both_networks_see_the_attributes_of_the_batch(config, task):
    """A step can be compiled, and its labels are classes and the one attribute that the task names."""
    dataset, state = open_dataset(config.data.dir), task.layout.shapes
    rows = [dataset.example("train", item, task.keys) for item in range(8)]
    batch = {key: jnp.asarray(np.stack([row[key] for row in rows])) for key in task.keys}
    steps = Steps(task.gan, 0, task.context.settings, task.players, 1, 1.0, task.context.mesh, (1,), (0.5,) * 4)
    labels = np.asarray(steps._labels(batch, state))
    np.testing.assert_array_equal(labels[:, :3], batch["labels"])
    np.testing.assert_array_equal(labels[:, 3], batch["attributes"][:, STORED.index("brightness")])
    for _, _, phase in steps.phases():
        changed, _ = jax.eval_shape(phase, state, batch)
        assert jax.tree.structure(changed) == jax.tree.structure(state)
    faded = dataclasses.replace(steps, label_weight=0.25)
    seen = np.asarray(faded._labels(batch, dataclasses.replace(state, step=jnp.int32(0))))
    np.testing.assert_allclose(seen, 0.25 * labels + 0.75 * 0.5, atol=1e-6)


def test_the_labels_of_a_reference_have_its_attributes_on_the_runs_scale(config, instrument):
    dataset = open_dataset(config.data.dir)
    labels = reference_labels(dataset, LABELS, instrument.config, "train", 7)
    np.testing.assert_array_equal(labels[:, :3], dataset.labels("train", 7))
    ranks = dataset.attributes.only(("brightness",)).ranks(dataset.measured("train", 7)[:, 1:2])
    np.testing.assert_allclose(labels[:, 3:], ranks, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attributes": ("pitch",)}, "the data set has no attribute 'pitch'; it has decay, brightness, noisiness"),
        ({"attributes": ("loudness",)}, r"config\.task\.attributes has 'loudness', which is no attribute; there are"),
        (
            {"conditional": False, "independent_classes": True},
            r"independent_classes is true but config\.task\.conditional",
        ),
    ],
)
def test_a_task_with_other_attributes_is_refused(config, settings, message):
    other = config.copy_and_resolve_references()
    other.task.update(settings)
    with pytest.raises(BadInput, match=message):
        build_task(run.freeze(other, open_dataset(config.data.dir)), make_mesh())


def test_changes_that_change_the_attributes_too_are_refused(config):
    other = config.copy_and_resolve_references()
    other.data_augmentation.reconstructions_only = False
    with pytest.raises(BadInput, match="changes the recordings, whose attributes were measured before"):
        build_task(run.freeze(other, open_dataset(config.data.dir)), make_mesh())


@pytest.mark.parametrize("system", ["pca_gan", "drumgan_vst", "style_drumsynth", "pjloopgan", "splice_loops"])
@pytest.mark.parametrize("classes", [0, 3])
def test_every_system_takes_attributes_beside_or_instead_of_classes(system, classes):
    config = importlib.import_module(f"drumgan_jax.configs.{system}").get_config("tiny").to_dict()
    config["task"]["attributes"] = STORED
    gan = build_gan(config, classes)
    assert gan.generator.num_labels == classes + 3
    labels, z = jnp.zeros((2, classes + 3)), jnp.zeros((2, gan.generator.z_dim))

    def both(key):
        made = gan.generator.init(key, z, labels, key)
        x = jnp.zeros((2, *gan.representation.shape))
        critic = gan.discriminator.init({"params": key, "phase": key}, x, labels)
        return gan.generator.apply(made, z, labels, method="map"), critic

    ws, _ = jax.eval_shape(both, jax.random.key(0))
    assert ws.shape == (2, gan.generator.num_ws, gan.generator.w_dim)
