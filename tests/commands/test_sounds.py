"""Words of the command line, and what is written of sounds is read again."""

import dataclasses
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from verbs import drumgan

from drumgan_jax.commands.latents_file import read_latents, write_latents
from drumgan_jax.commands.sounds import (
    cuts,
    open_instrument,
    parse_label,
    parse_labels,
    parse_layers,
    parse_numbers,
)
from drumgan_jax.core.errors import BadInput
from drumgan_jax.latents.recordings import CutWarning
from drumgan_jax.play.instrument import Instrument, Latents
from drumgan_jax.play.load import load

pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(scope="module")
def instrument(run: Path) -> Instrument:
    return load(run)


def same(a: Latents, b: Latents) -> None:
    for field in dataclasses.fields(Latents):
        one, other = getattr(a, field.name), getattr(b, field.name)
        if field.name == "noises" and one is not None:
            assert all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))
        else:
            assert np.array_equal(one, other), field.name


@pytest.mark.smoke
def test_latents_are_read_as_they_were_written(instrument: Instrument, tmp_path: Path) -> None:
    drawn = instrument.draw([3, 4294967295], {"kick": 1, "snare": 3})
    write_latents(tmp_path, drawn, instrument, {"noise": [0.5], "truncation": 1.0}, ["a.wav", "b.wav"])
    read, how = read_latents(str(tmp_path / "latents.json"), instrument)
    assert how == {"noise": [0.5], "truncation": 1.0}
    same(read, drawn)
    saved = json.loads((tmp_path / "latents.json").read_text())
    assert saved["sounds"][0]["labels"] == {"kick": 0.25, "snare": 0.75}
    # Nothing is known of z and labels after edits; layers differ, and noise is given.
    ws = drawn.ws + np.arange(drawn.ws.shape[1], dtype=np.float32)[:, None]
    sizes = instrument.gan.generator.noise_sizes
    noises = tuple(np.full((2, *size, 1), number, np.float32) for number, size in enumerate(sizes))
    edited = dataclasses.replace(drawn, ws=ws, z=None, labels=None, noises=noises)
    write_latents(tmp_path, edited, instrument, {"noise": True}, ["a.wav", "b.wav"])
    same(read_latents(str(tmp_path / "latents.json"), instrument)[0], edited)
    for odd in (noises[1:], noises[::-1], tuple(noise[:1] for noise in noises)):
        write_latents(
            tmp_path, dataclasses.replace(edited, noises=odd), instrument, {"noise": True}, ["a.wav", "b.wav"]
        )
        with pytest.raises(BadInput, match=r"noises\.npz does not fit this run's layers or the sounds"):
            read_latents(str(tmp_path / "latents.json"), instrument)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04"])
def test_damaged_noise_is_one_sentence(instrument: Instrument, tmp_path: Path, content: bytes) -> None:
    drawn = instrument.draw([3])
    noises = drawn.layer_noise(instrument.gan.generator.noise_sizes)
    write_latents(tmp_path, dataclasses.replace(drawn, noises=noises), instrument, {"noise": True}, ["a.wav"])
    whole = (tmp_path / "noises.npz").read_bytes()
    for damaged in (content, whole[:60] + bytes(200) + whole[260:]):
        (tmp_path / "noises.npz").write_bytes(damaged)
        with pytest.raises(BadInput, match=r"noises\.npz (is damaged|does not fit)"):
            read_latents(str(tmp_path / "latents.json"), instrument)


def test_only_warnings_of_cuts_are_collected() -> None:
    with warnings.catch_warnings(record=True) as others:
        warnings.simplefilter("always")
        with cuts() as told:
            warnings.warn("the lead was cut off", UserWarning, stacklevel=1)
            warnings.warn("too long", CutWarning, stacklevel=1)
    assert told == ["too long"]
    assert [str(other.message) for other in others] == ["the lead was cut off"]


