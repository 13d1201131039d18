"""drumgan train --config=NAME:VARIANT --workdir=RUN [--config.section.field=value ...]

Trains a config on the data set that config.data.dir names, and writes the run directory RUN. The same command goes on
where a stopped or killed run left off. The exit status is 0 when the run is done, 75 when it was stopped before.
"""

import sys
from collections.abc import Sequence

from absl import flags

from drumgan_jax.commands.config_flag import define_config, with_paths
from drumgan_jax.commands.path_flags import define_path

CONFIG = define_config()
WORKDIR = define_path("workdir", None, "the run directory to make or to go on with.", required=True)
DISTRIBUTED = flags.DEFINE_bool("distributed", False, "find the run's other processes, as TPU pods and Slurm allow.")
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
    """Train; see the module's docstring."""
    del argv
    from drumgan_jax.core import distributed
    from drumgan_jax.training.loop import train

    distributed.join(automatic=DISTRIBUTED.value)
    if train(with_paths(CONFIG.value), WORKDIR.value).stopped == "preempted":
        # sysexits' EX_TEMPFAIL: launchers see that the same command is to be run again.
        sys.exit(75)
