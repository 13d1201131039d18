"""Schedules of learning rates, betas, weights and half-lives: on the host as inside compiled functions."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.core.schedules import bounds, is_zero, parse_schedule, traced_value, value_at

LINEAR = {"kind": "linear", "start": 1.0, "end": 3.0, "images": 100}
COSINE = {"kind": "cosine", "start": 2.0, "end": 1.0, "images": 100}
STEPS = {"kind": "steps", "levels": [4.0, 2.0, 1.0], "images": [10, 50]}


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (LINEAR, {0: 1.0, 25: 1.5, 100: 3.0, 1000: 3.0}),
        (COSINE, {0: 2.0, 50: 1.5, 25: 1.0 + 0.5 * (1 + math.cos(math.pi / 4)), 100: 1.0, 101: 1.0}),
        (STEPS, {0: 4.0, 9: 4.0, 10: 2.0, 49: 2.0, 50: 1.0, 10**6: 1.0}),
        ({"kind": "constant", "value": 0.3}, {0: 0.3, 7: 0.3}),
        (0.3, {0: 0.3, 7: 0.3}),
    ],
)
def test_values_are_the_formulas(section: Any, expected: dict[int, float]) -> None:
    schedule = parse_schedule(section)
    for images, value in expected.items():
        assert value_at(schedule, images) == pytest.approx(value)
    assert hash(schedule) == hash(parse_schedule(section))


# The first call compiles, which takes long on a busy machine.
@settings(deadline=None)
@given(images=st.integers(0, 2**31 - 1))
def test_traced_values_are_those_of_the_host(images: int) -> None:
    for section in (LINEAR, COSINE, STEPS):
        schedule = parse_schedule(section)
        assert float(TRACED(schedule, np.int32(images))) == pytest.approx(value_at(schedule, images), rel=1e-5)
        assert min(bounds(schedule)) <= value_at(schedule, images) <= max(bounds(schedule))


TRACED = jax.jit(traced_value, static_argnums=0)


def test_a_constant_stays_a_number() -> None:
    assert traced_value(0.3, jnp.int32(5)) == 0.3
    assert (is_zero(0), is_zero(0.1), is_zero(parse_schedule({**LINEAR, "start": 0.0}))) == (True, False, False)
    assert is_zero(parse_schedule({"kind": "steps", "levels": [0.0, 0.0], "images": [5]}))


@pytest.mark.parametrize(
    ("section", "match"),
    [
        ({"kind": "step"}, "a number, or a schedule of kind constant, linear, cosine, steps"),
        ({"kind": "linear", "start": 1.0}, "a linear schedule with start, end, images, no more and no less"),
        ({**COSINE, "images": 0}, "a whole number from 1"),
        ({**LINEAR, "images": [5]}, "a whole number from 1"),
        ({**STEPS, "images": 5}, "`levels` and `images` are lists"),
        ({**STEPS, "levels": 1.0}, "`levels` and `images` are lists"),
        ({**STEPS, "images": [10, 3_000_000_000]}, "whole numbers from 1 to 2147483647"),
        ({**LINEAR, "kind": ["linear"]}, "a number, or a schedule of kind"),
        ({**STEPS, "images": [50, 10]}, "ascending"),
        ({**STEPS, "images": [10]}, "`levels` are one more"),
    ],
)
def test_unfit_sections_are_told(section: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_schedule(section)
