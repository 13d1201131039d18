"""drumgan sweep --config=NAME:VARIANT --vary=KEY=1,5,10 [--vary=KEY=log:0.0001..0.01 --draw=latin --runs=20] ...
drumgan sweep --grid=electrogan_grid --variant=small --data=DATA --workdir=FOLDER [--set=seed=3]
drumgan sweep --measure=RUN,RUN --step=last,best --truncation=1,0.7 --metrics=fid:drums --workdir=FOLDER [-- ...]

Runs many jobs, --at_once of them at a time, on any backend of `drumgan launch`, whose flags are handed on: trainings
that differ in values of a config, each in its own folder of --workdir, or measurements of checkpoints x truncations.
Then it writes sweep.txt, one table from the best to the worst; sweep.csv; sweep.png, the figure against each value;
and of trainings curves.png and curves.csv; at the end, also if it is stopped or a budget is spent.

The same command goes on with a stopped sweep: what is complete is skipped, what was stopped goes on, what failed is
tried again. Two jobs that would compute the same are one. Keys and values are checked before any job starts.

--vary has a list (KEY=1,5,10), a range (KEY=0.1..1, or KEY=log:0.0001..0.01 for factors; whole ends draw whole
numbers), and KEY+KEY gives two keys one value. --draw takes every combination of lists (grid), draws each value by
itself (random), or so that each axis is covered evenly (latin).

--halving=3 --rungs=3 trains all runs to a ninth of their images, the best third of them to a third, and the best third
of these to the end. --max_jobs, --max_hours (of all jobs together) and --max_cost (with --price of a chip for an hour,
and --chips; hours in a queue count too) stop the sweep when they are spent: the same command with more goes on.
Ctrl-C and SIGTERM let the running jobs save, on any backend; the second time, those on this machine end at once.
"""

import dataclasses
import math
import shlex
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from drumgan_jax.commands.config_flag import define_config, name_of_config, overrides_of_config
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.core.places import run_place
from drumgan_jax.launch import flags as launch_flags
from drumgan_jax.launch.job import AGAIN, check_name

if TYPE_CHECKING:
    from drumgan_jax.launch.sweeps.running import Budget
    from drumgan_jax.launch.sweeps.sweep import Sweep
    from drumgan_jax.launch.sweeps.trials import Grid, Trial

CONFIG = define_config()
GRID = flags.DEFINE_string("grid", "", "a file of runs, by its name or path, instead of --vary.")
VARIANT = flags.DEFINE_string("variant", "full", "of the grid's config.")
VARY = flags.DEFINE_multi_string("vary", [], "a key and its values, KEY=1,5,10 or KEY=0.1..1; may be repeated.")
DRAW = flags.DEFINE_enum("draw", "grid", ["grid", "random", "latin"], "how values are combined.")
RUNS = flags.DEFINE_integer("runs", 0, "how many are drawn; not for a grid.", lower_bound=0)
SEED = flags.DEFINE_integer("seed", 0, "of the draws.", lower_bound=0)
SET = flags.DEFINE_multi_string("set", [], "a value for all runs, KEY=VALUE; may be repeated.")
MEASURE = flags.DEFINE_list("measure", [], "run directories to measure, instead of trainings.")
STEP = flags.DEFINE_list("step", ["last"], "their checkpoints: last, best, all, steps, images such as 800kimg.")
TRUNCATION = flags.DEFINE_list("truncation", ["1"], "truncations at which they are measured.")
METRICS = flags.DEFINE_list("metrics", ["fid:log_mel"], "by which they are measured.")
DATA = define_path("data", "", "the data set; for a measurement, that of each run if not given.", bucket=True)
WORKDIR = define_path("workdir", None, "the folder of the sweep.", required=True, bucket=True)
FIGURE = flags.DEFINE_string(
    "figure", "", "by which runs are ranked; that of the config's best checkpoint if not given."
)
HALVING = flags.DEFINE_integer("halving", 0, "one run of so many goes on to the next rung; 0 for none.", lower_bound=0)
RUNGS = flags.DEFINE_integer("rungs", 3, "of --halving.", lower_bound=1)
AT_ONCE = flags.DEFINE_integer("at_once", 1, "jobs that run at a time.", lower_bound=1)
MAX_JOBS = flags.DEFINE_integer("max_jobs", 0, "jobs that are started, at most; 0 for any number.", lower_bound=0)
MAX_HOURS = flags.DEFINE_float("max_hours", 0.0, "hours of all jobs together; 0 for any number.", lower_bound=0.0)
MAX_COST = flags.DEFINE_float("max_cost", 0.0, "cost of all jobs together; 0 for any.", lower_bound=0.0)
PRICE = flags.DEFINE_float("price", 0.0, "of a chip for an hour.", lower_bound=0.0)
DRY_RUN = flags.DEFINE_bool("dry_run", False, "print the jobs, and start none.")
NAME = flags.DEFINE_string("name", "sweep", "with which the names of the jobs begin.")
BACKEND = launch_flags.define_backend("local")
launch_flags.define_flags()

