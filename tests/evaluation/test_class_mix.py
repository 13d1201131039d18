"""Sets are drawn at one mix of classes, or refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.class_mix import check_same_mix, classes_at_mix, counts_at_mix, items_at_mix, mix_of

NAMES = ("kick", "snare", "cymbal")


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any), st.integers(1, 400))
def test_counts_are_within_one_of_the_shares(weights: list[int], count: int) -> None:
    counts = counts_at_mix(np.asarray(weights), count)
    assert counts.sum() == count
    assert np.all(np.abs(counts - np.asarray(weights) / sum(weights) * count) < 1.0)
    classes = classes_at_mix(np.asarray(weights), count)
    np.testing.assert_array_equal(np.bincount(classes, minlength=len(weights)), counts)


def test_every_part_has_nearly_the_mix() -> None:
    shares = np.asarray([53, 41, 74])
    classes = classes_at_mix(shares, 300)
    np.testing.assert_allclose(mix_of(classes[:100], 3), shares / 168, atol=0.02)


@given(st.lists(st.integers(0, 2), min_size=30, max_size=80).filter(lambda one: set(one) == {0, 1, 2}))
def test_recordings_are_drawn_once_and_at_the_mix(classes: list[int]) -> None:
    there, shares = np.asarray(classes), np.asarray([0.5, 0.25, 0.25])
    items = items_at_mix(there, shares, 300, NAMES)
    assert len(set(items.tolist())) == len(items)
    counts = np.bincount(there[items], minlength=3)
    np.testing.assert_array_equal(counts, counts_at_mix(shares, len(items)))


def test_unlike_mixes_are_refused_with_the_remedy() -> None:
    few_kicks, many_kicks = np.repeat([0, 1, 2], [10, 45, 45]), np.repeat([0, 1, 2], [45, 10, 45])
    check_same_mix(few_kicks, np.repeat([0, 1, 2], [1, 5, 4]), NAMES, ("A", "B"), "mend it")
    wanted = r"A has kick 10 %, snare 45 %, cymbal 45 % and B has kick 45 %, snare 10 %, cymbal 45 %; mend it\."
    with pytest.raises(BadInput, match=wanted):
        check_same_mix(few_kicks, many_kicks, NAMES, ("A", "B"), "mend it")
    with pytest.raises(BadInput, match="no sound of the class snare, which the reference has"):
        items_at_mix(np.asarray([0, 0, 2]), np.ones(3), 3, NAMES)
