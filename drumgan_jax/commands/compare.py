"""drumgan compare RUN RUN ... [--figures=fid/drums,coverage/drums] [--at_kimg=20,40] [--at_hours=0.1,0.2]
[--step=800kimg,best] [--plot=compare.png] [--csv=compare.csv]

Compares runs. A table gives the best value of each figure and the thousands of images at which it was reached; a plot
shows each figure against images seen and hours of training. Runs that differ only in their seeds share one line, with
the mean and, in brackets, the lowest and highest values, and one curve with a band. --at_kimg and --at_hours add a
table of each figure at equal images and at equal time, from the last evaluation up to that point, with its thousands
of images. --step adds a table of each figure at checkpoints of every run (last, best, a step, or images such as the
milestone 800kimg), as measured at them in training or by `drumgan evaluate --step`. Hours are those spent on training
steps, without evaluations and the compilation of the first step; for older runs, which did not record this, they are
all hours. If both training and `drumgan evaluate` measured a figure, on different sounds, the latter is listed
separately as "FIGURE (evaluate)". If `drumgan evaluate` made tables of quality, one table shows the baselines and all
runs that were measured alike.
"""

import math
from collections.abc import Sequence

from absl import flags

from drumgan_jax.commands.compare_quality import quality_of_runs
from drumgan_jax.commands.comparison import (
    comparison,
    comparison_at,
    comparison_of_steps,
    figures_of,
    notes_at,
    notes_of_steps,
    notes_on,
    save_plot,
    save_points,
)
from drumgan_jax.commands.curves import Moment, read_runs
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.core.paths import expand

FIGURES = flags.DEFINE_list("figures", [], "the figures to show, such as fid/drums; all if not given.")
AT_KIMG = flags.DEFINE_list("at_kimg", [], "thousands of images at which to compare runs, such as 20,40.")
AT_HOURS = flags.DEFINE_list("at_hours", [], "hours of training at which to compare runs, such as 0.1,0.2.")
# Other verbs have a flag of this name, and tests import several.
STEP = flags.DEFINE_list("step", [], "checkpoints at which to compare runs, such as 800kimg,best.", allow_override=True)
PLOT = define_path("plot", "compare.png", "file for the plot; empty for none.")
CSV = define_path("csv", "", "file for all points of all curves; empty for none.")

# The runs are positional arguments.
POSITIONAL = True


def main(argv: Sequence[str]) -> None:
    """Compare; see the module's docstring."""
    moments = [*moments_of("at_kimg", "kimg", AT_KIMG.value), *moments_of("at_hours", "h", AT_HOURS.value)]
    folders = [expand(folder) for folder in argv[1:]]
    runs = read_runs(folders)
    figures = figures_of(runs, FIGURES.value)
    notes = notes_on(runs, figures)
    print(comparison(runs, figures))
    if moments:
        print(f"\n{comparison_at(runs, figures, moments)}")
        notes += notes_at(runs, figures, moments)
    if STEP.value:
        print(f"\n{comparison_of_steps(runs, figures, STEP.value)}")
        notes += notes_of_steps(runs, figures, STEP.value)
    quality, remarks = quality_of_runs(folders)
    if quality:
        print(f"\n{quality}")
    for note in [*notes, *remarks]:
        print(f"note: {note}")
    if PLOT.value:
        save_plot(PLOT.value, runs, figures)
        print(f"The plot is in {PLOT.value}.")
    if CSV.value:
        save_points(CSV.value, runs, figures)
        print(f"Every point is in {CSV.value}.")


def moments_of(flag: str, unit: str, amounts: Sequence[str]) -> list[Moment]:
    """The moments given by a flag.

    Raises:
        BadInput: an amount is not a number of 0 or more.
    """
    try:
        moments = [Moment(float(amount), unit) for amount in amounts]
    except ValueError as error:
        raise BadInput(
            f"--{flag} has a value that is not a number ({first_line(error)}); write --{flag}=1,2."
        ) from error
    for moment in moments:
        if not 0.0 <= moment.amount < math.inf:
            raise BadInput(f"--{flag} has {moment.amount:g}; give numbers of 0 or more, such as --{flag}=1,2.")
    return moments