# What stands after -- is for `drumgan evaluate`.
POSITIONAL = True


def main(argv: Sequence[str]) -> None:
    """Sweep; see the module's docstring."""
    launch_flags.check_used(BACKEND.value)
    kinds = [name for name in ("grid", "measure", "vary") if flags.FLAGS[name].present]
    if len(kinds) != 1:
        raise BadInput("give one of --vary (with --config), --grid and --measure.")
    if argv[1:] and not MEASURE.value:
        raise BadInput(f"{brief(argv[1])} is not a flag; what stands after -- is for --measure.")
    from drumgan_jax.launch.sweeps.running import say_to_stderr
    from drumgan_jax.launch.sweeps.sweep import run

    budget = _budget()
    sweep = _measurements(argv[1:]) if MEASURE.value else _trainings()
    if not sweep.trials:
        raise BadInput("there is nothing to run.")
    check_name(_name(sweep.trials[0], sweep, max(sweep.rungs)))
    if DRY_RUN.value:
        for trial in sweep.trials:
            print(shlex.join(_command(trial.up_to(sweep.rungs[0]), sweep, sweep.rungs[0])))
        for note in sweep.notes:
            print(f"note: {note}")
        return
    if BACKEND.value != "local":
        _check_backend(_command(sweep.trials[0].up_to(sweep.rungs[0]), sweep, sweep.rungs[0]))
    ending = run(sweep, lambda trial, images: _command(trial, sweep, images), AT_ONCE.value, budget, say_to_stderr)
    print(ending.text)
    if ending.was_stopped:
        print("sweep: stopped; run the same command to go on.", file=sys.stderr)
        sys.exit(AGAIN)
    if ending.failed:
        sys.exit(f"{len(ending.failed)} job(s) failed: {', '.join(ending.failed)}.")


def _measurements(more: Sequence[str]) -> "Sweep":
    from drumgan_jax.launch.sweeps.measures import Measures, trials_of_measures
    from drumgan_jax.launch.sweeps.sweep import Sweep

    if HALVING.value:
        raise BadInput("--halving is for trainings; measurements have no rungs.")
    try:
        truncations = [float(text) for text in TRUNCATION.value]
        if odd := [one for one in truncations if not 0.0 <= one < math.inf]:
            raise ValueError(f"{odd[0]:g}, which is not a number of 0 or more")
    except ValueError as problem:
        raise BadInput(f"--truncation has {brief(str(problem))}; write --truncation=1,0.7.") from problem
    runs = [run for run in MEASURE.value if run]
    folder = run_place(WORKDIR.value)
    measures = Measures(STEP.value, truncations, METRICS.value, DATA.value, more)
    trials, notes = trials_of_measures(runs, measures, folder)
    of = {"measures": METRICS.value, "data": DATA.value, "arguments": list(more)}
    return Sweep(folder, trials, of, notes, FIGURE.value or METRICS.value[0].replace(":", "/"))


