"""Measures of programs that are only traced: estimates, of which docs/pods.md says how near they are."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import numpy as np

from drumgan_jax.core.mesh import piece_of
from drumgan_jax.planning.compiled import Measures
from drumgan_jax.planning.layout import bytes_on
from drumgan_jax.planning.liveness import memory_of
from drumgan_jax.planning.programs import Program
from drumgan_jax.planning.traced import flops
from drumgan_jax.training.tasks.gan_steps import PLAYERS


def estimated(
    program: Program, platform: str, sizes: Mapping[str, int], bytes_a_chip: Callable[[Any], int]
) -> Measures:
    """The measures of a program that is traced for one chip and its rows of the batch.

    With several chips, gradients are summed over them. With fsdp, a chip gathers large parameters before it computes
    with them, all of which are taken to lie there at once.

    Args:
        program: the program.
        platform: cpu, tpu or cuda.
        sizes: chips along each axis of the mesh.
        bytes_a_chip: bytes that a chip holds of a part of the state.
    """
    traced = program.trace()
    memory, operations = memory_of(traced.jaxpr, platform), program.scale * flops(traced.jaxpr, platform)
    weights, gradients = _weights(program, traced)
    gathered = sum(_bytes(one) for one in weights if _is_split(one, sizes["fsdp"]))
    given = jax.tree.leaves(traced.args_info)[len(jax.tree.leaves(program.shared)) :]
    arguments = bytes_a_chip(program.shared)
    arguments += sum(bytes_on(platform, one.shape, one.dtype.itemsize) for one in given)
    temporaries = int(program.scale * memory.temporaries) + gathered
    # A step writes its results where the state lies.
    results = 0 if program.is_step else sum(map(_bytes, jax.tree.leaves(traced.out_info)))
    return Measures(
        arguments=arguments,
        temporaries=temporaries,
        peak=arguments + temporaries + results,
        code=0,
        flops=operations,
        bytes_accessed=program.scale * memory.accessed,
        collectives=_exchanged(gradients, gathered, sizes),
    )


def _weights(program: Program, traced: jax.stages.Traced) -> tuple[list[Any], list[Any]]:
    """The parameters that a program computes with, and those that it trains."""
    if not program.is_step:
        return jax.tree.leaves(program.shared), []
    state = program.shared
    leaves = {player: jax.tree.leaves(getattr(state, player)) for player in PLAYERS}
    frozen = jax.tree.leaves(state.frozen)
    # What a step does not train, it returns as it is given.
    given = zip(jax.tree_util.tree_leaves_with_path(state), traced.jaxpr.jaxpr.invars, strict=False)
    results = set(traced.jaxpr.jaxpr.outvars)
    trained = {path[0].name for (path, _), variable in given if variable not in results}
    changed = [leaf for player in PLAYERS if player in trained for leaf in leaves[player]]
    return [*leaves["generator"], *leaves["discriminator"], *frozen], changed


def _exchanged(gradients: Iterable[Any], gathered: int, sizes: Mapping[str, int]) -> dict[str, int]:
    """Bytes that a chip takes part in exchanging, by kind, as collective_bytes counts them."""
    fsdp = sizes["fsdp"]
    if sizes["data"] * fsdp == 1:
        return {}
    split = sum(_bytes(one) for one in gradients if _is_split(one, fsdp))
    whole = sum(_bytes(one) for one in gradients) - split
    parts = {
        "all-reduce": whole + (split // fsdp if sizes["data"] > 1 else 0),
        "reduce-scatter": split // fsdp,
        "all-gather": gathered,
    }
    return {kind: size for kind, size in parts.items() if size}


def _is_split(leaf: Any, fsdp: int) -> bool:
    return piece_of(leaf.shape, fsdp) != leaf.shape


def _bytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize
