"""Multi-process runs: joining the processes, and stopping all at the same step."""

import secrets
import signal
import threading
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any

import jax
import numpy as np
from absl import logging
from jax._src import distributed as _service
from jax.experimental import multihost_utils

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.processes import VARIABLES, place_given

__all__ = ["VARIABLES", "StopSignal", "as_first", "attempt", "join", "least", "meet", "raise_on_all"]

# Of a sentence that is told to all processes.
_SENTENCE_BYTES = 4096
# As long as JAX waits for the processes to join.
_ATTEMPT_MS = 300_000
# JAX measures by the time of day for how long it has not heard of a process, and ends all after 100 s. If a parent
# watches them, by a clock that does not jump, JAX needs not.
_UNWATCHED_SECONDS, _WATCHED_SECONDS = 100, 7 * 86_400


def join(automatic: bool = False, watched: bool = False) -> None:
    """Join the other processes of the run; call this before the first use of a device.

    Args:
        automatic: let JAX find the other processes, which works on TPU pods and under Slurm. Otherwise they are given
            by environment variables (VARIABLES), and a process with none of these runs alone.
        watched: a supervising parent ends all processes if one is lost.

    Raises:
        BadInput: only some of the variables are set, or a number is invalid.
    """
    if jax.distributed.is_initialized():
        return
    seconds = _WATCHED_SECONDS if watched else _UNWATCHED_SECONDS
    if automatic:
        jax.distributed.initialize(heartbeat_timeout_seconds=seconds)
    elif place := place_given():
        jax.distributed.initialize(place.address, place.count, place.process, heartbeat_timeout_seconds=seconds)


def attempt() -> tuple[int, int, str]:
    """This process, the number of processes, and a name on which all agree and that no other start of the run has.

    The processes have joined. No device is used, so what goes wrong with one is told under this name too.
    """
    # JAX's own functions agree by way of the devices.
    state = _service.global_state
    service: Any = state.client
    if state.process_id == 0:
        service.key_value_set("drumgan/attempt", secrets.token_hex(8))
    return state.process_id, state.num_processes, service.blocking_key_value_get("drumgan/attempt", _ATTEMPT_MS)


def meet(place: str) -> None:
    """Wait until every process has reached the barrier of this name."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(place)


def raise_on_all(problem: BadInput | None) -> None:
    """Raise on every process what the first one could not do, so that none waits for it; the others give None."""
    sentence = np.zeros(_SENTENCE_BYTES, np.uint8)
    if problem is not None:
        text = str(problem).encode()[:_SENTENCE_BYTES]
        sentence[: len(text)] = np.frombuffer(text, np.uint8)
    if jax.process_count() > 1:
        sentence = np.asarray(multihost_utils.broadcast_one_to_all(sentence))
    if sentence.any():
        raise problem or BadInput(sentence.tobytes().rstrip(b"\0").decode(errors="replace"))


def as_first(numbers: Sequence[int]) -> list[int]:
    """The numbers that the first process gives, on all processes; below 2 ** 31."""
    if jax.process_count() == 1:
        return list(numbers)
    count = int(multihost_utils.broadcast_one_to_all(np.int32(len(numbers))))
    padded = np.zeros(count, np.int32)
    if jax.process_index() == 0:
        padded[:] = numbers
    return np.asarray(multihost_utils.broadcast_one_to_all(padded)).tolist()


def least(number: int) -> int:
    """The least of the numbers of all processes, each of which calls this; below 2 ** 31."""
    if jax.process_count() == 1:
        return number
    return int(np.min(multihost_utils.process_allgather(np.int32(number))))


class StopSignal:
    """Turns SIGTERM, which preempted machines receive, into a step at which all processes stop together.

    Use it as a context manager around the loop and call `reached(step)` once per step. With several processes, JAX's
    preemption service watches the signal and chooses the step; in a single process, a handler sets a flag.
    """

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._before: object = None
        self._watched = False

    def __enter__(self) -> "StopSignal":
        # Signals can be handled only in the main thread; other threads (a notebook's worker) receive none.
        self._watched = jax.process_count() == 1 and threading.current_thread() is threading.main_thread()
        if self._watched:
            self._before = signal.signal(signal.SIGTERM, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watched:
            signal.signal(signal.SIGTERM, self._before)  # type: ignore[arg-type]

    def reached(self, step: int) -> bool:
        """Whether to save and stop after `step`; the same answer on every process."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._flag.is_set()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        logging.info("SIGTERM: saving and stopping.")
        self._flag.set()