def _trainings() -> "Sweep":
    from drumgan_jax.data.dataset import open_dataset
    from drumgan_jax.launch.sweeps import halving
    from drumgan_jax.launch.sweeps.sweep import Sweep
    from drumgan_jax.launch.sweeps.trials import trials_of

    if not DATA.value:
        raise BadInput("no data set was given; give --data.")
    grid, of = _grid()
    common = [*SET.value, *(f"{key}={value}" for key, value in _overrides().items())]
    of |= {"set": sorted(common), "data": DATA.value}
    trials, notes = trials_of(grid, DATA.value, common, flags.FLAGS.chips)
    if BACKEND.value == "local" and not DRY_RUN.value:
        # Each run would refuse it.
        open_dataset(DATA.value)
    sweep = Sweep(run_place(WORKDIR.value), trials, of, notes, FIGURE.value or trials[0].figure)
    if not HALVING.value:
        return sweep
    if len({trial.images for trial in trials}) > 1:
        raise BadInput("--halving compares runs at equal images; do not vary train.total_images.")
    rungs = halving.rungs(trials[0].images, HALVING.value, RUNGS.value, max(trial.batch for trial in trials))
    return dataclasses.replace(sweep, rungs=rungs, factor=HALVING.value)


def _overrides() -> dict[str, Any]:
    return {} if CONFIG.value is None else overrides_of_config()


def _grid() -> "tuple[Grid, dict[str, Any]]":
    """The runs, and what the sweep is of: the same goes on in its folder."""
    from drumgan_jax.launch.sweeps.space import Axis
    from drumgan_jax.launch.sweeps.trials import Grid, drawn, read_grid

    if GRID.value:
        read = read_grid(GRID.value)
        grid = Grid(f"{read.config}:{VARIANT.value}", read.runs)
        return grid, {"config": grid.config, "grid": True}
    if CONFIG.value is None:
        raise BadInput("no config was given; name one with --config=splice_loops:tiny.")
    axes = [Axis.parse(text) for text in VARY.value]
    grid = drawn(name_of_config(), axes, DRAW.value, RUNS.value, SEED.value)
    of: dict[str, Any] = {"config": grid.config, "vary": VARY.value, "draw": DRAW.value}
    of |= {"seed": SEED.value} if DRAW.value != "grid" else {}
    # More random runs go on from fewer; another number makes another hypercube.
    of |= {"runs": RUNS.value} if DRAW.value == "latin" else {}
    return grid, of


def _command(trial: "Trial", sweep: "Sweep", images: int) -> list[str]:
    """`drumgan launch` of a trial."""
    return [
        *(sys.executable, "-m", "drumgan_jax.cli", "launch"),
        f"--backend={BACKEND.value}",
        f"--name={_name(trial, sweep, images)}",
        "--wait",
        *launch_flags.given(),
        *([f"--workdir={sweep.folder / trial.name}"] if trial.images else []),
        *trial.arguments,
    ]


def _check_backend(command: Sequence[str]) -> None:
    """Raise BadInput if the backend cannot take a trial's job: it would refuse each of them."""
    place = command.index("--wait")
    ended = subprocess.run([*command[:place], "--dry_run", *command[place:]], capture_output=True, text=True)
    if ended.returncode:
        said = (ended.stderr.strip().splitlines() or [f"status {ended.returncode}"])[-1]
        raise BadInput(f"{said.removeprefix('drumgan launch: ')} Nothing was started.")


def _name(trial: "Trial", sweep: "Sweep", images: int) -> str:
    """Of a trial's job: another one in each sweep's folder."""
    from drumgan_jax.launch.sweeps.trials import digest_of

    where = digest_of(trial.digest, str(sweep.folder.absolute()))
    return f"{NAME.value}-{where[:8]}{f'-{images}' if images else ''}"


def _budget() -> "Budget":
    from drumgan_jax.launch.sweeps.running import Budget
    from drumgan_jax.planning.topologies import Topology

    chips = Topology.parse(flags.FLAGS.chips).chips if flags.FLAGS.chips else 0
    limits = {"jobs": MAX_JOBS.value, "hours": MAX_HOURS.value, "cost": MAX_COST.value}
    return Budget(**{name: value for name, value in limits.items() if value}, price=PRICE.value * chips)
