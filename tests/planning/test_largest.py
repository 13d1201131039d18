"""The search for the largest batch, against every number."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drumgan_jax.planning.largest import MOST, Largest, largest

ROUND = [rows for rows in range(1, MOST + 1) if rows % max(1, 2 ** (rows.bit_length() - 1) // 8) == 0]


@pytest.mark.smoke
@given(
    state=st.integers(0, 2000),
    row=st.integers(1, 300),
    bend=st.integers(0, 3),
    first=st.integers(1, MOST),
    memory=st.integers(1, 100_000),
    silent=st.booleans(),
)
def test_neighbours_are_found_and_both_were_tried(
    state: int, row: int, bend: int, first: int, memory: int, silent: bool
) -> None:
    def needs(rows: int) -> int:
        return state + row * rows + bend * rows**2 // 7

    tried: list[int] = []

    def peak_of(rows: int) -> int | None:
        tried.append(rows)
        return None if silent and needs(rows) > memory else needs(rows)

    found = largest(peak_of, memory, first)
    fitting = [rows for rows in ROUND if needs(rows) <= memory]
    assert found.rows == (fitting[-1] if fitting else 0)
    assert found.too_many == next((rows for rows in ROUND if needs(rows) > memory), None)
    assert {found.rows, found.too_many} - {0, None} <= set(tried)
    assert len(tried) == len(set(tried)) <= 40


@pytest.mark.smoke
def test_what_grows_by_the_row_takes_few_trials() -> None:
    tried = itertools.count()

    def peak_of(rows: int) -> int:
        next(tried)
        return 1000 + 37 * rows

    assert largest(peak_of, memory=16_000, first=16) == Largest(384, 416)
    assert next(tried) <= 5


@pytest.mark.smoke
def test_what_needs_no_more_for_the_first_rows_takes_few_trials() -> None:
    """As tiles of eight rows do, of which a line through one and two rows knows nothing."""
    tried: list[int] = []

    def peak_of(rows: int) -> int:
        tried.append(rows)
        return 1000 + 37 * max(8, rows) + rows

    assert largest(peak_of, memory=3_000, first=1) == Largest(52, 56)
    assert len(tried) <= 12
