"""The command line as its users run it: recordings in, a trained run, sounds out.

Each verb runs once in a process of its own, and again in this one, which has imported everything.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image
from quick_compilation import quick_flags
from verbs import verb_alone

from drumgan_jax import cli
from drumgan_jax.cli import VERBS

CONFIG = "splice_loops:tiny"
# Narrow and few: the same code, and seconds to compile.
SMALLER = [
    "--config.generator.base=(16,16)",
    "--config.discriminator.base=(16,16)",
    "--config.generator.channel_max=8",
    "--config.generator.mapping_layers=2",
    "--config.discriminator.channel_max=8",
    "--config.train.batch_size=8",
    "--config.train.total_images=48",
    "--config.logging.every=2",
    "--config.logging.samples_every=6",
    "--config.logging.num_samples=4",
    "--config.checkpoint.every=3",
    "--config.evaluation.every=3",
    "--config.evaluation.num_samples=32",
    "--config.evaluation.metrics=('fid:log_mel',)",
]


# How anything is compiled changes nothing that is asked here. And TFDS asks protobuf for a field's label when it reads
# what it wrote.
pytestmark = [
    pytest.mark.usefixtures("unoptimized"),
    pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning"),
]
REPOSITORY = Path(__file__).resolve().parent.parent


def process(*arguments: str | Path, status: int = 0) -> str:
    """Run the command in the repository, as a process; returns what it says, and asserts its exit status."""
    command = [sys.executable, "-m", "drumgan_jax.cli", *map(str, arguments)]
    environment = {**os.environ, "XLA_FLAGS": quick_flags(4)}
    run = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, env=environment)
    assert run.returncode == status, run.stderr[-3000:]
    return run.stdout if status == 0 else run.stderr


def drumgan(verb: str, *arguments: str | Path, status: int = 0, **environment: str) -> str:
    """The same without a process, which takes seconds to start, nor TensorBoard, which does too."""
    printed, said = io.StringIO(), io.StringIO()
    with (
        verb_alone(verb),
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(said),
    ):
        patch.chdir(REPOSITORY)
        patch.setattr(sys, "argv", ["drumgan", verb, *map(str, arguments)])
        patch.setitem(sys.modules, "clu", None)
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        else:
            code = 0
    assert code == status, said.getvalue()[-3000:]
    return (printed if status == 0 else said).getvalue()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data")
    printed = process("prepare", f"--config={CONFIG}", "--audio=synthetic:drums?count=40", f"--data_dir={out}")
    assert "40" in printed
    return out


@pytest.fixture(scope="module")
def run(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    workdir = tmp_path_factory.mktemp("runs") / "a run"
    process("train", f"--config={CONFIG}", f"--config.data.dir={data}", f"--workdir={workdir}", *SMALLER)
    return workdir


def test_a_run_directory_holds_what_the_readme_says(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    assert config["generator"]["channel_max"] == 8
    assert config["representation"]["mean"] is not None
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss/generator" in line][-1] == 6
    assert any("evaluation/fid/log_mel" in line for line in lines)
    assert {path.name for path in (run / "checkpoints").iterdir() if path.name.isdecimal()} >= {"3", "6"}
    assert list((run / "samples").rglob("*.png"))


def test_generate_makes_sounds_and_makes_them_again(run: Path, tmp_path: Path) -> None:
    process("generate", f"--run={run}", f"--out={tmp_path / 'a'}", "--count=3", "--seed=5", "--truncation=0.7")
    drumgan("generate", f"--run={run}", f"--out={tmp_path / 'b'}", f"--latents={tmp_path / 'a' / 'latents.json'}")
    latents = json.loads((tmp_path / "a" / "latents.json").read_text())
    assert [sound["seed"] for sound in latents["sounds"]] == [5, 6, 7]
    with Image.open(tmp_path / "a" / "grid.png") as grid:
        assert grid.size[0] > 100
    for sound in latents["sounds"]:
        (first, rate), (again, _) = (soundfile.read(tmp_path / folder / sound["file"]) for folder in "ab")
        assert rate == 8000
        assert len(first) == 63 * 64
        assert np.abs(first).max() > 0
        np.testing.assert_array_equal(first, again)


def test_evaluate_writes_figures_and_compare_sets_them_side_by_side(run: Path, tmp_path: Path) -> None:
    cached = {"DRUMGAN_CACHE": str(tmp_path / "cache")}
    out = tmp_path / "out" / "report.json"
    arguments = [f"--run={run}", "--metrics=fid:log_mel,kid,is", "--samples=24", f"--out={out}"]
    printed = drumgan("evaluate", *arguments, **cached)
    assert "kid/drums" in printed
    assert "subsets of" in printed
    report = json.loads((run / "evaluations" / "step_00000006.json").read_text())
    assert {"fid/log_mel", "kid/drums", "is/drums"} <= set(report["figures"])
    assert report["figures"]["is/drums"]["samples"] == 24
    assert json.loads(out.read_text())["figures"]["is/drums"] == report["figures"]["is/drums"]
    assert list((tmp_path / "cache" / "references").glob("drums-*.npz"))
    plot, points = tmp_path / "plot.png", tmp_path / "points.csv"
    table = process("compare", run, "--figures=fid/log_mel,kid/drums", f"--plot={plot}", f"--csv={points}")
    assert "a run" in table
    assert len(points.read_text().splitlines()) == 1 + 3 + 1
    with Image.open(plot) as picture:
        assert picture.size[0] > 1000
    best = drumgan("generate", f"--run={run}", f"--out={tmp_path / 'best'}", "--count=1", "--step=best")
    assert "1 sounds" in best


def test_a_run_is_measured_against_statistics(run: Path, tmp_path: Path) -> None:
    folder, statistics, out = tmp_path / "noises", tmp_path / "noises.npz", tmp_path / "out.json"
    folder.mkdir()
    for seed in range(4):
        soundfile.write(folder / f"{seed}.wav", 0.1 * np.random.default_rng(seed).standard_normal(8000), 8000)
    drumgan("evaluate", f"--wavs={folder}", "--metrics=fid:log_mel", f"--save_statistics={statistics}")
    arguments = [f"--run={run}", "--metrics=fid:log_mel", "--samples=8", f"--out={out}"]
    drumgan("evaluate", *arguments, f"--reference={statistics}")
    figure = json.loads(out.read_text())["figures"]["fid/log_mel"]
    assert (figure["samples"], figure["reference_samples"]) == (8, 4)
    assert (figure["data"], figure["split"]) == (str(statistics), None)
    said = drumgan("evaluate", *arguments, f"--reference={folder}", status=2)
    assert "is a folder, and a run is measured against statistics" in one_sentence(said)


def test_evaluate_compares_folders_and_pairs(tmp_path: Path) -> None:
    for seed, folder in enumerate(("reference", "wavs")):
        (tmp_path / folder).mkdir()
        for item in range(6):
            rng = np.random.default_rng(10 * seed + item)
            sound = 0.3 * rng.standard_normal(9000) * np.exp(-np.arange(9000) / (500 + 300 * item))
            soundfile.write(tmp_path / folder / f"{item}.wav", sound, 16000)
    (tmp_path / "wavs" / "broken.wav").write_bytes(b"RIFF")
    sides = [f"--wavs={tmp_path / 'wavs'}", f"--reference={tmp_path / 'reference'}"]
    out = tmp_path / "out.json"
    printed = process("evaluate", *sides, "--metrics=fid:log_mel", f"--out={out}")
    assert "1 of 7 files" in printed
    assert "resampled to 22050 Hz: 6 at 16000 Hz" in printed
    assert json.loads(out.read_text())["figures"]["fid/log_mel"]["samples"] == 6
    said = drumgan("evaluate", *sides, "--metrics=fid:log_mel", "--strict", status=2)
    assert "1 files were left out" in one_sentence(said)
    printed = drumgan("evaluate", *sides, "--metrics=reconstruction", f"--out={out}")
    assert "peaq_odg" in printed
    assert len(json.loads(out.read_text())["files"]) == 6


def test_real_recordings_go_the_same_way(recordings: Path, run: Path, tmp_path: Path) -> None:
    folder = recordings / "drums" / "one_shots" / "tidalcycles-uzu-drumkit"
    if not folder.is_dir():
        folder = sorted((recordings / "drums" / "one_shots").iterdir())[0]
    drumgan("prepare", f"--config={CONFIG}", f"--audio={folder}", f"--data_dir={tmp_path / 'data'}")
    report = json.loads(next((tmp_path / "data").rglob("report.json")).read_text())
    assert report
    workdir = tmp_path / "run"
    place = [f"--config.data.dir={tmp_path / 'data'}", f"--workdir={workdir}"]
    drumgan("train", f"--config={CONFIG}", *place, *SMALLER, "--config.evaluation.every=0")
    drumgan("generate", f"--run={workdir}", f"--out={tmp_path / 'out'}", "--count=2", "--format=flac")
    assert len(list((tmp_path / "out").glob("*.flac"))) == 2


def one_sentence(said: str) -> str:
    """The last line on stderr: the sentence; asserts that no traceback came with it."""
    assert "Traceback" not in said
    line = said.strip().splitlines()[-1]
    assert line.startswith("drumgan ")
    return line


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("--config.train.batch_size=many", "train.batch_size"),
        ("--config.train.batch_sise=4", "batch_sise"),
        ("--config.train.batch_size=0", "train.batch_size"),
        ("--config.generator.kind=cubist", "stylegan2"),
        ("--config.objective.r1_gamma=-1.0", "r1_gamma"),
        ("--config.train.compute_dtype=float8", "bfloat16"),
    ],
)
def test_a_wrong_config_value_is_one_sentence(data: Path, tmp_path: Path, override: str, expected: str) -> None:
    workdir = tmp_path / "run"
    said = drumgan(
        "train", f"--config={CONFIG}", f"--config.data.dir={data}", f"--workdir={workdir}", override, status=2
    )
    assert expected in one_sentence(said)
    assert not (workdir / "checkpoints").exists()


def test_other_wrong_calls_are_one_sentence(run: Path, data: Path, tmp_path: Path) -> None:
    config, out = f"--config={CONFIG}", f"--out={tmp_path / 'out'}"
    other = drumgan(
        "train", config, f"--config.data.dir={data}", f"--workdir={run}", "--config.seed=7", *SMALLER, status=2
    )
    assert "seed" in one_sentence(other)
    electro = ["--config=configs/electrogan.py:tiny", f"--config.data.dir={data}", f"--workdir={tmp_path / 'e'}"]
    assert "representation" in one_sentence(drumgan("train", *electro, status=2))
    nothing = drumgan("train", config, f"--config.data.dir={tmp_path}", f"--workdir={tmp_path / 'n'}", status=2)
    assert "drumgan prepare" in one_sentence(nothing)
    assert "config.json" in one_sentence(process("generate", f"--run={tmp_path}", out, status=2))
    assert "kazoo" in one_sentence(drumgan("generate", f"--run={run}", out, "--label=kazoo", status=2))
    assert "99" in one_sentence(drumgan("generate", f"--run={run}", out, "--step=99", status=2))
    assert "give either --run, or" in one_sentence(drumgan("evaluate", f"--run={run}", "--wavs=x", status=2))
    assert "no metric 'fidd'" in one_sentence(drumgan("evaluate", f"--run={run}", "--metrics=fidd", status=2))
    shutil.copytree(data, tmp_path / "other")
    described = next((tmp_path / "other").rglob("representation.json"))
    described.write_text(json.dumps({**json.loads(described.read_text()), "hop_length": 32}))
    said = drumgan("evaluate", f"--run={run}", f"--data={tmp_path / 'other'}", status=2)
    assert "audio is of shape [4032], and representation.json says [2016]" in one_sentence(said)
    assert "no run directory was given" in one_sentence(drumgan("compare", tmp_path, status=2))
    for name in ("configs/splice_loops.py:huge", "configs/nothing.py"):
        said = one_sentence(drumgan("train", f"--config={name}", f"--workdir={tmp_path / 'h'}", status=2))
        assert "variant" in said or "there is no config file" in said
    assert "verb" in process("dance", status=1)
    assert not (tmp_path / "out").exists()


def test_help_lists_verbs_and_a_verbs_flags() -> None:
    overview = process("--help")
    assert all(verb in overview for verb in VERBS)
    assert "--truncation" in process("generate", "--help")
