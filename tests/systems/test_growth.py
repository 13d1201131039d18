"""When networks grow: stage and alpha from images seen."""

import jax.numpy as jnp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.core.errors import BadInput
from drumgan_jax.systems.growth import Constant, Progressive

GROWTH = Progressive(images=(100, 200, 50), fade=0.5)


@pytest.mark.parametrize(
    ("images", "stage", "alpha"),
    [
        *((0, 0, 1.0), (99, 0, 1.0), (100, 1, 0.0), (150, 1, 0.5), (200, 1, 1.0), (299, 1, 1.0)),
        *((300, 2, 0.0), (310, 2, 0.4), (325, 2, 1.0), (10**9, 2, 1.0)),
    ],
)
def test_stage_and_alpha(images: int, stage: int, alpha: float) -> None:
    assert GROWTH.at(images) == (stage, pytest.approx(alpha))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 500), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_the_compiled_alpha_is_that_of_the_loop(images: int, fade: float) -> None:
    growth = Progressive(images=(100, 200, 50), fade=fade)
    stage, alpha = growth.at(images)
    assert 0.0 <= alpha <= 1.0
    assert float(growth.alpha_of(stage, jnp.asarray(images, jnp.int32))) == pytest.approx(alpha)


def test_no_stage_is_left_out() -> None:
    GROWTH.check(50)
    Constant().check(10**9)
    with pytest.raises(BadInput, match="a stage of 50, less than a batch of 51"):
        GROWTH.check(51)


def test_what_does_not_grow_is_always_whole() -> None:
    assert Constant().at(10**9) == (0, 1.0)
    assert Constant().num_stages == 1
    assert float(Constant().alpha_of(0, jnp.asarray(3, jnp.int32))) == 1.0


@pytest.mark.parametrize(
    ("given_settings", "message"),
    [
        ({"images": ()}, "for each stage"),
        ({"images": (100, 0)}, "for each stage"),
        ({"images": (100, 2.5)}, "for each stage"),
        ({"images": (100,), "fade": 1.5}, "growth.fade is 1.5"),
    ],
)
def test_bad_settings(given_settings: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Progressive(**given_settings)
