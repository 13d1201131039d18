"""JSON files as they were written, edited, cut or damaged: an object, or a sentence that names file and key."""

import json
import os
from pathlib import Path

import pytest
from hostile_cases import in_time, mutated_text, no_sentence, sound_text

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.json_files import read_json

TREE = {"format": 2, "names": ["a", "\u00fc"], "part": {"rate": 0.5, "none": None}}


@pytest.mark.smoke
def test_an_object_is_read_however_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for _, content in sound_text(TREE):
        path.write_bytes(content)
        assert read_json(path, "restore it") == TREE


def test_what_is_no_object_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for name, content in mutated_text(TREE):
        path.write_bytes(content)
        if name.startswith("format") and json.loads(content)["format"] != float("inf"):
            assert read_json(path, "restore it")["names"] == TREE["names"]
            continue
        with in_time(), pytest.raises(BadInput) as problem:
            read_json(path, "restore it")
        assert not no_sentence(str(problem.value)), name
        assert str(problem.value).startswith(f"{path} is damaged ("), name
        assert str(problem.value).endswith("; restore it."), name


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"a": {"b": [1, NaN]}}', r"its a\.b\.1 is not finite"),
        ('{"a": -1e999}', "its a is not finite"),
        ('{"a": 1, "b": 2, "a": 3}', "it has 'a' twice"),
        ("[1]", "it holds a list, not an object"),
    ],
)
def test_the_key_is_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(BadInput, match=rf"a\.json is damaged \({told}\); restore it\.$"):
        read_json(path, "restore it")


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name, told in (
        ("pipe", "a named pipe"),
        ("zero", "a device"),
        (".", "a directory"),
        ("absent", "No such file or directory"),
    ):
        with in_time(), pytest.raises(BadInput, match=rf"{told}\); restore it\.$"):
            read_json(tmp_path / name, "restore it")
