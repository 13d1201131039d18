"""A profile of some training steps: a trace of jax.profiler, and a table of the dearest operations."""

import dataclasses
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import jax

from drumgan_jax.core import places
from drumgan_jax.core.errors import BadInput, first_line, shown
from drumgan_jax.training.trace import Operation, read_operations

__all__ = ["ProfiledSteps"]

PROFILE_FOLDER = "profile"
SHOWN = 10
# Characters of an operation's place that are shown, and how many of its front, where the step's name is.
_LAYER_WIDTH, _LAYER_FRONT = 84, 30


@dataclasses.dataclass(frozen=True)
class ProfiledSteps:
    """Steps to profile, both included; the first step of a run is 1.

    Attributes:
        first: the first step.
        last: the last step.
    """

    first: int
    last: int

    def __str__(self) -> str:
        """In a sentence."""
        return f"step {self.first}" if self.first == self.last else f"steps {self.first} to {self.last}"

    @property
    def count(self) -> int:
        """Number of steps."""
        return self.last - self.first + 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "A..B", or "A" for one step.

        Raises:
            BadInput: it is neither, or not a range of steps.
        """
        matched = re.fullmatch(r"(\d{1,18})(?:\.\.(\d{1,18}))?", text, re.ASCII)
        if matched is None:
            raise BadInput(
                f"--profile is {shown(text)}; give its first and last step, as --profile=101..116, or one step."
            )
        first, last = int(matched[1]), int(matched[2] or matched[1])
        if first > last:
            raise BadInput(f"--profile is {shown(text)}, which ends before it begins; write --profile={last}..{first}.")
        if first == 0:
            raise BadInput(f"--profile is {shown(text)}, but the first step is 1; profile from a later step.")
        return cls(first, last)

    def check(self, total_steps: int) -> None:
        """Raise BadInput if the training ends before the last of the steps."""
        if self.last > total_steps:
            raise BadInput(
                f"--profile ends at step {self.last}, but the training at step {total_steps}; profile earlier steps or "
                "raise config.train.total_images."
            )

    def check_resumed(self, start: int) -> None:
        """Raise BadInput if a run that goes on after step `start` has the first of the steps behind it."""
        if self.first <= start:
            raise BadInput(
                f"--profile begins at step {self.first}, but the run goes on from step {start + 1}; profile from there "
                "on, or leave it out."
            )


class Profile:
    """Traces the steps asked for, and tells their dearest operations; does nothing if none are asked for.

    Use it as a context manager around the loop, and call `before` and `after` at each step. Every process writes the
    trace of its devices; the first one tells.

    Args:
        steps: the steps, or None.
        run_dir: the run directory; the trace is written to its folder `profile`.
        tell: prints a text.
    """

    def __init__(self, steps: ProfiledSteps | None, run_dir: Path, tell: Callable[[str], None]):
        self._steps = steps
        self._folder = run_dir / PROFILE_FOLDER
        # JAX writes traces on this machine only.
        self._local = Path(tempfile.mkdtemp()) if steps is not None and places.is_remote(run_dir) else None
        self._tell = tell
        self._began: float | None = None

    def before(self, step: int, state: Any) -> None:
        """Begin the trace if this is its first step.

        Args:
            step: the number that the step will have when it is done.
            state: the state before it.
        """
        if self._steps is None or step != self._steps.first:
            return
        # Steps are queued on the devices: those before are not to be in the trace.
        jax.block_until_ready(state)
        options = jax.profiler.ProfileOptions()
        options.session_id = self._session
        # Calls of Python functions would make the trace large and the steps slow.
        options.python_tracer_level = 0
        try:
            jax.profiler.start_trace(self._local or self._folder, profiler_options=options)
        except RuntimeError as problem:
            self._tell(
                f"The trace of {self._steps} cannot begin ({first_line(problem)}); the training goes on without it."
            )
        else:
            self._began = time.perf_counter()

    def ends(self, step: int) -> bool:
        """Whether the trace ends with this step."""
        return self._steps is not None and step == self._steps.last

    def after(self, step: int, state: Any) -> None:
        """End the trace if this is its last step, and tell the dearest operations; arguments as of `before`."""
        if self._steps is None or self._began is None or not self.ends(step):
            return
        jax.block_until_ready(state)
        seconds = time.perf_counter() - self._began
        if self._stop() and jax.process_index() == 0:
            self._tell(self._report(self._steps, seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._began is not None and self._stop():
            self._tell(
                f"The training stopped before the end of {self._steps}; {self._folder} has the trace until then."
            )
        if self._local is not None:
            shutil.rmtree(self._local, ignore_errors=True)

    def _stop(self) -> bool:
        """Write the trace; whether that could be done."""
        self._began = None
        try:
            jax.profiler.stop_trace()
        except RuntimeError as problem:
            self._tell(f"The trace of {self._steps} cannot be written to {self._folder} ({first_line(problem)}).")
            return False
        if self._local is not None:
            places.upload(self._local, self._folder)
        return True

    @property
    def _session(self) -> str:
        # JAX names files by host, and a host may have several processes.
        process = jax.process_index()
        return str(self._steps).replace(" ", "_") + (f"_process_{process}" if process else "")

    def _report(self, steps: ProfiledSteps, seconds: float) -> str:
        heading = f"Profile of {steps}, in {self._folder}"
        folder = (self._local or self._folder) / "plugins" / "profile" / self._session
        try:
            # Another may be there from an earlier run on another host.
            newest = max(folder.glob("*.xplane.pb"), key=lambda path: path.stat().st_mtime)
            operations = read_operations(newest.read_bytes())
        except (IndexError, KeyError, OSError, RuntimeError, ValueError) as problem:
            return (
                f"{heading}: its operations cannot be read ({first_line(problem)}); TensorBoard or Perfetto may open"
                " it."
            )
        if not operations:
            return f"{heading}: it has no operations that can be listed; TensorBoard or Perfetto may open it."
        return f"{heading}: {dearest(operations, steps.count, seconds)}"


def dearest(operations: Sequence[Operation], steps: int, seconds: float) -> str:
    """A table of the operations that took most of the time, and what all took together.

    Args:
        operations: at least one, the dearest first.
        steps: number of steps in which they took their times.
        seconds: duration of these steps.
    """
    total = sum(operation.own_ns for operation in operations)
    lines = [
        f"{1e3 * seconds / steps:.1f} ms a step, operations {1e-6 * total / steps:.1f} ms",
        f"{'':>2} {'ms/step':>9} {'share':>6} {'calls/step':>10}  {'operation':<32} layer",
    ]
    for rank, operation in enumerate(operations[:SHOWN], start=1):
        lines.append(
            f"{rank:>2} {1e-6 * operation.own_ns / steps:>9.3f} {operation.own_ns / total:>6.1%} "
            f"{operation.calls / steps:>10.4g}  {operation.name:<32} {_shortened(operation.layer)}".rstrip()
        )
    return "\n".join(lines)


def _shortened(layer: str) -> str:
    """A place without its middle if it is long."""
    if len(layer) <= _LAYER_WIDTH:
        return layer
    return f"{layer[:_LAYER_FRONT]}…{layer[1 + _LAYER_FRONT - _LAYER_WIDTH :]}"
