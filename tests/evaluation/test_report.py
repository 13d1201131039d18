"""Reports as files and as tables."""

from pathlib import Path

import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.names import is_higher_better
from drumgan_jax.evaluation.report import figures_table, read_reports, save_json, write_report

FIGURE = {
    "value": 12.3456,
    "low": 11.0,
    "high": 14.0,
    "samples": 10000,
    "reference_samples": 705,
    "weights": "0123456789abcdef",
}


def test_figures_of_one_step_are_kept_together(tmp_path: Path) -> None:
    write_report(tmp_path, 20, {"figures": {"fid/a": {"value": 1.0}, "kid/a": {"value": 2.0}}, "warnings": ["x"]})
    write_report(tmp_path, 20, {"figures": {"fid/a": {"value": 3.0}}, "warnings": []})
    write_report(tmp_path, 5, {"accuracy": 0.5})
    (tmp_path / "evaluations" / "step_00000007.json").write_text("{")
    assert read_reports(tmp_path) == {
        5: {"step": 5, "accuracy": 0.5},
        20: {"step": 20, "figures": {"fid/a": {"value": 3.0}, "kid/a": {"value": 2.0}}, "warnings": []},
    }


def test_table_has_value_interval_samples_and_weights() -> None:
    header, _, line = figures_table({"fid/drums": FIGURE}).splitlines()
    assert header.split("  ")[0] == "figure"
    assert line.split() == ["fid/drums", "12.35", "11", "..", "14", "10,000", "705", "01234567"]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"file/x\.json cannot be written"):
        save_json(tmp_path / "file" / "x.json", {})


def test_more_is_better_of_some() -> None:
    assert [is_higher_better(name) for name in ("is/drums", "coverage/vgg16", "fid/drums", "loss")] == [
        True,
        True,
        False,
        False,
    ]
