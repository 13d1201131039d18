"""Runs set beside each other."""

import csv
import json
from pathlib import Path

import pytest

from drumgan_jax.commands import compare
from drumgan_jax.errors import BadInput
from drumgan_jax.evaluation.report import write_report


def write_run(folder: Path, values: dict[int, float], figure: str = "fid/log_mel") -> Path:
    """A run of 16 images a step and 0.01 hours every ten steps."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"train": {"batch_size": 16}}))
    lines = []
    for step, value in values.items():
        lines.append({"step": step, "loss/generator": 1.0, "time/hours": step / 1000})
        lines.append({"step": step, f"evaluation/{figure}": value})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[compare.Run]:
    one = write_run(tmp_path / "one", {0: 100.0, 10: 20.0, 20: float("nan"), 30: 30.0})
    other = write_run(tmp_path / "other", {0: 90.0, 10: 50.0})
    figures = {"coverage/drums": {"value": 0.5}, "fid/log_mel": {"value": 19.0, "truncation": 1.0}}
    write_report(other, 10, {"figures": figures})
    (tmp_path / "no run").mkdir()
    return compare.read_runs([one, other, tmp_path / "no run"])


def test_the_table_has_the_best_and_where_it_was(runs: list[compare.Run]) -> None:
    assert compare.figures_of(runs, []) == ["coverage/drums", "fid/log_mel", "fid/log_mel (evaluate)"]
    header, _, one, other = compare.comparison(runs, ["coverage/drums", "fid/log_mel"]).splitlines()
    assert header.split() == ["run", "kimg", "hours", "coverage/drums", "@", "kimg", "fid/log_mel", "@", "kimg"]
    assert one.split() == ["one", "0.48", "0.03", "20", "@", "0.16"]
    assert other.split() == ["other", "0.16", "0.01", "0.5", "@", "0.16", "50", "@", "0.16"]


def test_what_evaluate_measured_stands_apart_and_other_conditions_are_told(tmp_path: Path) -> None:
    one, other = (write_run(tmp_path / name, {10: 20.0}) for name in ("one", "other"))
    for run, samples in ((one, 100), (other, 1000)):
        figure = {"value": 1.0, "weights": "a", "samples": samples, "truncation": 1.0}
        write_report(run, 10, {"figures": {"fid/log_mel": figure}})
    runs = compare.read_runs([one, other])
    assert [point.value for point in runs[0].curves["fid/log_mel"]] == [20.0]
    assert [point.value for point in runs[0].curves["fid/log_mel (evaluate)"]] == [1.0]
    (note,) = compare.notes_on(runs, ["fid/log_mel", "fid/log_mel (evaluate)"])
    assert note == "the points of fid/log_mel (evaluate) are not comparable, for they differ in samples 100, 1000."


def test_files_that_cannot_be_written(runs: list[compare.Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/plot\.png cannot be written"):
        compare.save_plot(tmp_path / "file" / "plot.png", runs, ["fid/log_mel"])
    with pytest.raises(BadInput, match=r"plot\.foo cannot be written .*Format 'foo' is not supported"):
        compare.save_plot(tmp_path / "plot.foo", runs, ["fid/log_mel"])


def test_points_have_images_and_hours(runs: list[compare.Run], tmp_path: Path) -> None:
    compare.save_points(tmp_path / "points.csv", runs, ["fid/log_mel"])
    with open(tmp_path / "points.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {
        "run": "one",
        "figure": "fid/log_mel",
        "step": "10",
        "images": "160",
        "hours": "0.01",
        "value": "20.0",
    }
    assert len(rows) == 6


def test_more_is_better_of_coverage(tmp_path: Path) -> None:
    run = compare.read_run(write_run(tmp_path / "a", {0: 0.1, 10: 0.9, 20: 0.4}, "coverage/drums"))
    assert compare.best_point(run, "coverage/drums").step == 10
    assert compare.best_point(run, "fid/log_mel") is None


def test_nothing_to_compare(runs: list[compare.Run], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run directory was given"):
        compare.read_runs([tmp_path])
    (tmp_path / "config.json").write_text(json.dumps({"train": {"batch_size": 16}}))
    with pytest.raises(BadInput, match="none of these runs was evaluated"):
        compare.read_runs([tmp_path])
    with pytest.raises(BadInput, match="no run has the figure 'fid/x'; there are coverage/drums, fid/log_mel,"):
        compare.figures_of(runs, ["fid/x"])
