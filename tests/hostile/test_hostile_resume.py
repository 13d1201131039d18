"""Edited configs of a run that goes on: the run that was begun, told what is otherwise; or one sentence.

What was learned depends on some keys (the run's identity), how training goes on on others, and nothing that is kept on
the rest. Training is left where it would restore the state, so nothing is compiled.
"""

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_cases import (
    MISSING,
    SHARES,
    VALUES,
    alike,
    assert_none,
    changed,
    faults,
    keys_of,
    mutated_text,
    mutated_values,
    sound_text,
    value_at,
)
from ml_collections import ConfigDict
from training_cases import tiny_config, write_dataset
from verbs import State, drumgan

from drumgan_jax.core.errors import BadInput
from drumgan_jax.runs import identity
from drumgan_jax.runs.checkpoints import Checkpoints
from drumgan_jax.runs.config import CONFIG_NAME, read_config
from drumgan_jax.runs.identity import CHANGES, is_identity
from drumgan_jax.training import loop

STEP = 4


class Reached(BaseException):
    """Training has come to its state."""


class Halting(Checkpoints):
    """Checkpoints of which none is restored."""

    def restore(self, target: Any) -> Any:
        raise Reached


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A run with a checkpoint, which is only copied, and its command's config."""
    folder = tmp_path_factory.mktemp("begun")
    config = json.loads(json.dumps(tiny_config(write_dataset(folder / "data")).to_dict()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Checkpoints", Halting)
        with pytest.raises(Reached):
            loop.train(ConfigDict(config), folder / "run")
    checkpoints = Checkpoints(folder / "run", keep=1, metric="fid/log_mel")
    checkpoints.save(STEP, State({"params": {"a": 1.0}}))
    checkpoints.close()
    return folder / "run", config


@pytest.fixture
def run(begun: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    built: dict[str, Any] = {}
    build = loop.build_task

    def once(frozen: dict[str, Any], mesh: Any) -> Any:
        """Building takes most of the time, and a config always makes the same task."""
        key = json.dumps(without(frozen), sort_keys=True)
        if key not in built:
            built[key] = build(frozen, mesh)
        return built[key]

    monkeypatch.setattr(loop, "build_task", once)
    monkeypatch.setattr(loop, "Checkpoints", Halting)
    shutil.copytree(begun[0], tmp_path / "run")
    return tmp_path / "run"


def resumed(run: Path, config: Any) -> dict[str, Any]:
    """The config that a run goes on with."""
    before = (run / CONFIG_NAME).read_bytes()
    try:
        loop.train(ConfigDict(config) if isinstance(config, dict) else config, run)
    except Reached:
        found = read_config(run)
        assert found == json.loads((run / CONFIG_NAME).read_text())
        return found
    except BadInput:
        # What is refused is left as it is.
        assert (run / CONFIG_NAME).read_bytes() == before
        raise
    raise AssertionError("a run without its state has trained")


def may_change(where: tuple[Any, ...]) -> bool:
    """Whether the run is the same one with another value there."""
    return not is_identity(".".join(map(str, where)))


def is_onward(where: tuple[Any, ...]) -> bool:
    return identity.is_onward(".".join(map(str, where)))


def leaves(tree: Any) -> set[tuple[str, ...]]:
    """Paths of the values of nested sections."""
    return {path for path in keys_of(tree) if all(isinstance(name, str) for name in path)} | {()}


def without(config: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in config.items() if name != CHANGES}


@pytest.mark.parametrize("share", SHARES)
def test_an_edited_config_of_the_run(run: Path, begun: tuple[Path, dict[str, Any]], share: int) -> None:
    """The command is what it was: the run goes on with its config, or is none of that config any longer."""
    path, config = run / CONFIG_NAME, begun[1]
    stored = json.loads(path.read_text())

    def read(given: tuple[Any, bytes, str]) -> dict[str, Any]:
        path.write_bytes(given[1])
        return resumed(run, copy.deepcopy(config))

    def wrong(given: tuple[Any, bytes, str], found: dict[str, Any]) -> str:
        where, content, name = given
        if without(found) != without(stored):
            return "it goes on with another config"
        if where is None or where[0] in (CHANGES, "format"):
            return ""
        # A value that this version adds to runs from before it.
        added = name == "deleted" and (
            str(where[-1]).endswith("_balance") or where[0] in ("preparation", "slicing", "task")
        )
        edited, old = value_at(json.loads(content), where), value_at(stored, where)
        # Python's True is 1, and what is not there is nothing; both are written as they should be.
        same = edited == old or (edited is MISSING and old is None)
        if not (may_change(where) or added or same):
            return "another run's config was taken for this one's"
        told = [key for one in found.get(CHANGES, []) for key in one["before"]]
        onward = is_onward(where) and not (same or added)
        return "" if not onward or any(key.startswith(".".join(where)) for key in told) else f"not told: {told}"

    inputs = [(what, (at, text.encode(), name)) for what, at, text, name in mutated_values(stored)]
    inputs += [(what, (None, content, "")) for what, content in (*mutated_text(stored), *sound_text(stored))]
    found, count = faults(inputs, share, 30, read, wrong)
    assert count > len(inputs) // (2 * share)
    assert_none(found)


def mutated_configs(config: dict[str, Any]) -> Iterator[tuple[str, tuple[Any, dict[str, Any]]]]:
    """What a command may say otherwise: values of other types and ranges, missing and unknown keys."""
    for path in keys_of(config):
        where = ".".join(map(str, path))
        old = value_at(config, path)
        more: dict[str, Any] = {}
        if isinstance(old, (int, float)) and not isinstance(old, bool):
            more = {"twice": old * 2, "half of it": old / 2, "one more": old + 1}
        for name, value in {**VALUES, **more, "nan": float("nan")}.items():
            yield f"{where} {name}", (path, changed(config, path, value))
        yield f"{where} deleted", (path, changed(config, path, MISSING))
        if isinstance(path[-1], str):
            yield f"{where} renamed", (path, changed(config, path, None, f"{path[-1]}_"))
    yield "a section more", (("opera",), {**config, "opera": {"a": 1}})
    yield "a value more", (("train", "opera"), {**config, "train": {**config["train"], "opera": 1}})


@pytest.mark.parametrize("share", SHARES)
def test_an_edited_config_of_the_command(run: Path, begun: tuple[Path, dict[str, Any]], share: int) -> None:
    """The run is what it was: it goes on as is asked where that may change, and as nothing else."""
    whole = (run / CONFIG_NAME).read_bytes()
    stored, config = json.loads(whole), begun[1]

    def read(given: tuple[Any, dict[str, Any]]) -> dict[str, Any]:
        (run / CONFIG_NAME).write_bytes(whole)
        return resumed(run, given[1])

    def wrong(given: tuple[Any, dict[str, Any]], found: dict[str, Any]) -> str:
        where, asked = given
        differing = [path for path in leaves(found) | leaves(stored) if path and path[0] != CHANGES]
        differing = [path for path in differing if value_at(found, path) != value_at(stored, path)]
        if odd := [path for path in differing if not _within(path, where)]:
            return f"{odd[0]} is another"
        old, new = value_at(config, where), value_at(asked, where)
        if not differing:
            # Nothing that is kept: what was left out is what a part takes by itself.
            return "" if new is MISSING or new == old else f"{new!r:.60} was taken for {old!r:.60}"
        if not may_change(where):
            return "another run was taken for this one"
        if new is not MISSING and not alike(old, new) and where[-1] not in ("learning_rate",):
            return f"{new!r:.60} in place of {old!r:.60}"
        told = [key for one in found.get(CHANGES, []) for key in one["before"]]
        return "" if not is_onward(where) or told else "not told"

    inputs = list(mutated_configs(config))
    found, count = faults(inputs, share, 31, read, wrong)
    assert count > len(inputs) // (2 * share)
    assert_none(found)


def _within(path: tuple[Any, ...], where: tuple[Any, ...]) -> bool:
    """Whether one of two paths leads to the other."""
    short = min(len(path), len(where))
    return path[:short] == where[:short]


# What is typed behind a key.
TEXTS = ("", "-1", "0", "0.5", "3", "1e400", "nan", "true", "None", "(1, 2)", "{'kind': 'linear'}", "x" * 5000, "\n")


@pytest.mark.parametrize("share", SHARES)
def test_a_key_on_the_command_line(run: Path, begun: tuple[Path, dict[str, Any]], tmp_path: Path, share: int) -> None:
    """As the verb reads it: each key of the config with other texts, keys that there are not, and sections."""
    whole, config = (run / CONFIG_NAME).read_bytes(), begun[1]
    stored = json.loads(whole)
    file = tmp_path / "toy.py"
    data = config["data"]["dir"]
    file.write_text(f"from training_cases import tiny_config\ndef get_config():\n    return tiny_config({data!r})\n")

    def read(given: tuple[tuple[str, ...], str]) -> dict[str, Any]:
        (run / CONFIG_NAME).write_bytes(whole)
        try:
            drumgan("train", f"--config={file}", f"--workdir={run}", f"--config.{'.'.join(given[0])}={given[1]}")
        except Reached:
            return read_config(run)
        except BadInput:
            assert (run / CONFIG_NAME).read_bytes() == whole
            raise
        raise AssertionError("a run without its state has trained")

    def wrong(given: tuple[tuple[str, ...], str], found: dict[str, Any]) -> str:
        where, text = given
        differing = [path for path in leaves(found) | leaves(stored) if path and path[0] != CHANGES]
        differing = [path for path in differing if value_at(found, path) != value_at(stored, path)]
        if odd := [path for path in differing if not _within(path, where)]:
            return f"{odd[0]} is another"
        if differing and not may_change(where):
            return "another run was taken for this one"
        old, new = value_at(config, where), value_at(found, where)
        if not alike(old, new):
            return f"{new!r:.60} in place of {old!r:.60}"
        if isinstance(old, str) and new != text:
            return f"{new!r:.60}, and {text!r:.60} was given"
        told = [key for one in found.get(CHANGES, []) for key in one["before"]]
        return "" if not differing or not is_onward(where) or told else "not told"

    keys = [path for path in keys_of(config) if all(isinstance(name, str) for name in path)]
    inputs = [(f"{'.'.join(key)}={text:.20}", (key, text)) for key in keys for text in TEXTS]
    inputs += [(f"{'.'.join(key)}_", ((*key[:-1], f"{key[-1]}_"), "1")) for key in keys]
    found, count = faults(inputs, share, 32, read, wrong)
    assert count > len(inputs) // (2 * share)
    assert_none(found)
