"""Sections become parts: every field is checked, and messages name it by its path."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.schedules import Linear
from drumgan_jax.core.settings import (
    build_part,
    build_section,
    check_fields,
    check_shapes,
    flag,
    read_section,
    real,
    text,
    texts,
    whole,
)


@dataclasses.dataclass(frozen=True)
class Toy:
    size: int = whole(2)
    rate: Any = real(0.0, 1.0, 0.5, above=True, scheduled=True)
    share: float = real(0.0, 1.0, 0.0, below=True)
    level: float | None = real(-80.0, 0.0, None)
    mode: str = text("fast", choices=("fast", "slow"))
    names: tuple[str, ...] = texts(())
    loud: bool = flag(False)
    free: Any = None


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("size", 1, "a whole number of at least 2"),
        ("size", True, "a whole number of at least 2"),
        ("size", None, "a whole number of at least 2"),
        ("rate", 0.0, "a number above 0 and at most 1"),
        ("rate", {"kind": "linear", "start": 0.5, "end": 2.0, "images": 9}, "a number above 0 and at most 1"),
        ("rate", {"kind": "line"}, "a number, or a schedule of kind constant, linear, cosine, steps"),
        ("share", 1.0, "a number from 0 and below 1"),
        ("share", float("nan"), "a number from 0 and below 1"),
        ("level", 3.0, "a number from -80 to 0"),
        ("mode", "medium", "one of fast, slow"),
        ("names", "kick", "a tuple of different names"),
        ("names", ["kick", "kick"], "a tuple of different names"),
        ("loud", 1, "True or False"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_path(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(BadInput) as problem:
        build_section(Toy, {"size": 2, name: value}, "toys.first")
    shown = tuple(value) if isinstance(value, list) else value
    assert f"config.toys.first.{name} is {shown!r}; it must be {wanted}." == str(problem.value) or (
        name == "rate" and wanted in str(problem.value)
    )


def test_sections_with_and_without_a_kind_are_built_alike() -> None:
    settings = {"size": 3, "names": ["a", "b"], "rate": {"kind": "linear", "start": 0.1, "end": 0.2, "images": 9}}
    toy = build_section(Toy, settings, "toy")
    assert toy == Toy(3, Linear(0.1, 0.2, 9), names=("a", "b"))
    assert build_part({"toy": Toy}, {"kind": "toy", **settings}, "toy") == toy
    assert read_section({"a": {"b": settings}}, "a.b", Toy) == toy
    for section, match in (
        ({"kind": "other"}, r"config\.toy\.kind is 'other'; it must be one of toy"),
        ({"kind": "toy"}, r"config\.toy lacks size; give it a value"),
        ({"kind": "toy", "size": 2, "sise": 3}, r"config\.toy has no setting sise; it has free, level, loud"),
    ):
        with pytest.raises(BadInput, match=match):
            build_part({"toy": Toy}, section, "toy")
    with pytest.raises(BadInput, match=r"config\.toy\.share follows from other sections; take it out"):
        build_part({"toy": Toy}, {"kind": "toy", "share": 0.5}, "toy", share=0.25)
    with pytest.raises(BadInput, match=r"config has shape, which this kind of config\.toy has no use for"):
        build_part({"toy": Toy}, {"kind": "toy", "size": 2}, "toy", shape=(1,))
    with pytest.raises(BadInput, match=r"the config has no section a\.c; add it"):
        read_section({"a": {}}, "a.c", Toy)


def test_what_is_constructed_directly_can_be_checked_too() -> None:
    check_fields(Toy(2, level=-3.0), "toy")
    with pytest.raises(BadInput, match=r"config\.toy\.size is 0"):
        check_fields(Toy(0), "toy")
    with pytest.raises(BadInput, match=r"^size is 0"):
        check_fields(Toy(0), "")


def test_sizes_that_a_network_cannot_be_built_with_are_one_sentence() -> None:
    assert check_shapes("network", lambda key, x: {"y": x * 2.0}, jnp.ones(3))["y"].shape == (3,)

    def fails(key: Any) -> None:
        raise ZeroDivisionError("no rows\nand more")

    with pytest.raises(BadInput, match=r"^config\.network cannot be built with these values \(no rows\); take more\.$"):
        check_shapes("network", fails, hint="; take more")

    def refuses(key: Any) -> None:
        raise BadInput("its own sentence.")

    with pytest.raises(BadInput, match=r"^its own sentence\."):
        check_shapes("network", refuses)
