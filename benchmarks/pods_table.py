"""The table of docs/pods.md, of plans that were written as JSON.

    drumgan plan --config=electrogan:full --topology=v5e:4x8 --quick --json=plans/electrogan.json
    python -m benchmarks.pods_table plans/*.json

`exchanged` is what a chip takes part in exchanging in a step, in the mean of the run.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drumgan_jax.planning.chips import GIB

HEADER = (
    "run",
    "chips",
    "data x fsdp",
    "batch",
    "compiled",
    "state, GiB",
    "memory, GiB",
    "largest batch",
    "exchanged, MB",
    "images a second",
    "hours",
)


def row(plan: Mapping[str, Any]) -> list[str]:
    """The cells of a plan."""
    topology, largest = plan["topology"], plan["largest"]
    steps = plan["images"] / plan["batch_size"]
    exchanged = sum(
        one["runs"] * sum(one["measures"]["collectives"].values()) for one in plan["programs"] if one["is_step"]
    )
    more = "+" if largest["too_many"] is None else ""
    rates, whole = plan["images_per_second"], plan["whole"]
    return [
        f"`{plan['config']}`",
        f"`{topology['text']}`",
        f"{plan['mesh']['data']} x {plan['mesh']['fsdp']}",
        f"{plan['batch_size']}, {plan['dtype']}",
        "no" if plan["quick"] else "yes",
        f"{plan['state'] / GIB:.2f}",
        f"{plan['peak'] / GIB:.2f} of {topology['chip']['memory'] / GIB:g}{'' if plan['fits'] else ': DOES NOT FIT'}",
        f"{plan['largest_batch']:,}{more}",
        f"{exchanged / steps / 1e6:.3g}",
        f"{rates['least']:.3g} to {rates['most']:.3g}",
        f"{whole['least'] / 3600:.3g} to {whole['most'] / 3600:.3g}",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("plans", nargs="+", type=Path)
    rows = [row(json.loads(path.read_text())) for path in parser.parse_args().plans]
    for cells in (HEADER, ["---"] * len(HEADER), *rows):
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
