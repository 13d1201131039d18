"""Topologies as they are written, and what is said of those that there are not."""

import importlib.util

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.planning.chips import CHIPS
from drumgan_jax.planning.topologies import Topology


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("text", "chip", "slices", "shape", "chips", "hosts"),
    [
        ("v5e:16x16", "v5e", 1, (16, 16), 256, 64),
        ("v5e:2x2", "v5e", 1, (2, 2), 4, 1),
        (" 2xV5E:16x16 ", "v5e", 2, (16, 16), 512, 128),
        ("2 x v6e:4x4", "v6e", 2, (4, 4), 32, 8),
        ("v5p:2x2x4", "v5p", 1, (2, 2, 4), 16, 4),
        ("h100:8", "h100", 1, (1, 8), 8, 1),
        ("a100:4x8", "a100", 1, (4, 8), 32, 4),
    ],
)
def test_a_topology_as_it_is_written(
    text: str, chip: str, slices: int, shape: tuple[int, ...], chips: int, hosts: int
) -> None:
    found = Topology.parse(text)
    assert (found.chip, found.slices, found.shape) == (CHIPS[chip], slices, shape)
    assert (found.chips, found.hosts) == (chips, hosts)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("v9:2x2", r"there is no chip 'v9'; it may be v5e, v5p, v6e, a100, h100\.$"),
        ("v5e", r"--topology 'v5e' cannot be read; write it as in v5e:16x16, "),
        ("v5e:3x5", r"a slice of v5e is one of 1x1, 2x2, .*, 16x16\.$"),
        ("v5e:6x6", r"a slice of v5e"),
        ("v6e:16x32", r"a slice of v6e"),
        ("v5p:4x4", r"a slice of v5p has 3 axes"),
        ("v5p:4x4x32", r"at most 16x16x24"),
        ("v5e:0x4", r"cannot be read"),
        ("0xv5e:2x2", r"cannot be read"),
        ("v5e:2x2\n3", r"cannot be read"),
        ("2xh100:8", r"cannot be read"),
        ("h100:1x2x4", r"cannot be read"),
        ("", r"cannot be read"),
    ],
)
def test_one_that_there_is_not(text: str, match: str) -> None:
    with pytest.raises(BadInput, match=match):
        Topology.parse(text)


@pytest.mark.parametrize(
    ("text", "remedy"), [("v5e:2x2", "libtpu.*drumgan-jax\\[plan\\]"), ("h100:8", "pip install jax-cuda12-plugin")]
)
def test_a_compiler_that_is_missing(monkeypatch: pytest.MonkeyPatch, text: str, remedy: str) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadInput, match=remedy):
        Topology.parse(text).devices()
