"""Splits given by the names of sources."""

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.conditioning import Preparation
from drumgan_jax.data_pipelines.sources import Item
from drumgan_jax.data_pipelines.splits import assign_splits

ITEMS = [Item(f"{i}.wav", f"{i}.wav", f"source {i % 3}", "kick") for i in range(9)]


def test_named_sources_are_the_test_and_no_others() -> None:
    preparation = Preparation(test_sources=("source 1",), test_fraction=0.9)
    splits = assign_splits(ITEMS, preparation)
    assert [item.path for item in splits["test"]] == ["1.wav", "4.wav", "7.wav"]
    assert {item.source for item in splits["train"]} == {"source 0", "source 2"}
    assert len(splits["train"]) == 6


def test_named_sources_validate() -> None:
    splits = assign_splits(ITEMS, Preparation(test_sources=("source 1",), validation_sources=("source 2",)))
    assert {split: {item.source for item in items} for split, items in splits.items()} == {
        "train": {"source 0"},
        "validation": {"source 2"},
        "test": {"source 1"},
    }
    with pytest.raises(BadInput, match="validation_sources is given and test_sources is not"):
        Preparation(validation_sources=("source 1",))
    with pytest.raises(BadInput, match="both name 'source 1'"):
        Preparation(validation_sources=("source 1",), test_sources=("source 1",))
    with pytest.raises(BadInput, match="validation_sources names 'other', which has no recordings"):
        assign_splits(ITEMS, Preparation(test_sources=("source 1",), validation_sources=("other",)))


def test_sources_that_cannot_be_held_out_are_told() -> None:
    with pytest.raises(BadInput, match="names 'other', which has no recordings; the sources are source 0, source 1"):
        assign_splits(ITEMS, Preparation(test_sources=("source 1", "other")))
    with pytest.raises(BadInput, match="names all sources"):
        assign_splits(ITEMS, Preparation(test_sources=("source 0", "source 1", "source 2")))
    with pytest.raises(BadInput, match="must be a tuple of different names"):
        Preparation(test_sources="source 1")  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", ["kick", ("kick", "kick"), ("kick", 1)])
def test_labels_are_different_names(labels) -> None:
    with pytest.raises(BadInput, match=r"labels .*must be a tuple of different names"):
        Preparation(labels=labels)


@pytest.mark.parametrize("shift", range(40))
def test_some_of_every_class_stays_to_train_on(shift: int) -> None:
    """Also of a class that lies in two equal sources, whichever sources their hashes take first."""
    items = [Item(f"{i}.wav", f"{i}.wav", f"source {shift + i % 10}", "kick") for i in range(100)]
    items += [Item(f"r{i}.wav", f"r{i}.wav", f"source {shift + i % 2}", "rare") for i in range(10)]
    splits = assign_splits(items, Preparation(test_fraction=0.4, split_by="source"))
    assert {item.label for item in splits["train"]} == {"kick", "rare"}
    assert len(splits["test"]) > 10


def test_named_sources_that_have_all_of_a_class_are_told() -> None:
    items = [*ITEMS, Item("r.wav", "r.wav", "source 1", "rare")]
    with pytest.raises(BadInput, match="test_sources leaves no rare to train on"):
        assign_splits(items, Preparation(test_sources=("source 1",), labels=("kick", "rare")))


def test_a_validation_split_follows_the_test_split() -> None:
    items = [Item(f"{i}.wav", f"{i}.wav", f"source {i % 50}", "kick") for i in range(500)]
    splits = assign_splits(items, Preparation(test_fraction=0.1, validation_fraction=0.1, split_by="source"))
    assert {split: len(members) for split, members in splits.items()} == {"train": 400, "validation": 50, "test": 50}
    sources = [{item.source for item in members} for members in splits.values()]
    assert not sources[0] & sources[1] | sources[0] & sources[2] | sources[1] & sources[2]
    alone = assign_splits(items, Preparation(test_fraction=0.1, split_by="source"))
    assert alone["test"] == splits["test"], "a validation split leaves the figures of the test split comparable"
    again = assign_splits(items[::-1], Preparation(test_fraction=0.1, validation_fraction=0.1, split_by="source"))
    assert again["validation"] == splits["validation"][::-1]


def test_bad_validation_fractions_are_refused() -> None:
    with pytest.raises(BadInput, match=r"are 0\.5 and 0\.5, which leaves nothing to train on"):
        Preparation(test_fraction=0.5, validation_fraction=0.5)
    with pytest.raises(BadInput, match=r"no validation split of 0\.1 can be made from 3 sources"):
        assign_splits(ITEMS[:6], Preparation(validation_fraction=0.1, split_by="source"))
