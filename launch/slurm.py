"""Jobs on Slurm: a batch script of plain text.

Each node runs one task, which finds the others by Slurm's own variables. Before the time is up, or when the job is to
make room, all tasks are told to save; status 75, which says that they did, puts the job into the queue again. So does a
node that is lost, by --requeue.

Not submitit's: at the time limit it ends all tasks but the first at once, and a checkpoint needs them all.
"""

import dataclasses
import shlex

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.launch.job import Job, Rendered

# Seconds before the limit at which the tasks are told: for a step, an evaluation and a checkpoint.
_BEFORE = 180
_SHORTEST = 0.25
# The states of a job that does not run again by itself, and whether it is to be run again.
_ENDED = {"COMPLETED": 0, "CANCELLED": 75, "TIMEOUT": 75, "DEADLINE": 75, "FAILED": 2, "OUT_OF_MEMORY": 2}


@dataclasses.dataclass(frozen=True)
class Slurm:
    """What a cluster needs to know besides.

    Attributes:
        partition: empty for the default one.
        account: empty for one's own.
        setup: lines of the script before the command, such as "source venv/bin/activate".
        options: of sbatch, such as "--cpus-per-task=8".
    """

    partition: str = ""
    account: str = ""
    setup: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def render(job: Job, cluster: Slurm) -> Rendered:
    """The batch script of a job, and what submits it.

    Raises:
        BadInput: an option or a line of the setup holds a line break, the chips are no cards, or the time is too short.
    """
    if odd := [one for one in (*cluster.options, *cluster.setup, cluster.partition, cluster.account) if "\n" in one]:
        raise BadInput(f"{shown(odd[0])} is more than one line.")
    if job.chips and job.topology.chip.platform != "cuda":
        raise BadInput(f"--chips={job.chips}: nodes of Slurm have cards, such as h100:2x8, or whatever they have.")
    if 0.0 < job.hours < _SHORTEST:
        raise BadInput(
            f"--hours={job.hours:g} leaves no time between the start and the save; give at least {_SHORTEST}."
        )
    # Those that have ended are known for some minutes; the last job of the name comes first.
    queued = ("squeue", "--me", f"--name={job.name}", "--noheader", "--states=all", "--sort=-i", "--format=%T")
    last = ("sh", "-c", f'told=$({shlex.join(queued)}) && echo "$told" | head -n 1')
    return Rendered(
        job.name,
        {"job.sbatch": _script(job, cluster)},
        ((("sinfo", "--noheader"), "the cluster does not answer"),),
        (("sbatch", "{folder}/job.sbatch"),),
        last,
        _ENDED,
        ("scancel", "--me", f"--name={job.name}"),
    )


def _script(job: Job, cluster: Slurm) -> str:
    options = [f"--job-name={job.name}", f"--nodes={job.hosts}", "--ntasks-per-node=1"]
    if job.chips:
        options += [f"--gpus-per-node={job.topology.chips // job.hosts}", "--exclusive", "--mem=0"]
    if job.hours:
        options.append(f"--time={max(1, round(60 * job.hours))}")
    options += [f"--partition={cluster.partition}"] if cluster.partition else []
    options += [f"--account={cluster.account}"] if cluster.account else []
    options += [
        "--requeue",
        "--open-mode=append",
        f"--output={job.name}-%j.log",
        f"--signal=B:TERM@{_BEFORE}",
        *cluster.options,
    ]
    exported = [f"export {name}={shlex.quote(value)}" for name, value in job.variables.items()]
    if job.chips:
        # JAX takes a task for one of several of its node, and would give it one card.
        cards = ",".join(map(str, range(job.topology.chips // job.hosts)))
        exported.append(f"export JAX_LOCAL_DEVICE_IDS={cards}")
    command = [*job.command, *(["--distributed"] if job.hosts > 1 else [])]
    return "\n".join(
        [
            "#!/bin/bash",
            *(f"#SBATCH {one}" for one in options),
            "",
            *cluster.setup,
            *exported,
            'export SRUN_CPUS_PER_TASK="${SLURM_CPUS_PER_TASK:-}"',
            '[ -n "$SRUN_CPUS_PER_TASK" ] || unset SRUN_CPUS_PER_TASK',
            "# srun tells the highest status only. The shell outlives a signal that is for its command.",
            f'told="{job.name}-$SLURM_JOB_ID.status"; rm -f "$told".*',
            'task=\'trap : TERM; "$@"; status=$?; echo $status > "$0.$SLURM_PROCID"; exit $status\'',
            f'srun --kill-on-bad-exit=0 --label bash -c "$task" "$told" {shlex.join(command)} &',
            "step=$!",
            "# Told before the limit; the tasks save and end with 75.",
            "trap 'scancel --signal=TERM \"$SLURM_JOB_ID.0\"' TERM",
            "wait $step; status=$?",
            "# A trap ends a wait before the step has ended, or hides how it did.",
            "while [ $status -gt 128 ]; do",
            "  before=$status; wait $step; status=$?",
            "  [ $status -eq $before ] && ! kill -0 $step 2>/dev/null && break",
            "done",
            "# 2: something is to be mended first. 75, or ended by a signal: it is to go on.",
            'grep -qsx 2 "$told".* && exit 2',
            "# One that was cancelled is not RUNNING any more.",
            'state=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T)',
            'grep -qsxE "75|137|143" "$told".* && [ "$state" = RUNNING ] && scontrol requeue "$SLURM_JOB_ID"',
            "exit $status",
            "",
        ]
    )
