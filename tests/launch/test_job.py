"""Jobs: what they are made of, what is refused, and those that run on this machine."""

import sys
from pathlib import Path
from typing import Any

import pytest
from verbs import drumgan

from drumgan_jax.core.errors import BadInput
from drumgan_jax.launch import local
from drumgan_jax.launch.job import Job


def job_of(**settings: Any) -> Job:
    return Job(**{"name": "loops", "config": "splice_loops:tiny", "workdir": "run", **settings})


def test_what_each_host_runs() -> None:
    job = job_of(data="data", overrides=("--config.seed=3",))
    assert job.command == [
        "drumgan",
        "train",
        "--config=splice_loops:tiny",
        "--workdir=run",
        "--config.data.dir=data",
        "--config.seed=3",
    ]
    measured = job_of(verb="evaluate", config="", data="data", overrides=("--metrics=fid:drums",))
    assert measured.command == ["drumgan", "evaluate", "--run=run", "--data=data", "--metrics=fid:drums"]
    assert job_of(chips="2xv5e:16x16").hosts == 128
    assert job_of(chips="h100:4x8").hosts == 4


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"name": "Loops"}, r"the job's name is 'Loops'; it has up to 40 small letters"),
        ({"name": "l" * 41}, r"it has up to 40"),
        ({"name": "loops-"}, r"it has up to 40"),
        ({"verb": "generate"}, r"the verb 'generate' is not launched; train, fit, evaluate are"),
        ({"config": ""}, r"a job needs a config and a workdir"),
        ({"workdir": ""}, r"a job needs a config and a workdir"),
        ({"hosts": 0}, r"hosts=0 and hours=0.0"),
        ({"hours": float("nan")}, r"hours=nan"),
        ({"environment": {"A B": "c"}}, r"'A B' is no name of a variable"),
        ({"overrides": ("--rm",)}, r"'--rm' is no override; write --config.section.field=value"),
        ({"verb": "fit", "hosts": 2}, r"fit runs on one host, and 2 were asked for"),
        ({"chips": "v9:2x2"}, r"there is no chip 'v9'"),
    ],
)
def test_what_is_no_job(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(BadInput, match=match):
        job_of(**settings)


def test_processes_here_are_started_again_while_they_ask_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt leaves a line; the first process asks to be run again twice."""
    code = "import os, sys; p = os.environ['JAX_PROCESS_ID']; open(sys.argv[1], 'a').write(p)"
    code += "; n = open(sys.argv[1]).read(); sys.exit(75 if p == '0' and n.count('0') < 3 else 0)"

    def rendered(job: Job, port: int) -> list[tuple[list[str], dict[str, str]]]:
        return [([sys.executable, "-c", code, str(tmp_path / "log")], places) for _, places in render(job, port)]

    render = local.render
    monkeypatch.setattr(local, "render", rendered)
    said: list[str] = []
    assert local.run(job_of(hosts=2), 5, said.append) == 0
    assert said == [f"loops: 2 processes, attempt {number}" for number in (1, 2, 3)]
    (tmp_path / "log").unlink()
    assert local.run(job_of(hosts=2), 1, said.append) == 75


def test_dry_runs_say_everything_and_do_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    flags = ["--name=loops", "--config=splice_loops:tiny", "--dry_run", "--config.seed=3"]
    said = drumgan("launch", "--backend=local", "--workdir=run", "--hosts=2", "--env=A=b", *flags)
    assert said.count("train --config=splice_loops:tiny --workdir=run --config.seed=3") == 2
    assert "JAX_PROCESS_ID=1" in said
    said = drumgan("launch", "--backend=slurm", "--workdir=run", "--hosts=2", "--hours=1.5", *flags)
    assert "#SBATCH --time=90\n" in said
    assert "$ sbatch '{folder}/job.sbatch'" in said
    pods = ["--workdir=gs://b/run", "--chips=v5e:16x16", "--image=i"]
    said = drumgan("launch", "--backend=kubernetes", *pods, *flags, "--config.train.batch_size=256")
    assert "kind: JobSet" in said
    assert not list(tmp_path.iterdir())
    wrong = ["--name=loops", "--config=splice_loops:tiny", "--workdir=run", "--config.train.batch_size=0", "--dry_run"]
    assert "train.batch_size" in drumgan("launch", "--backend=local", *wrong, status=2)
    odd = [*pods, "--name=loops", "--config=splice_loops:tiny", "--config.train.batch_size=100"]
    assert "use a multiple of 256" in drumgan("launch", "--backend=kubernetes", *odd, status=2)
