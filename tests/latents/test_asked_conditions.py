"""Rows of labels from what a user says of classes and attributes."""

import numpy as np
import pytest

from drumgan_jax.audio.attributes import AttributeScale
from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.latents.seeds import labels_of

CLASSES = ("kick", "snare")
SEEDS = np.arange(6, dtype=np.uint32)


@pytest.fixture(scope="module")
def scale() -> AttributeScale:
    rng = np.random.default_rng(0)
    return AttributeScale.fit(("brightness", "decay"), rng.normal(size=(200, 2)), np.arange(200) % 2, 2)


@pytest.fixture(scope="module")
def conditions(scale: AttributeScale) -> Conditions:
    return Conditions(CLASSES, scale)


def test_without_attributes_rows_are_class_weights() -> None:
    plain = Conditions(CLASSES)
    np.testing.assert_array_equal(plain.rows(None, SEEDS), labels_of(SEEDS, 2))
    np.testing.assert_allclose(plain.rows({"kick": 3, "snare": 1}, SEEDS[:1]), [[0.75, 0.25]])
    np.testing.assert_array_equal(plain.neutral, [0.5, 0.5])
    assert plain.typical is None
    with pytest.raises(BadInput, match="knows no class brightness; its classes: kick, snare; its attributes: none"):
        plain.rows({"brightness": 0.5}, SEEDS)


def test_what_is_not_given_is_drawn_from_the_seed(conditions: Conditions) -> None:
    rows = conditions.rows({"brightness": 0.75}, SEEDS)
    np.testing.assert_array_equal(rows[:, :2], labels_of(SEEDS, 2))
    np.testing.assert_allclose(rows[:, 2], 0.75)
    assert len(set(rows[:, 3].tolist())) > 1
    np.testing.assert_array_equal(rows[3:5], conditions.rows({"brightness": 0.75}, SEEDS[3:5]))
    kicks = conditions.rows("kick", SEEDS)
    np.testing.assert_array_equal(kicks[:, :2], [[1, 0]] * 6)
    assert ((kicks[:, 2:] >= 0) & (kicks[:, 2:] <= 1)).all()


def test_names_lists_and_arrays_mean_the_same(conditions: Conditions) -> None:
    whole = [{"kick": 1.0, "brightness": 0.2, "decay": 0.9}, {"snare": 2.0, "brightness": 1, "decay": 0}]
    rows = conditions.rows(whole, SEEDS[:2])
    np.testing.assert_allclose(rows, [[1, 0, 0.2, 0.9], [0, 1, 1, 0]], atol=1e-6)
    np.testing.assert_array_equal(conditions.rows(rows, SEEDS[:2]), rows)
    np.testing.assert_array_equal(conditions.rows(rows[:, :2], SEEDS[:2])[:, :2], rows[:, :2])
    assert conditions.names == (*CLASSES, "brightness", "decay")
    np.testing.assert_array_equal(conditions.neutral, [0.5] * 4)
    assert conditions.one_of_each().shape == (2, 4)


def test_attributes_alone_are_conditions(scale: AttributeScale) -> None:
    config = {"task": {"attributes": ["decay", "brightness"]}, "attributes": scale.to_json()}
    alone = Conditions.of(config, ())
    assert alone.names == ("decay", "brightness")
    assert Conditions.of(config, CLASSES).names == (*CLASSES, "decay", "brightness")
    rows = alone.rows({"brightness": 0.5}, SEEDS)
    assert rows.shape == (6, 2)
    np.testing.assert_allclose(rows[:, 1], 0.5)
    assert alone.one_of_each().shape == (1, 2)


def test_independent_classes_are_taken_as_they_are(scale: AttributeScale) -> None:
    independent = Conditions(CLASSES, independent=True)
    np.testing.assert_allclose(independent.rows({"kick": 0.9, "snare": 0.8}, SEEDS[:1]), [[0.9, 0.8]])
    np.testing.assert_array_equal(independent.rows({"kick": 0.0}, SEEDS[:1]), [[0, 0]])
    with pytest.raises(BadInput, match="a class slider is above 1; this run's classes are independent"):
        independent.rows({"kick": 2.0}, SEEDS)
    silent = Conditions(CLASSES, scale, True).rows({"kick": 0, "snare": 0, "decay": 0.1}, SEEDS)
    assert np.isfinite(silent).all()
    with pytest.raises(BadInput, match="all label weights of a sound are zero"):
        Conditions(CLASSES).rows({"kick": 0.0}, SEEDS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"hat": 1.0}, "knows no class hat; its classes: kick, snare; its attributes: brightness, decay"),
        ({"kick": 1.0, "loudness": 0.3}, "knows no class loudness; its classes"),
        ({"brightness": 1.4}, "the attribute brightness is 1.4; give a number from 0 to 1"),
        ({"brightness": "much"}, "the attribute brightness is 'much'; give a number from 0 to 1"),
        ([{"kick": 1.0}, {"decay": 0.5}], "some sounds are given a class and some are not"),
        ([{"kick": 1.0}], r"there are 1 labels for 2 sound\(s\); give one for each"),
        (np.asarray([[1, 0, 0.5, 2.0]] * 2), "an attribute is out of range; give each of brightness, decay a number"),
        (np.zeros((2, 3)), r"labels are \(2, 3\)"),
    ],
)
def test_what_cannot_be_meant_is_refused(conditions: Conditions, labels: object, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        conditions.rows(labels, SEEDS[:2])  # type: ignore[arg-type]
