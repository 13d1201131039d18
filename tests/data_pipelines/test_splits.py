"""Splits given by the names of sources."""

import pytest

from data_pipelines.conditioning import Preparation
from data_pipelines.sources import Item
from data_pipelines.splits import assign_splits
from drumgan_jax.errors import BadInput

ITEMS = [Item(f"{i}.wav", f"{i}.wav", f"source {i % 3}", "kick") for i in range(9)]


def test_named_sources_are_the_test_and_no_others() -> None:
    preparation = Preparation(test_sources=("source 1",), test_fraction=0.9)
    splits = assign_splits(ITEMS, preparation)
    assert [item.path for item in splits["test"]] == ["1.wav", "4.wav", "7.wav"]
    assert {item.source for item in splits["train"]} == {"source 0", "source 2"}
    assert len(splits["train"]) == 6


def test_sources_that_cannot_be_held_out_are_told() -> None:
    with pytest.raises(BadInput, match="names 'other', which has no recording; the sources are source 0, source 1"):
        assign_splits(ITEMS, Preparation(test_sources=("source 1", "other")))
    with pytest.raises(BadInput, match="names all sources"):
        assign_splits(ITEMS, Preparation(test_sources=("source 0", "source 1", "source 2")))
    with pytest.raises(BadInput, match="must be a tuple of names"):
        Preparation(test_sources="source 1")  # type: ignore[arg-type]
