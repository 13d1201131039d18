"""Sections become parts: every field is checked, and messages name it by its path."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.schedules import Linear
from drumgan_jax.core.settings import (
    MOST_LAYERS,
    build_part,
    build_section,
    check_fields,
    check_shapes,
    flag,
    read_partly,
    read_section,
    real,
    section_at,
    sizes,
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
    count: int = 0
    gain: float | None = None
    widths: tuple[int, ...] = sizes((4, 8), most=64)
    pair: tuple[int, int] = sizes((1, 2), count=2)
    layers: int = whole(0, 8, most=MOST_LAYERS)


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
        # Without a check of its own, a field is of its annotation's type.
        ("count", 1.5, "a whole number"),
        ("count", True, "a whole number"),
        ("count", 2**63, "a whole number"),
        ("gain", "1", "a number or None"),
        ("gain", float("inf"), "a number or None"),
        ("share", 10**400, "a number from 0 and below 1"),
        ("widths", [], "a tuple of whole numbers from 1 to 64"),
        ("widths", [4, 65], "a tuple of whole numbers from 1 to 64"),
        ("widths", 4, "a tuple of whole numbers from 1 to 64"),
        ("pair", [1, 2, 3], f"a tuple of 2 of whole numbers from 1 to {2**63 - 1:,}"),
        ("pair", [[1], 2], f"a tuple of 2 of whole numbers from 1 to {2**63 - 1:,}"),
        ("layers", -1, "a whole number of at least 0"),
        ("layers", 10**9, "a whole number of at most 256"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_path(name: str, value: Any, wanted: str) -> None:
    with pytest.raises(BadInput) as problem:
        build_section(Toy, {"size": 2, name: value}, "toys.first")
    assert str(problem.value).startswith(f"config.toys.first.{name} is ")
    assert str(problem.value).endswith(f"; it must be {wanted}.")


def test_sections_with_and_without_a_kind_are_built_alike() -> None:
    settings = {"size": 3, "names": ["a", "b"], "rate": {"kind": "linear", "start": 0.1, "end": 0.2, "images": 9}}
    toy = build_section(Toy, settings, "toy")
    assert toy == Toy(3, Linear(0.1, 0.2, 9), names=("a", "b"))
    assert build_part({"toy": Toy}, {"kind": "toy", **settings}, "toy") == toy
    assert read_section({"a": {"b": settings}}, "a.b", Toy) == toy
    for section, match in (
        ({"kind": "other"}, r"config\.toy\.kind is 'other'; it must be one of toy"),
        ({"kind": "toy"}, r"config\.toy lacks size; give it a value"),
        ({"kind": "toy", "size": 2, "sise": 3}, r"config\.toy has no setting sise; it has count, free, gain"),
    ):
        with pytest.raises(BadInput, match=match):
            build_part({"toy": Toy}, section, "toy")
    with pytest.raises(BadInput, match=r"config\.toy\.share follows from other sections; take it out"):
        build_part({"toy": Toy}, {"kind": "toy", "share": 0.5}, "toy", share=0.25)
    with pytest.raises(BadInput, match=r"config has shape, which this kind of config\.toy has no use for"):
        build_part({"toy": Toy}, {"kind": "toy", "size": 2}, "toy", shape=(1,))
    with pytest.raises(BadInput, match=r"the config has no section a\.c; add it"):
        read_section({"a": {}}, "a.c", Toy)


def test_a_part_of_a_section_is_read_and_a_section_is_one() -> None:
    @dataclasses.dataclass(frozen=True)
    class Part:
        rate: float = real(0.0, 1.0, 0.5)

    assert read_partly({"toy": {"rate": 0.25, "other": [1]}}, "toy", Part) == Part(0.25)
    assert read_partly({}, "toy", Part) == Part()
    for config in ({"a": 5}, {"a": {"b": []}}):
        with pytest.raises(BadInput, match=r"^config\.a(\.b)? is .*; it must be a section\.$"):
            section_at(config, "a.b" if isinstance(config["a"], dict) else "a")
    for build in (lambda: build_part({"toy": Toy}, [], "toy"), lambda: build_section(Toy, "x" * 9000, "toy")):
        with pytest.raises(BadInput, match=r"^config\.toy is .{2,120}; it must be a section\.$"):
            build()


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
