"""What is checked of a config before anything is started."""

from collections.abc import Mapping
from typing import Any

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.places import is_remote, run_place
from drumgan_jax.core.settings import read_section
from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.launch.job import Job
from drumgan_jax.planning.planner import Site
from drumgan_jax.planning.programs import completed
from drumgan_jax.planning.topologies import Topology
from drumgan_jax.runs.settings import TrainSettings
from drumgan_jax.training.run import checked


def checked_training(config: Any, chips: str = "") -> dict[str, Any]:
    """A config as plain values, if a training can take it.

    Args:
        config: all sections.
        chips: a topology, which must divide the batches; empty if it is not known.

    Raises:
        BadInput: a section is unfit, the config is fitted instead of trained, or the chips do not divide its batches.
    """
    full = checked(config)
    if "train" not in full:
        raise BadInput("it is fitted, not trained; use drumgan fit.")
    read_section(full, "train", TrainSettings)
    check_chips(config, chips)
    return full


def check_chips(config: Mapping[str, Any], chips: str) -> None:
    """Raise BadInput if there are no such chips, or they do not divide the config's batches."""
    if chips:
        Site.of(completed(config), Topology.parse(chips))


def check_places(job: Job) -> None:
    """Refuse a job whose run directory in a bucket cannot be written from here, or is, or whose data set is not there.

    Raises:
        BadInput: says which, and what to do.
    """
    if is_remote(job.workdir) and job.verb != "evaluate":
        # Held for a moment only: the hosts hold it while they run.
        with only_writer(run_place(job.workdir), "drumgan launch", "give another --workdir"):
            pass
    if is_remote(job.data):
        open_dataset(job.data)
