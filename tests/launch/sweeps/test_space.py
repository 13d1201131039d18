"""What a sweep varies: axes, grids, random draws and Latin hypercubes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drumgan_jax.core.errors import BadInput
from drumgan_jax.launch.sweeps.space import Axis, name_of, points


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("objective.r1_gamma=1,5,10", Axis(("objective.r1_gamma",), (1, 5, 10))),
        ("config.a=0.5", Axis(("a",), (0.5,))),
        ("a + b=log:1e-4..1e-2", Axis(("a", "b"), low=1e-4, high=1e-2, is_log=True)),
        ("a=8..32", Axis(("a",), low=8.0, high=32.0, is_whole=True)),
        ("a=-1.5..2", Axis(("a",), low=-1.5, high=2.0)),
        ("a=true,false,auto", Axis(("a",), (True, False, "auto"))),
        ("a=('x','y'),('z',)", Axis(("a",), (("x", "y"), ("z",)))),
    ],
)
def test_axes(text: str, axis: Axis) -> None:
    assert Axis.parse(text) == axis


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a", r"--vary='a' is no axis; write KEY=1,5,10"),
        ("a=", r"is no axis"),
        ("=1", r"is no axis"),
        ("a+=1", r"is no axis"),
        ("a=2..1", r"is no range; give two numbers, the lower one first"),
        ("a=x..y", r"is no range"),
        ("a=0..inf", r"is no range"),
        ("a=log:0..1", r"is no range; give two numbers above 0"),
        ("a=log:1,2", r"is no range; write KEY=log:0.0001..0.01"),
    ],
)
def test_what_is_no_axis(text: str, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        Axis.parse(text)


def test_a_grid_has_every_combination() -> None:
    found = points([Axis(("a",), (1, 2)), Axis(("b", "c"), ("x", "y", "z"))], "grid", 0, 0)
    assert len(found) == 6
    assert found[1] == {"a": 1, "b": "y", "c": "y"}


@pytest.mark.parametrize(
    ("axes", "draw", "count", "match"),
    [
        ([], "grid", 0, r"nothing is varied"),
        ([Axis(("a",), (1,)), Axis(("b", "a"), (1,))], "grid", 0, r"--vary has a twice"),
        ([Axis(("a",), low=0.0, high=1.0)], "grid", 0, r"a grid needs the values of a, not a range"),
        ([Axis(("a",), (1, 2))], "grid", 3, r"leave --runs out"),
        ([Axis(("a",), (1, 2))], "random", 0, r"--draw=random needs to know how many runs there are"),
    ],
)
def test_what_has_no_points(axes: list[Axis], draw: str, count: int, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        points(axes, draw, count, 0)


AXES = [
    Axis(("a",), low=1e-4, high=1e-2, is_log=True),
    Axis(("b",), (1, 5)),
    Axis(("c",), low=2, high=5, is_whole=True),
]


@given(count=st.integers(1, 40), seed=st.integers(0, 100))
def test_a_hypercube_covers_each_axis_evenly(count: int, seed: int) -> None:
    drawn = points(AXES, "latin", count, seed)
    places = np.log(np.array([one["a"] for one in drawn]) / 1e-4) / np.log(100.0)
    # One in each part; values are rounded to four digits, which moves a place by a thousandth at most.
    assert np.abs(np.sort(places) * count - np.arange(count) - 0.5).max() <= 0.5 + 1e-3 * count
    for key, values in (("b", (1, 5)), ("c", (2, 3, 4, 5))):
        counts = [sum(one[key] == value for one in drawn) for value in values]
        assert max(abs(one - count / len(values)) for one in counts) < 2, (key, counts)
    assert drawn == points(AXES, "latin", count, seed)


@given(count=st.integers(1, 40), seed=st.integers(0, 100))
def test_more_random_runs_begin_with_fewer_and_stay_in_their_ranges(count: int, seed: int) -> None:
    drawn = points(AXES, "random", count, seed)
    assert points(AXES, "random", count + 3, seed)[:count] == drawn
    for one in drawn:
        assert 1e-4 <= one["a"] <= 1e-2
        assert one["b"] in (1, 5)
        assert one["c"] in (2, 3, 4, 5)


def test_random_draws_are_spread_as_the_axis_says() -> None:
    drawn = points(AXES, "random", 2000, 0)
    assert np.mean([one["a"] < 1e-3 for one in drawn]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([one["b"] == 1 for one in drawn]) == pytest.approx(0.5, abs=0.05)
    assert np.mean([one["c"] == 5 for one in drawn]) == pytest.approx(0.25, abs=0.05)


def test_names_of_runs() -> None:
    rate = {"optimizer.generator.learning_rate": 0.002, "optimizer.discriminator.learning_rate": 0.002}
    assert name_of({**rate, "objective.r1_gamma": 5}) == "learning_rate0.002_r1_gamma5"
    both = name_of({**rate, "optimizer.discriminator.learning_rate": 0.004})
    assert both == "learning_rate0.002_optimizer.discriminator.learning_rate0.004"
    assert name_of({"task.run": "/a/b c"}) == "runa-b-c"
    assert len(name_of({"a" * 100: 1})) == 80
