"""A plan as a screen of text, and as JSON."""

import dataclasses
from typing import Any

from drumgan_jax.evaluation.report import table
from drumgan_jax.planning.chips import GIB
from drumgan_jax.planning.compiled import MeasuredProgram
from drumgan_jax.planning.largest import MOST
from drumgan_jax.planning.plan import Plan
from drumgan_jax.planning.roofline import Span

_HOUR = 3600.0
_QUICK = "traced only: memory, bytes and exchanges are estimates"
_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def screen(plan: Plan, price: float | None) -> str:
    """The plan in words and a table."""
    topology, chip = plan.topology, plan.topology.chip
    mesh = " x ".join(f"{name} {size}" for name, size in plan.mesh.items() if size > 1) or "one device"
    rates, hours, share = plan.images_per_second, plan.whole.times(1 / _HOUR), plan.share_of_peak
    bandwidth = plan.input_bandwidth
    lines = [
        f"{plan.config} on {topology.text}: {_count(topology.chips, 'chip')} of {_count(topology.hosts, 'host')},"
        f" {mesh}, batches of {plan.batch_size}, {plan.dtype}",
        *([_QUICK] if plan.quick else []),
        "",
        _programs(plan),
        "",
        f"memory a chip   {plan.peak / GIB:.2f} of {chip.memory / GIB:g} GiB, which"
        f" {'fits' if plan.fits else 'DOES NOT FIT'} (state {plan.state / GIB:.2f}, waiting batches"
        f" {plan.batches / GIB:.3f})",
        f"largest batch   {_largest(plan)}",
        f"images a second {_range(rates)}, {share.least:.1%} to {share.most:.1%} of the chips' peak",
        f"time            {_range(hours)} hours for {_short(plan.images)} images",
    ]
    if price is not None:
        cost = plan.cost(price)
        lines.append(f"cost            {_range(cost)} at {price:g} a chip-hour")
    lines.append(
        f"input           {_short(bandwidth.least)}B/s to {_short(bandwidth.most)}B/s a host"
        + (f"; the loader gives {_short(plan.loader)}B/s on this machine" if plan.loader else "")
    )
    return "\n".join(lines)


def to_json(plan: Plan, price: float | None) -> dict[str, Any]:
    """All of a plan, with what follows from it."""
    follows: dict[str, Any] = {
        "chips": plan.topology.chips,
        "hosts": plan.topology.hosts,
        "peak": plan.peak,
        "fits": plan.fits,
        "largest_batch": plan.largest_batch,
        **{
            name: dataclasses.asdict(getattr(plan, name))
            for name in ("training", "whole", "images_per_second", "share_of_peak", "input_bandwidth")
        },
    }
    if price is not None:
        follows["cost"] = dataclasses.asdict(plan.cost(price))
    whole = dataclasses.asdict(plan)
    for program, one in zip(whole["programs"], plan.programs, strict=True):
        program["seconds"] = dataclasses.asdict(plan.seconds(one))
    return {**whole, **follows}


def _largest(plan: Plan) -> str:
    found = plan.largest
    a_row = plan.topology.chips * plan.accumulation
    if not found.rows:
        return "none: not even one example a chip fits; raise config.train.accumulation or config.mesh.fsdp"
    if found.too_many is None:
        return f"{plan.largest_batch:,} fits; more than {MOST:,} rows a chip are not tried"
    return f"{plan.largest_batch:,}; {found.too_many * a_row:,} does not fit"


def _programs(plan: Plan) -> str:
    rows = [_row(one, plan.seconds(one)) for one in plan.programs]
    return table(["program", "runs", "GiB", "FLOP", "bytes accessed", "bytes exchanged", "ms"], rows)


def _row(one: MeasuredProgram, seconds: Span) -> list[str]:
    of = one.measures
    exchanged = ", ".join(f"{kind} {_short(size)}" for kind, size in of.collectives.items() if size) or "0"
    return [
        one.name,
        f"{one.runs:,}",
        f"{one.resident / GIB:.3g}",
        _short(one.operations),
        _short(of.bytes_accessed),
        exchanged,
        f"{1e3 * seconds.least:.3g} .. {1e3 * seconds.most:.3g}",
    ]


def _range(span: Span) -> str:
    return f"{span.least:.3g} to {span.most:.3g}"


def _short(value: float) -> str:
    scale, unit = next(((scale, unit) for scale, unit in _UNITS if value >= scale), _UNITS[-1])
    return f"{value / scale:.3g} {unit}".rstrip()


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"
