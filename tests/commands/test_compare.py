"""Runs set beside each other."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest

from drumgan_jax.commands import compare, comparison, curves
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.report import write_report


def write_run(folder: Path, values: dict[int, float], figure: str = "fid/log_mel", **config: Any) -> Path:
    """A run of 16 images a step and 0.01 hours every ten steps."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"train": {"batch_size": 16}, **config}))
    lines = []
    for step, value in values.items():
        lines.append({"step": step, "loss/generator": 1.0, "time/hours": step / 1000})
        lines.append({"step": step, f"evaluation/{figure}": value})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> list[curves.Run]:
    one = write_run(tmp_path / "one", {0: 100.0, 10: 20.0, 20: float("nan"), 30: 30.0})
    other = write_run(tmp_path / "other", {0: 90.0, 10: 50.0})
    figures = {"coverage/drums": {"value": 0.5}, "fid/log_mel": {"value": 19.0, "truncation": 1.0}}
    write_report(other, 10, {"figures": figures})
    (tmp_path / "no run").mkdir()
    return curves.read_runs([one, other, tmp_path / "no run"])


def test_the_table_has_the_best_and_where_it_was(runs: list[curves.Run]) -> None:
    assert comparison.figures_of(runs, []) == ["coverage/drums", "fid/log_mel", "fid/log_mel (evaluate)"]
    header, _, one, other = comparison.comparison(runs, ["coverage/drums", "fid/log_mel"]).splitlines()
    assert header.split() == ["run", "kimg", "hours", "coverage/drums", "@", "kimg", "fid/log_mel", "@", "kimg"]
    assert one.split() == ["one", "0.48", "0.03", "20", "@", "0.16"]
    assert other.split() == ["other", "0.16", "0.01", "0.5", "@", "0.16", "50", "@", "0.16"]


def test_what_evaluate_measured_stands_apart_and_other_conditions_are_told(tmp_path: Path) -> None:
    one, other = (write_run(tmp_path / name, {10: 20.0}) for name in ("one", "other"))
    for run, samples in ((one, 100), (other, 1000)):
        figure = {"value": 1.0, "weights": "a", "samples": samples, "truncation": 1.0}
        write_report(run, 10, {"figures": {"fid/log_mel": figure}})
    runs = curves.read_runs([one, other])
    assert [point.value for point in runs[0].curves["fid/log_mel"]] == [20.0]
    assert [point.value for point in runs[0].curves["fid/log_mel (evaluate)"]] == [1.0]
    (note,) = comparison.notes_on(runs, ["fid/log_mel", "fid/log_mel (evaluate)"])
    assert note == "the points of fid/log_mel (evaluate) are not comparable: they differ in samples 100, 1000."


def test_files_that_cannot_be_written(runs: list[curves.Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/plot\.png cannot be written"):
        comparison.save_plot(tmp_path / "file" / "plot.png", runs, ["fid/log_mel"])
    with pytest.raises(BadInput, match=r"plot\.foo cannot be written .*Format 'foo' is not supported"):
        comparison.save_plot(tmp_path / "plot.foo", runs, ["fid/log_mel"])


def test_points_have_images_and_hours(runs: list[curves.Run], tmp_path: Path) -> None:
    comparison.save_points(tmp_path / "points.csv", runs, ["fid/log_mel"])
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
    run = curves.read_run(write_run(tmp_path / "a", {0: 0.1, 10: 0.9, 20: 0.4}, "coverage/drums"))
    assert curves.best_point(run, "coverage/drums").step == 10
    assert curves.best_point(run, "fid/log_mel") is None


@pytest.fixture
def seeds(tmp_path: Path) -> list[curves.Run]:
    """Two systems with three and two seeds; the last run was stopped at 320 images."""
    values = {
        "small-pj-seed0": {0: 100.0, 10: 20.0, 20: 10.0},
        "small-pj-seed1": {0: 110.0, 10: 23.0, 20: 11.0},
        "small-pj-seed2": {0: 120.0, 10: 29.0, 20: 15.0},
        "base-10": {10: 90.0, 20: 80.0, 30: 70.0},
        "base-11": {10: 92.0, 20: 84.0},
    }
    return curves.read_runs(
        [
            write_run(tmp_path / name, of_run, seed=int(name[-1]), generator={"kind": name[:2]}, data={"dir": name})
            for name, of_run in values.items()
        ]
    )


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def test_runs_of_one_config_and_several_seeds_are_one_line(seeds: list[curves.Run], tmp_path: Path) -> None:
    _, _, projected, base = comparison.comparison(seeds, ["fid/log_mel"]).splitlines()
    assert cells(projected) == ["small-pj (3 seeds)", "0.32", "0.02", "12 [10, 15] @ 0.32"]
    assert cells(base) == ["base (2 seeds)", "0.4", "0.025", "77 [70, 84] @ 0.4"]
    group, other = curves.groups_of(seeds)
    curve = curves.curve_of(group, "fid/log_mel")
    assert [(point.mean, point.low, point.high, point.images) for point in curve] == [
        (110.0, 100.0, 120.0, 0.0),
        (24.0, 20.0, 29.0, 160.0),
        (12.0, 10.0, 15.0, 320.0),
    ]
    # To where all seeds were evaluated.
    assert [(point.mean, point.hours) for point in curves.curve_of(other, "fid/log_mel")] == [
        (91.0, 0.01),
        (82.0, 0.02),
    ]
    comparison.save_plot(tmp_path / "seeds.png", seeds, ["fid/log_mel"])
    assert (tmp_path / "seeds.png").stat().st_size > 10_000


def test_runs_that_differ_in_more_or_have_the_same_seed_are_apart(tmp_path: Path) -> None:
    settings = {
        "a-0": {"seed": 0},
        "a-1": {"seed": 1, "generator": {"width": 3}},
        "b-0": {"seed": 0, "generator": {"x": 1}},
        "b-1": {"seed": 0, "generator": {"x": 1}},
    }
    runs = [curves.read_run(write_run(tmp_path / name, {10: 1.0}, **config)) for name, config in settings.items()]
    assert [group.label for group in curves.groups_of(runs)] == ["a-0", "a-1", "b-0", "b-1"]


def test_where_seeds_come_twice_the_rest_of_the_config_decides(tmp_path: Path) -> None:
    runs = [
        curves.read_run(write_run(tmp_path / f"{name}-{seed}", {10: 1.0}, seed=seed, data={"dir": name}))
        for name in ("kicks", "snares")
        for seed in (0, 1)
    ]
    assert [group.label for group in curves.groups_of(runs)] == ["kicks (2 seeds)", "snares (2 seeds)"]


def test_groups_whose_names_begin_alike_are_called_by_all_of_their_names(tmp_path: Path) -> None:
    runs = [
        curves.read_run(
            write_run(tmp_path / f"run-{2 * width + seed}", {10: 1.0}, seed=seed, generator={"width": width})
        )
        for width in (1, 2)
        for seed in (0, 1)
    ]
    assert [group.label for group in curves.groups_of(runs)] == ["run-2+run-3 (2 seeds)", "run-4+run-5 (2 seeds)"]


def test_figures_at_equal_images_and_at_equal_time(seeds: list[curves.Run]) -> None:
    moments = [
        *compare.moments_of("at_kimg", "kimg", ["0", "0.3", "0.4"]),
        *compare.moments_of("at_hours", "h", ["0.02"]),
    ]
    header, _, projected, base = comparison.comparison_at(seeds, ["fid/log_mel"], moments).splitlines()
    assert cells(header) == ["figure: run", *(f"by {at}" for at in ("0 kimg", "0.3 kimg", "0.4 kimg", "0.02 h"))]
    assert cells(projected)[:2] == ["fid/log_mel: small-pj (3 seeds)", "110 [100, 120] @ 0"]
    assert cells(projected)[2:] == ["24 [20, 29] @ 0.16", "12 [10, 15] @ 0.32"]
    assert cells(base)[1:] == ["91 [90, 92] @ 0.16", "80 (1 of 2) @ 0.32", "82 [80, 84] @ 0.32"]
    notes = comparison.notes_at(seeds, ["fid/log_mel"], moments)
    assert "base-10 had no evaluation by 0 kimg of fid/log_mel." in notes
    assert "base-11 ended before 0.4 kimg, at 0.32 kimg and 0.02 h." in notes
    assert len(notes) == 2 + 4


def test_hours_are_those_of_training_where_they_were_measured(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {10: 2.0, 20: 1.0})
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        if "time/hours" in line:
            line["time/training_hours"] = line["time/hours"] / 2
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [point.hours for point in curves.read_run(run).curves["fid/log_mel"]] == [0.005, 0.01]
    assert curves.read_run(run).hours == 0.01


def test_moments_that_are_none() -> None:
    with pytest.raises(BadInput, match=r"--at_kimg has a value that is not a number .*'x'"):
        compare.moments_of("at_kimg", "kimg", ["1", "x"])
    with pytest.raises(BadInput, match="--at_hours has -1; give numbers of 0 or more"):
        compare.moments_of("at_hours", "h", ["-1"])


def test_nothing_to_compare(runs: list[curves.Run], tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no run directory was given"):
        curves.read_runs([tmp_path])
    (tmp_path / "config.json").write_text(json.dumps({"train": {"batch_size": 16}}))
    with pytest.raises(BadInput, match="none of these runs was evaluated"):
        curves.read_runs([tmp_path])
    with pytest.raises(BadInput, match="no run has the figure 'fid/x'; there are coverage/drums, fid/log_mel,"):
        comparison.figures_of(runs, ["fid/x"])


def complete(run: Path, *steps: int) -> None:
    """Checkpoints of these steps, complete and empty."""
    for step in steps:
        (run / "checkpoints" / str(step)).mkdir(parents=True)
        (run / "checkpoints" / str(step) / "_CHECKPOINT_METADATA").write_text("{}")


def test_milestones_of_a_run_stand_beside_each_other(tmp_path: Path) -> None:
    sections = {"train": {"batch_size": 16, "total_images": 640}, "checkpoint": {"milestones": [160, 470, 800]}}
    folder = write_run(tmp_path / "run", {10: 20.0, 20: 7.0, 30: 3.0, 40: 9.0}, **sections)
    complete(folder, 10, 30, 35, 40)
    runs = curves.read_runs([folder])
    text = comparison.comparison_of_steps(runs, ["fid/log_mel"], ["0.16kimg", "0.47kimg", "35", "last"])
    heading, _, row = (" ".join(line.split()) for line in text.splitlines())
    assert heading == "figure: run of 0.16kimg of 0.47kimg of 35 of last"
    assert row == "fid/log_mel: run 20 @ 0.16 3 @ 0.48 9 @ 0.64"
    (note,) = comparison.notes_of_steps(runs, ["fid/log_mel"], ["0.47kimg", "35"])
    assert note == f"run was not measured at 35; run drumgan evaluate --run={folder} --step=35."
    kept = r"has the milestones 0\.16kimg, 0\.47kimg and the steps 10, 30, 35, 40\."
    with pytest.raises(BadInput, match=rf"no checkpoint of 0\.8kimg \(step 50\); it {kept}"):
        comparison.comparison_of_steps(runs, ["fid/log_mel"], ["0.8kimg"])