def test_an_instrument_is_opened_with_the_compilation_cache(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enabled = []
    monkeypatch.setattr("drumgan_jax.commands.sounds.enable_compilation_cache", lambda: enabled.append(True))
    absent = ["--run=absent", "--out=absent.npz"]
    for verb in ("generate", "encode", "interpolate", "explore"):
        more = {"encode": [f"--audio={run / 'config.json'}"], "interpolate": ["--a=1", "--b=2"]}.get(verb, [])
        assert "absent" in drumgan(verb, *absent, *more, status=2)
    assert len(enabled) == 4
    assert open_instrument(str(run), "last").step == 6
    drumgan("pack", f"--run={run}", f"--out={run / 'config.bin.npz'}", "--step=99", status=2)
    assert len(enabled) == 6


def test_latents_that_lack_something_are_one_sentence(instrument: Instrument, tmp_path: Path) -> None:
    path = tmp_path / "latents.json"
    write_latents(tmp_path, instrument.draw([0, 1, 2]), instrument, {"noise": True}, ["a.wav", "b.wav", "c.wav"])
    written = path.read_text()
    for name in ("z", "labels"):
        saved = json.loads(written)
        saved["sounds"][1][name] = None
        path.write_text(json.dumps(saved))
        with pytest.raises(BadInput, match=rf"latents\.json: {name} is null in some of its sounds and not in others"):
            read_latents(str(path), instrument)
        del saved["sounds"][1][name]
        path.write_text(json.dumps(saved))
        with pytest.raises(BadInput, match=rf"latents\.json: sounds\.1\.{name} is missing"):
            read_latents(str(path), instrument)
    # Noise that is stored would be drawn anew.
    saved = json.loads(written)
    del saved["noises"]
    path.write_text(json.dumps(saved))
    with pytest.raises(BadInput, match=r"latents\.json: noises is missing"):
        read_latents(str(path), instrument)
    # Sounds that were taken out of the list leave the others as they were.
    saved = json.loads(written)
    del saved["sounds"][1]
    path.write_text(json.dumps(saved))
    same(read_latents(str(path), instrument)[0], instrument.draw([0, 2]))


def test_latents_of_others_are_one_sentence(instrument: Instrument, tmp_path: Path) -> None:
    path = tmp_path / "latents.json"
    drawn = dataclasses.replace(instrument.draw([0]), model="0" * 64)
    write_latents(tmp_path, drawn, instrument, {"noise": True}, ["a.wav"])
    expected = r"of another run or step: .* made at step 6; give that run and add --step=6\."
    with pytest.raises(BadInput, match=expected):
        read_latents(str(path), instrument)
    path.write_text(json.dumps({"step": 6, "truncation": 1.0, "noise": True, "sounds": []}))
    with pytest.raises(BadInput, match="is of an earlier version, without w"):
        read_latents(str(path), instrument)
    path.write_text(json.dumps({"format": 2, "model": instrument.model, "sounds": []}))
    with pytest.raises(BadInput, match="is of format 2, and this version reads up to 1"):
        read_latents(str(path), instrument)
    for text in (
        "",
        "[]",
        "{}",
        json.dumps({"model": instrument.model, "noises": None, "noise": True, "sounds": [{}]}),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match=r"latents\.json.* give one that drumgan wrote"):
            read_latents(str(path), instrument)
    with pytest.raises(BadInput, match=r"none\.json cannot be opened"):
        read_latents(str(tmp_path / "none.json"), instrument)


def test_classes_and_attributes_are_joined_by_name() -> None:
    assert parse_labels("kick", None) == "kick"
    assert parse_labels(None, "brightness=0.8, decay=0") == {"brightness": 0.8, "decay": 0.0}
    assert parse_labels("kick", "decay=0.1") == {"kick": 1.0, "decay": 0.1}
    assert parse_labels("kick=2,snare=1", "decay=0.1") == {"kick": 2.0, "snare": 1.0, "decay": 0.1}
    with pytest.raises(BadInput, match="--attributes=decay gives no value; write it as brightness="):
        parse_labels(None, "decay")
    with pytest.raises(BadInput, match="'decay' is in --label and in --attributes; give it once"):
        parse_labels("decay=1", "decay=0.1")


def test_words() -> None:
    assert parse_label(None) is None
    assert parse_label("kick") == "kick"
    assert parse_label("kick=0.7, snare=1") == {"kick": 0.7, "snare": 1.0}
    assert parse_layers("0:4") == (0, 4)
    assert parse_numbers(["-3", "1.5"], "amounts") == [-3.0, 1.5]
    for text in ("kick=much", "kick=0.5,snare"):
        with pytest.raises(BadInput, match=r"write weights as kick=0\.7"):
            parse_label(text)
    with pytest.raises(BadInput, match="'kick' is named twice"):
        parse_label("kick=1,kick=2")
    for text in ("4", "4:", "-1:2", "a:b"):
        with pytest.raises(BadInput, match="write a range of layers as 0:4"):
            parse_layers(text)
    for text in ("", "x", "nan", "inf"):
        with pytest.raises(BadInput, match="--amounts has"):
            parse_numbers([text], "amounts")
