"""drumgan plan --config=electrogan:full --topology=v5e:4x8 [--quick] [--price=1.2] [--json=PATH]

Says what a run needs of chips that are not here, before they are paid for: all its programs are compiled for them on
this machine, which takes minutes to hours; with --quick they are only traced, and memory and exchanges estimated.
Prints memory a chip against what the chip has, operations, bytes exchanged between chips, and time and
cost as ranges: from arithmetic alone to arithmetic, memory and links one after the other (a roofline). No data set is
needed: its statistics and classes are made up. Overrides such as --config.train.batch_size=64 work as in training.

Topologies: v5e:16x16, 2xv5e:16x16 (two slices), v5p:2x2x4, v6e:4x4, h100:8, h100:4x8 (four hosts of eight cards).
Programs for TPUs are compiled by libtpu (pip install 'drumgan-jax[plan]').
"""

import math
import os
import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from drumgan_jax.commands.config_flag import define_config, with_paths
from drumgan_jax.commands.path_flags import define_path

CONFIG = define_config()
TOPOLOGY = flags.DEFINE_string("topology", None, "the chips, as v5e:16x16 or 2xv5e:16x16.", required=True)
PRICE = flags.DEFINE_float("price", None, "of a chip for an hour, in any currency.", lower_bound=0.0)
QUICK = flags.DEFINE_bool("quick", False, "only trace, in a minute or two and without a compiler for the chips.")
JSON = define_path("json", "", "also write the plan to this file.", bucket=True)
flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
    """Plan; see the module's docstring."""
    del argv
    # Where libtpu is installed, JAX else looks for TPUs, and where there are some, takes them from who trains.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from drumgan_jax.core.errors import BadInput
    from drumgan_jax.evaluation.report import check_writable, save_json
    from drumgan_jax.planning.planner import plan
    from drumgan_jax.planning.programs import completed
    from drumgan_jax.planning.report import screen, to_json
    from drumgan_jax.planning.topologies import Topology

    topology = Topology.parse(TOPOLOGY.value)
    if PRICE.value is not None and not math.isfinite(PRICE.value):
        raise BadInput(f"--price is {PRICE.value}; it must be a number.")
    if JSON.value:
        check_writable(JSON.value)
    name = config_flags.get_config_filename(flags.FLAGS["config"])
    found = plan(name, completed(with_paths(CONFIG.value)), topology, _say, quick=QUICK.value)
    print(screen(found, PRICE.value))
    if JSON.value:
        save_json(JSON.value, to_json(found, PRICE.value))
    if not found.fits:
        sys.exit(1)


def _say(line: str) -> None:
    print(f"{line} ...", file=sys.stderr)
