"""One channel of several, and what a mix loses."""

import numpy as np
import pytest

from drumgan_jax.audio.channels import CHANNELS, is_channel, loss_db, mono
from drumgan_jax.core.errors import BadInput

LEFT, RIGHT = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 1000)).astype(np.float32)
STEREO = np.stack([LEFT, 2 * RIGHT], axis=1)


def test_each_channel_is_what_its_name_says() -> None:
    wanted = {
        "mix": (LEFT + 2 * RIGHT) / 2,
        "left": LEFT,
        "right": 2 * RIGHT,
        "mid": (LEFT + 2 * RIGHT) / 2,
        "side": (LEFT - 2 * RIGHT) / 2,
        "louder": 2 * RIGHT,
        "0": LEFT,
        "1": 2 * RIGHT,
    }
    assert set(CHANNELS) < set(wanted)
    for channel, samples in wanted.items():
        got = mono(STEREO, channel)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, samples, rtol=0, atol=1e-7, err_msg=channel)
    np.testing.assert_array_equal(mono(STEREO[:, ::-1], "louder"), 2 * RIGHT)


def test_of_one_channel_there_is_only_that() -> None:
    for channel in ("mix", "left", "right", "mid", "louder", "0"):
        np.testing.assert_array_equal(mono(LEFT[:, None], channel), LEFT, err_msg=channel)
    for channel in ("side", "1"):
        with pytest.raises(BadInput, match=r"config\.preparation\.channel"):
            mono(LEFT[:, None], channel)


@pytest.mark.parametrize("value", ["middle", "", "-1", "1.0", "²", None, True, ("left",)])
def test_other_names_are_none(value: object) -> None:
    assert not is_channel(value)
    assert is_channel("0")
    assert is_channel(7)


@pytest.mark.parametrize(
    ("right", "lowest", "highest"),
    [(LEFT, -0.01, 0.01), (RIGHT, 2.0, 4.0), (-0.5 * LEFT, 9.99, 10.01), (-LEFT, np.inf, np.inf)],
)
def test_the_level_that_a_mix_loses(right: np.ndarray, lowest: float, highest: float) -> None:
    samples = np.stack([LEFT, right], axis=1)
    assert lowest <= loss_db([(samples, mono(samples, "mix"))]) <= highest
    assert loss_db([(0 * samples, 0 * LEFT)]) == 0
