"""Conditions on the rows of a manifest, and families of licences."""

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.conditions import family_of, parse_conditions


@pytest.mark.parametrize(
    ("licence", "family"),
    [
        ("CC0-1.0", "free"),
        ("cc0", "free"),
        ("CC 0 1.0 Universal", "free"),
        ("Creative Commons Zero", "free"),
        ("Public domain", "free"),
        ("Public Domain (per-folder README)", "free"),
        ("Unlicense", "free"),
        ("CC-BY-4.0", "permissive"),
        ("CC BY 3.0", "permissive"),
        ("Creative Commons Attribution 4.0", "permissive"),
        ("MIT", "permissive"),
        ("BSD-3-Clause", "permissive"),
        ("CC-BY-SA-3.0", "any"),
        ("CC BY-NC 4.0", "any"),
        ("CC-BY-ND-4.0", "any"),
        ("Creative Commons Attribution-NonCommercial", "any"),
        ("Creative Commons Attribution Share Alike", "any"),
        ("GPL-3.0", "any"),
        ("Mitternacht", "any"),
        ("own words: not public domain", "any"),
        ("", "any"),
    ],
)
def test_a_licence_is_in_the_narrowest_family(licence: str, family: str) -> None:
    assert family_of(licence) == family


def test_rows_meet_values_families_and_alternatives() -> None:
    rows = [
        {"licence": "CC0-1.0", "source": "a"},
        {"licence": "CC-BY-4.0", "source": "a"},
        {"licence": "GPL", "source": "b"},
        {"licence": None, "source": "c or d"},
    ]

    def kept(*texts: str) -> list[int]:
        conditions = parse_conditions(texts)
        return [number for number, row in enumerate(rows) if all(one.met_by(row) for one in conditions)]

    assert kept("licence~free") == [0]
    assert kept("licence~permissive") == [0, 1]
    assert kept("licence~any") == [0, 1, 2, 3]
    assert kept("licence~free or source=b") == [0, 2]
    assert kept("licence~free|permissive", "source=a|b") == [0, 1]
    # A value may have the word in it.
    assert kept("source=c or d") == [3]
    assert parse_conditions(["licence~free or source=b"])[0].columns == ["licence", "source"]


def test_what_is_no_condition_is_told() -> None:
    with pytest.raises(BadInput, match="--where=CC0 is not a condition; write it as column=value"):
        parse_conditions(["CC0"])
    with pytest.raises(BadInput, match="'cheap' is no family of licences; give free, permissive, any"):
        parse_conditions(["licence~cheap"])
