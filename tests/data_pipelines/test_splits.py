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
