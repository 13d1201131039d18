"""Edited and damaged files of a run: what is loaded is what was saved, or what a legal value asks for; else a sentence.

A value of another type is never honoured, and one of the right type is honoured whole.
"""

import copy
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_cases import (
    SHARES,
    alike,
    assert_none,
    faults,
    in_time,
    mutated_bytes,
    mutated_text,
    mutated_values,
    no_sentence,
    sound_text,
    value_at,
)
from verbs import CLASSES, STEP

import drumgan_jax.runs.load as loading
from drumgan_jax.audio.level import Level
from drumgan_jax.audio.one_shot import one_shot_of
from drumgan_jax.commands.check_run import check_run
from drumgan_jax.commands.findings import UNSOUND, is_sound
from drumgan_jax.commands.latents_file import read_latents, write_latents
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import read_partly
from drumgan_jax.latents.latents import Latents
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import load
from drumgan_jax.runs.checkpoint_items import load_ema
from drumgan_jax.runs.config import CONFIG_NAME, find_step, read_config
from drumgan_jax.runs.identity import is_identity
from drumgan_jax.runs.metrics import read_metrics

# Settings that may be null, for what a part takes by itself.
NULLABLE = {("representation", "mean"), ("representation", "std"), ("changes",)}


@pytest.fixture
def copied(toy_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(toy_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def weights(toy_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is read once: here only the config is in question."""
    held = load_ema(toy_run)
    monkeypatch.setattr(loading, "load_ema", lambda *_: copy.deepcopy(held))


def heard(instrument: Instrument) -> tuple[Any, ...]:
    """All that decides how a seed sounds, besides the weights."""
    config = instrument.config
    how = one_shot_of(config), read_partly(config, "preparation", Level)
    return instrument.gan, instrument.label_names, instrument.conditions.independent, *how, instrument.step


@pytest.mark.parametrize("share", SHARES)
def test_edited_configs(copied: Path, toy_config: dict[str, Any], weights: None, share: int) -> None:
    path = copied / CONFIG_NAME
    stored = json.loads(path.read_text())
    before = load(copied)
    expected, model = heard(before), before.model

    def read(given: tuple[Any, str, str]) -> Instrument:
        path.write_text(given[1])
        instrument: Instrument = load(copied)
        heard(instrument)
        return instrument

    def wrong(given: tuple[Any, str, str], instrument: Instrument) -> str:
        if heard(instrument) == expected:
            return ""
        where, text, name = given
        if instrument.model != model:
            return "other weights"
        if where and is_identity(".".join(map(str, where))):
            return "what the checkpoint is was changed"
        # What is left out is what the part takes by itself; a name of a section's kind decides the others.
        if name in ("deleted", "renamed"):
            return "" if name == "deleted" else "a key that does not exist changes the sound"
        value, old = value_at(json.loads(text), where), value_at(stored, where)
        if value is None:
            return "" if where in NULLABLE else "null changes the sound"
        return "" if alike(value, old) else f"{value!r:.60} in place of {old!r:.60} changes the sound"

    inputs = [(name, (where, text, what)) for name, where, text, what in mutated_values(stored)]
    found, count = faults(inputs, share, 10, read, wrong)
    assert count > len(inputs) // (2 * share)
    assert_none(found)


@pytest.mark.parametrize("share", SHARES)
def test_configs_as_a_whole(copied: Path, toy_config: dict[str, Any], weights: None, share: int) -> None:
    path, expected = copied / CONFIG_NAME, heard(load(copied))
    stored = json.loads(path.read_text())

    def read(content: bytes) -> tuple[Any, ...]:
        path.write_bytes(content)
        return heard(load(copied))

    inputs = list(mutated_text(stored)) + list(mutated_bytes(path.read_bytes(), 60, 11))
    wrong = lambda _, found: "" if found == expected else "another instrument"  # noqa: E731
    found, count = faults(mutated_text(stored), share, 12, read, wrong)
    # A flipped bit may make another legal value.
    more, others = faults(mutated_bytes(json.dumps(stored).encode(), 60, 11), share, 13, read, lambda *_: "")
    assert count + others > len(inputs) // (2 * share)
    assert_none(found + more)
    for name, content in sound_text(stored):
        assert read(content) == expected, name


def opened(run: Path) -> tuple[int, list[dict[str, float]]]:
    """What a player and `drumgan compare` read."""
    return load(run).step, read_metrics(run)


@pytest.mark.parametrize("name", [CONFIG_NAME, "metrics.jsonl", f"checkpoints/{STEP}/digests.json"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device", "link to nothing"])
def test_files_that_are_none(copied: Path, name: str, kind: str) -> None:
    path = copied / name
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "/nowhere/at/all")
    harmless = name == "metrics.jsonl" and kind == "link to nothing"
    with in_time():
        if harmless:
            assert opened(copied) == (STEP, [])
        else:
            with pytest.raises(BadInput) as problem:
                opened(copied)
            assert not no_sentence(str(problem.value))
        _, findings = check_run(copied)
    assert is_sound(findings) == harmless


@pytest.mark.parametrize("share", SHARES)
def test_damaged_checkpoints(copied: Path, share: int) -> None:
    expected, _ = load_ema(copied)
    step = copied / "checkpoints" / str(STEP)
    files = sorted(path for path in step.rglob("*") if path.is_file())

    def inputs() -> Iterator[tuple[str, tuple[Path, bytes | None]]]:
        for seed, path in enumerate(files):
            name, content = path.relative_to(step).as_posix(), path.read_bytes()
            yield f"{name} gone", (path, None)
            for what, damaged in mutated_bytes(content, 8, seed):
                yield f"{name} {what}", (path, damaged)
            if path.suffix == ".json" or name == "_CHECKPOINT_METADATA":
                tree = json.loads(content)
                for what, _, text, _ in itertools.islice(mutated_values(tree), 160):
                    yield f"{name} {what}", (path, text.encode())
                for what, text_bytes in mutated_text(tree):
                    yield f"{name} {what}", (path, text_bytes)

    def read(given: tuple[Path, bytes | None]) -> Any:
        path, damaged = given
        before = path.read_bytes()
        try:
            path.write_bytes(damaged) if damaged is not None else path.unlink()
            return load_ema(copied)
        finally:
            path.write_bytes(before)

    def wrong(_: Any, found: Any) -> str:
        variables, at = found
        flat, wanted = (dict(_leaves(one)) for one in (variables, expected))
        same = at == STEP and flat.keys() == wanted.keys() and all(np.array_equal(flat[k], wanted[k]) for k in flat)
        return "" if same else "other weights"

    made = list(inputs())
    found, count = faults(made, share, 14, read, wrong)
    assert count > len(made) // (2 * share)
    assert_none(found)


def _leaves(tree: Any, path: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for name, part in tree.items():
        if isinstance(part, dict):
            yield from _leaves(part, f"{path}/{name}")
        else:
            yield f"{path}/{name}", np.asarray(part)


@pytest.fixture(scope="module")
def instrument(toy_run: Path) -> Instrument:
    return load(toy_run)


def drawn(instrument: Instrument, noises: bool) -> Latents:
    """Latents of two sounds, without a mapping network that would be compiled."""
    rng = np.random.default_rng(1)
    layers, width = instrument.latent_shape
    ws = rng.standard_normal((2, layers, width)).astype(np.float32)
    z = rng.standard_normal((2, instrument.gan.generator.z_dim)).astype(np.float32)
    labels = np.asarray([[1, 0], [0.25, 0.75]], np.float32)
    stored = [rng.standard_normal((2, *size, 1)).astype(np.float32) for size in instrument.noise_sizes]
    return Latents(
        np.asarray([3, 2**32 - 1], np.uint32), ws, z, labels, tuple(stored) if noises else None, instrument.model
    )


def is_same(one: Latents, other: Latents) -> bool:
    parts = ("seeds", "ws", "z", "labels")
    return all(np.array_equal(getattr(one, part), getattr(other, part)) for part in parts)


@pytest.mark.parametrize("share", SHARES)
def test_edited_latents(instrument: Instrument, tmp_path: Path, share: int) -> None:
    written = drawn(instrument, noises=False)
    write_latents(tmp_path, written, instrument, {"noise": [0.5], "truncation": 1.0}, ["a.wav", "b.wav"])
    path = tmp_path / "latents.json"
    stored = json.loads(path.read_text())

    def read(given: tuple[Any, bytes]) -> tuple[Latents, dict[str, Any]]:
        path.write_bytes(given[1])
        return read_latents(str(path), instrument)

    def wrong(given: tuple[Any, bytes], found: tuple[Latents, dict[str, Any]]) -> str:
        latents, how = found
        parts = [latents.ws, *(part for part in (latents.z, latents.labels) if part is not None)]
        if not all(np.isfinite(part).all() for part in parts) or latents.ws.shape[1:] != instrument.latent_shape:
            return "numbers that are none"
        if is_same(latents, written) and how["noise"] == [0.5]:
            return ""
        where = given[0]
        if where is None or (where[0] != "noise" and where[:1] != ("sounds",)):
            return f"others by {where}"
        left = json.loads(given[1])
        if where[:-1] == ("sounds",) and len(left["sounds"]) == 1:
            # A sound that was taken out of the list: the other one is as it was.
            return "" if is_same(latents, written[1 - where[-1]]) else "others than those that are left"
        old, new = value_at(stored, where), value_at(left, where)
        return "" if where[0] == "noise" or alike(old, new) else f"{new!r:.50} in place of {old!r:.50}"

    inputs: list[tuple[str, Any]] = [(name, (at, text.encode())) for name, at, text, _ in mutated_values(stored)]
    inputs += [(name, (None, content)) for name, content in mutated_text(stored)]
    found, count = faults(inputs, share, 15, read, wrong)
    assert count > len(inputs) // (2 * share)
    assert_none(found)
    for name, content in sound_text(stored):
        assert is_same(read((None, content))[0], written), name


@pytest.mark.parametrize("share", SHARES)
def test_damaged_noises(instrument: Instrument, tmp_path: Path, share: int) -> None:
    written = drawn(instrument, noises=True)
    write_latents(tmp_path, written, instrument, {"noise": True}, ["a.wav", "b.wav"])
    path = tmp_path / "noises.npz"

    def read(content: bytes) -> Latents:
        path.write_bytes(content)
        return read_latents(str(tmp_path / "latents.json"), instrument)[0]

    def wrong(_: bytes, found: Latents) -> str:
        assert found.noises is not None
        assert written.noises is not None
        same = all(np.array_equal(one, other) for one, other in zip(found.noises, written.noises, strict=True))
        return "" if same else "other noise"

    found, count = faults(mutated_bytes(path.read_bytes(), 80, 16), share, 16, read, wrong)
    assert count > 80 // (2 * share)
    assert_none(found)


def test_a_check_says_what_a_loader_refuses(copied: Path, toy_config: dict[str, Any]) -> None:
    path = copied / CONFIG_NAME
    for section, name, value in (
        ("generator", "mapping_layers", -1),
        ("generator", "mapping_layers", 2),
        ("labels", 0, 7),
    ):
        config = copy.deepcopy(json.loads(json.dumps(toy_config)))
        config[section][name] = value
        path.write_text(json.dumps(config))
        with pytest.raises(BadInput, match=rf"{CONFIG_NAME}: .*(mapping|labels)"):
            load(copied)
        _, findings = check_run(copied)
        told = {one.part: one.detail for one in findings if one.state == UNSOUND}
        assert CONFIG_NAME in told
        assert "mapping" in told[CONFIG_NAME] or "labels" in told[CONFIG_NAME]


def test_steps_of_a_damaged_config(copied: Path) -> None:
    path = copied / CONFIG_NAME
    config = json.loads(path.read_text())
    config["train"]["total_images"] = 8
    for section, key, name in (("evaluation", "metric", "best"), ("train", "batch_size", "4kimg")):
        path.write_text(json.dumps({**config, section: {**config[section], key: []}}))
        with pytest.raises(BadInput, match=rf"{CONFIG_NAME}: config\.{section}\.{key} is \(\)"):
            find_step(copied, name)
    path.write_text(json.dumps({**config, "Labels": ["a"]}))
    with pytest.raises(BadInput, match=rf"{CONFIG_NAME}: it has no use for 'Labels'"):
        read_config(copied)
    assert tuple(config["labels"]) == CLASSES
