"""What a sweep has done so far: `sweep.json` in its folder, which may be in a bucket."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from drumgan_jax.core import places
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.core.places import NotReached
from drumgan_jax.launch.sweeps.trials import Trial

NAME = "sweep.json"
COMPLETE, STOPPED, FAILED, RUNNING = "complete", "stopped", "failed", "running"


@dataclasses.dataclass
class Ledger:
    """The jobs of a sweep; whoever writes it holds the folder.

    Attributes:
        folder: of the sweep.
        trials: by name: digest, and by its images the jobs of each rung, with status, hours and what it told last.
    """

    folder: Path
    of: Mapping[str, Any]
    trials: dict[str, dict[str, Any]]

    @classmethod
    def open(cls, folder: Path, of: Mapping[str, Any]) -> "Ledger":
        """The ledger of a folder, which is that of this sweep or empty.

        Args:
            folder: of the sweep.
            of: what the sweep is of; sweeps of the same go on.

        Raises:
            BadInput: it is damaged, or another sweep's.
        """
        there = read(folder)
        if there and (other := differences(there["of"], of)):
            raise BadInput(
                f"{folder} holds another sweep, which differs in {', '.join(other)}; give another --workdir."
            )
        return cls(folder, of, there.get("trials", {}))

    def is_begun(self, trial: Trial, images: int) -> bool:
        """Whether a job of a trial was started, and has neither ended well nor failed."""
        return self._jobs(trial).get(str(images or trial.images), {}).get("status") in (RUNNING, STOPPED)

    def is_complete(self, trial: Trial, images: int) -> bool:
        """Whether a trial has ended well at so many images (0: its own end), or beyond; its run must still be there."""
        jobs = self._jobs(trial)
        done = [int(at) for at, job in jobs.items() if job["status"] == COMPLETE]
        return max(done, default=-1) >= (images or trial.images) and (self.folder / trial.result).is_file()

    def note(self, trial: Trial, images: int, status: str, hours: float, told: str = "") -> None:
        """Set how a job of a trial is, and add the hours that it has taken since the last note; saves."""
        if self.trials.get(trial.name, {}).get("digest") != trial.digest:
            self.trials[trial.name] = {"digest": trial.digest, "varied": dict(trial.varied), "jobs": {}}
        job = self.trials[trial.name]["jobs"].setdefault(str(images or trial.images), {"starts": 0, "hours": 0.0})
        # One that goes on is not counted again.
        job["starts"] += status == RUNNING and job.get("status") not in (RUNNING, STOPPED)
        job.update(status=status, hours=job["hours"] + hours, told=told)
        self.save()

    def save(self) -> None:
        """Write the file."""
        places.make(self.folder)
        with replacing(self.folder / NAME) as path:
            path.write_text(json.dumps({"of": self.of, "trials": self.trials}, indent=1) + "\n")

    @property
    def hours(self) -> float:
        """Hours of all jobs together."""
        return sum(job["hours"] for job in self._all())

    @property
    def starts(self) -> int:
        """How many jobs were started."""
        return sum(job["starts"] for job in self._all())

    def status_of(self, trial: Trial) -> tuple[str, str]:
        """Status of a trial's furthest job, and what it told last; empty before the first."""
        jobs = self._jobs(trial)
        last = jobs[max(jobs, key=int)] if jobs else {"status": "", "told": ""}
        return last["status"], last["told"]

    def _jobs(self, trial: Trial) -> dict[str, Any]:
        known = self.trials.get(trial.name, {})
        return known["jobs"] if known.get("digest") == trial.digest else {}

    def _all(self) -> Iterator[dict[str, Any]]:
        return (job for known in self.trials.values() for job in known["jobs"].values())


def read(folder: Path) -> dict[str, Any]:
    """What the file of a folder says; empty without one.

    Raises:
        BadInput: it is damaged.
    """
    path = folder / NAME
    try:
        there = json.loads(path.read_text()) if path.exists() else {}
        if there != {}:
            _check(there)
        return there
    except NotReached:
        raise
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as problem:
        raise BadInput(
            f"{path} is damaged ({first_line(problem)}); delete it: finished runs will end at once."
        ) from problem


def _check(there: Any) -> None:
    """Raise an error if the file's content is not as `save` writes it."""
    dict(there["of"].items())
    for known in there["trials"].values():
        str(known["digest"])
        for images, job in known["jobs"].items():
            # Their types are seen where they are added up.
            int(images), job["starts"] + 0, job["hours"] + 0.0, str(job["status"]), str(job["told"])


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What two sweeps are of that is not the same, by name."""
    first, second = (json.loads(json.dumps(dict(each))) for each in (one, other))
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))
