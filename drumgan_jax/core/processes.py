"""How a run of several processes is told to each of them, read without JAX."""

import dataclasses
import os

from drumgan_jax.core.errors import BadInput, first_line

# Seconds within which all processes of a run have ended after one is lost: config.train.host_timeout.
HOST_TIMEOUT = 30.0
VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


@dataclasses.dataclass(frozen=True)
class Place:
    """One of several processes.

    Attributes:
        address: host and port of the first.
        count: how many there are.
        process: which of them, from 0.
    """

    address: str
    count: int
    process: int


def place_given() -> Place | None:
    """This process's place in the run by the environment variables VARIABLES; None if none of them is set.

    Raises:
        BadInput: only some are set, or a number is invalid.
    """
    given = [name for name in VARIABLES if os.environ.get(name)]
    if not given:
        return None
    if len(given) < len(VARIABLES):
        lost = ", ".join(name for name in VARIABLES if name not in given)
        raise BadInput(f"{', '.join(given)} is set but {lost} is not; set all three, or none for one process.")
    try:
        return Place(os.environ[VARIABLES[0]], int(os.environ[VARIABLES[1]]), int(os.environ[VARIABLES[2]]))
    except ValueError as error:
        raise BadInput(f"{VARIABLES[1]} and {VARIABLES[2]} must be whole numbers ({first_line(error)}).") from error
