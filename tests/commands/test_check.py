"""`drumgan check`: all of a run, data set or packed file is read; what is wrong is named, and nothing is changed."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from training_cases import write_dataset
from verbs import STEP, drumgan, write_run
from weight_cases import changed

from drumgan_jax.commands import check as verb
from drumgan_jax.commands.findings import NOTE, SOUND, UNSOUND, Finding, screen
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.digests import write_digests
from drumgan_jax.data.records import RecordSource, frame_record, masked_crc, read_shard, write_index
from drumgan_jax.play.load import SHIPPED, load
from drumgan_jax.runs.checkpoint_items import load_ema


def states(text: str) -> dict[str, str]:
    """The state of each part of a screen."""
    return dict(re.findall(rf"^(\S.*?)  +({SOUND}|{NOTE}|{UNSOUND})\b", text, flags=re.M))


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A copy of the toy run with its encoder, with metrics and an evaluation."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "metrics.jsonl").write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 2, 2, 6)))
    (folder / "evaluations").mkdir()
    (folder / "evaluations" / "step_00000006.json").write_text(json.dumps({"step": 6, "figures": {}}))
    return folder


@pytest.mark.smoke
def test_a_sound_run_is_read_and_left_as_it_is(copy: Path) -> None:
    before = contents(copy)
    found = drumgan("check", copy)
    assert found.startswith(f"{copy}: a run of task 'gan'\n")
    parts = states(found)
    assert set(parts.values()) == {SOUND}
    names = {"config.json", f"checkpoints/{STEP}", "metrics.jsonl", "evaluations/"}
    assert parts.keys() == {*names, "encoder/", "encoder/config.json", f"encoder/checkpoints/{STEP}"}
    assert "metrics.jsonl" in found
    assert "4 lines, to step 6" in found
    assert found.splitlines()[-1] == "Parts that were read: 7; not sound: none."
    assert contents(copy) == before


def test_all_that_is_wrong_with_a_run_is_named(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (array,) = (copy / "checkpoints" / str(STEP) / "ema" / "ocdbt.process_0" / "d").iterdir()
    content = bytearray(array.read_bytes())
    content[100] ^= 1
    array.write_bytes(content)
    (copy / "metrics.jsonl").write_text("".join(json.dumps({"step": step}) + "\n" for step in (1, 5, 2)))
    (copy / "evaluations" / "step_00000006.json").write_text('{"step": 6, "fig')
    shutil.copytree(copy / "checkpoints" / str(STEP), copy / "checkpoints" / "unreadable-4")
    (copy / "components-x.npz").write_bytes(b"PK\3\4 and no more")
    changed(SHIPPED, copy / "vocoder.npz")
    text, sound = verb.check(copy)
    assert not sound
    parts = states(text)
    assert {part for part, state in parts.items() if state == UNSOUND} == {
        f"checkpoints/{STEP}",
        "metrics.jsonl",
        "evaluations/",
        "components-x.npz",
    }
    assert parts["checkpoints/unreadable-4"] == NOTE
    name = array.relative_to(copy / "checkpoints" / str(STEP))
    assert f"checkpoints/{STEP}: {name} not what was saved; restore what is missing or changed, or delete this" in text
    assert "goes back from step 5 to 2 in line 3, as where two processes wrote it" in text
    with pytest.raises(SystemExit) as ended:
        drumgan("check", copy)
    assert ended.value.code == 1
    (copy / "config.json").write_text("{")
    assert states(verb.check(copy)[0])["config.json"] == UNSOUND


def test_steps_without_digests_and_runs_being_written_are_noted(copy: Path) -> None:
    step = copy / "checkpoints" / str(STEP)
    metadata = json.loads((step / "_CHECKPOINT_METADATA").read_text())
    (step / "digests.json").unlink()
    # As one whose process ended just before its digests.
    with only_writer(copy, "drumgan train", ""):
        text, sound = verb.check(copy)
    assert sound
    assert states(text)["(written now)"] == states(text)[f"checkpoints/{STEP}"] == NOTE
    assert "by `drumgan train` (process" in text
    # As an earlier version left it.
    (step / "_CHECKPOINT_METADATA").write_text(json.dumps({**metadata, "custom_metadata": {}}))
    text, sound = verb.check(copy)
    assert sound
    assert "can be read; " in text


def test_a_checkpoint_in_anothers_folder_and_a_file_without_a_digest_are_named(copy: Path) -> None:
    step = copy / "checkpoints" / str(STEP)
    (step / ".DS_Store").touch()
    assert verb.check(copy)[1]
    (step / "ema" / "another").touch()
    text, sound = verb.check(copy)
    assert not sound
    assert "ema/another has no digest in " in text
    (step / "ema" / "another").unlink()
    step.rename(step.with_name("020"))
    assert states(verb.check(copy)[0])["checkpoints/020"] == NOTE
    step.with_name("020").rename(step.with_name("20"))
    text, sound = verb.check(copy)
    assert not sound
    assert f"checkpoints/20 holds step {STEP}: its folder was renamed; give it that name" in text
    with pytest.raises(BadInput, match=f"holds step {STEP}: its folder was renamed"):
        load_ema(copy)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "data")


def test_a_sound_data_set_is_read_and_left_as_it_is(data: Path) -> None:
    before = contents(data)
    found = drumgan("check", data.parent.parent)
    assert found.splitlines()[0].endswith(": a data set of 24 examples")
    assert states(found) == dict.fromkeys(
        ("description", "digests.json", "record_index.npz", "split train", "dataset_info.json"), SOUND
    )
    assert contents(data) == before


def unsound(data: Path) -> dict[str, str]:
    """What a check says of the parts that are not sound."""
    text, sound = verb.check(data)
    parts = [part for part, state in states(text).items() if state == UNSOUND]
    assert sound == (not parts)
    return {part: re.search(rf"^{re.escape(part)}: (.*)$", text, flags=re.M)[1] for part in parts}


def test_what_is_wrong_with_a_data_set_is_named(data: Path) -> None:
    shard = data / "toy-train.tfrecord-00001-of-00002"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    assert re.search(r"record 11 fails its checksum", unsound(data)["split train"])
    # Records that are whole, but of another program.
    shard.write_bytes(whole + frame_record(b"no example"))
    found = unsound(data)
    assert "record 12 is no example of this data set" in found["split train"]
    # Its remedy is to delete it, which is none here.
    assert "record_index.npz" not in found
    assert found.keys() == {"digests.json", "split train"}
    shard.write_bytes(whole[: len(whole) // 2 + 5])
    assert "is truncated" in unsound(data)["split train"]
    # A whole record less, and an index that agrees.
    shard.write_bytes(whole)
    first = int.from_bytes(whole[:8], "little") + 16
    assert masked_crc(whole[:8]) == int.from_bytes(whole[8:12], "little")
    shard.write_bytes(whole[first:])
    write_index(data)
    assert unsound(data) == {
        "digests.json": f"{shard} is missing or not as written; restore it, or prepare the data set again (or, if that"
        " was done on purpose, delete digests.json: then nothing is compared).",
        "dataset_info.json": f"{data}/dataset_info.json says that the shards of split 'train' have [12, 12] records,"
        " and they have [12, 11]; prepare the data set again.",
    }
    # The index of other shards.
    shard.write_bytes(whole)
    (data / "record_index.npz").unlink()
    assert states(verb.check(data)[0])["record_index.npz"] == NOTE
    assert unsound(data) == {}
    assert not (data / "record_index.npz").exists()
    write_index(data)
    with np.load(data / "record_index.npz") as file:
        index = {name: file[name] for name in file.files}
    index[shard.name][3] += 1
    np.savez(data / "record_index.npz", **index)
    assert "has other places than the records of toy-train" in unsound(data)["record_index.npz"]
    (data / "features.json").write_text("{")
    assert "features.json is damaged" in unsound(data)["description"]


def test_valid_files_that_are_not_those_that_were_written_are_named(data: Path) -> None:
    """What only digests tell: a record in another's place, other names of classes, and a damaged list."""
    shard = data / "toy-train.tfrecord-00000-of-00002"
    whole = shard.read_bytes()
    records = list(map(frame_record, read_shard(shard)))
    assert len(records[3]) == len(records[4])
    shard.write_bytes(b"".join([*records[:3], records[4], records[3], *records[5:]]))
    assert unsound(data)["digests.json"].startswith(f"{shard} is missing or not as written; ")
    (data / "label.labels.txt").write_text("snare\nkick\nhat\n")
    assert unsound(data)["digests.json"].startswith(f"{data}/label.labels.txt and 1 more of its files are missing or")
    shard.write_bytes(whole)
    (data / "digests.json").write_text("{")
    assert "digests.json is damaged" in unsound(data)["digests.json"]
    (data / "digests.json").unlink()
    text, sound = verb.check(data)
    assert sound
    assert states(text)["digests.json"] == NOTE
    write_digests(data)
    (data / "notes.txt").touch()
    (data / "notes_of_mine.json").touch()
    open_dataset(data)
    text, sound = verb.check(data)
    assert sound
    assert "all as written; notes.txt is not listed" in text


def test_a_shard_that_is_a_link_to_nothing_is_named(data: Path) -> None:
    shard = data / "toy-train.tfrecord-00000-of-00002"
    shard.unlink()
    shard.symlink_to(data / "elsewhere")
    assert f"{shard}" in unsound(data)["digests.json"]
    (data / "digests.json").unlink()
    assert "cannot be opened" in unsound(data)["split train"]
    with pytest.raises(BadInput, match="cannot be read"):
        list(RecordSource(data, "train"))


@pytest.mark.parametrize("name", ["toy-train.tfrecord-00000-of-00002", "label.labels.txt", "representation.json"])
def test_digests_that_leave_a_file_out_are_refused(data: Path, name: str) -> None:
    path = data / "digests.json"
    listed = json.loads(path.read_text())
    del listed["sha256"][name]
    path.write_text(json.dumps(listed))
    expected = f"{path} does not list {name}; restore it, or prepare the data set again."
    with pytest.raises(BadInput, match=re.escape(expected)):
        open_dataset(data)
    assert unsound(data)["digests.json"] == expected


def test_packed_files(tmp_path: Path) -> None:
    assert states(drumgan("check", SHIPPED)) == {SHIPPED.name: SOUND}
    path = tmp_path / "odd.npz"
    whole = SHIPPED.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"\0" + whole[len(whole) // 2 + 1 :])
    assert states(verb.check(path)[0]) == {"odd.npz": UNSOUND}
    changed(SHIPPED, path, {"format": "drumgan opera 1"})
    assert "is of kind 'drumgan opera'; give a packed instrument, classifier" in verb.check(path)[0]
    changed(SHIPPED, path, {"format": "drumgan instrument 99"})
    assert "which this version cannot read" in verb.check(path)[0]
    path.write_text("text")
    assert "is not a packed instrument" in verb.check(path)[0]


def test_paths_that_are_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be looked at"):
        verb.check(tmp_path / ("x" * 5_000))
    with pytest.raises(BadInput, match="is no file or folder; give a run directory, a data set or a packed file"):
        verb.check(tmp_path / "absent")
    assert "write `drumgan check PATH`" in drumgan("check", status=2)
    assert "holds no data set" in verb.check(tmp_path)[0]


def test_a_screen_is_one_screen_and_shows_what_is_wrong() -> None:
    findings = [Finding(f"checkpoints/{n}", SOUND, "x" * 300) for n in range(60)]
    findings[50] = Finding("checkpoints/50", UNSOUND, "it is damaged")
    lines = screen(Path("run"), "a run", findings).splitlines()
    assert len(lines) < 25
    assert max(map(len, lines)) <= 120
    assert lines[2].split() == ["checkpoints/50", "NOT", "SOUND"]
    assert "and 42 more: 42 sound" in lines
    assert "checkpoints/50: it is damaged" in lines
    assert lines[-1] == "Parts that were read: 60; not sound: 1."


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", None), ("representation.mean", 0.5), ("task.independent_classes", True), ("generator.z_dim", 9)],
)
def test_a_config_that_is_not_the_checkpoints_is_neither_sound_nor_played(copy: Path, key: str, value: object) -> None:
    path = copy / "config.json"
    config = json.loads(path.read_text())
    *outer, name = key.split(".")
    section = config[outer[0]] if outer else config
    section[name] = config["labels"][::-1] if value is None else value
    path.write_text(json.dumps(config))
    wanted = f"{path}: it is not the config that step {STEP} was saved with, and differs in {key}; restore it."
    text, sound = verb.check(copy)
    assert not sound
    assert f"config.json: {wanted}" in text
    with pytest.raises(BadInput, match=re.escape(wanted)):
        load(copy)


def test_what_may_change_between_trainings_may_be_edited(copy: Path) -> None:
    path = copy / "config.json"
    config = json.loads(path.read_text())
    config["decoder"] = {**config.get("decoder", {}), "iterations": 3}
    config["train"]["total_images"] = 4_000
    path.write_text(json.dumps(config))
    assert verb.check(copy)[1]
    assert load(copy).config["decoder"]["iterations"] == 3


def test_an_encoder_that_is_none_of_this_run_is_told(copy: Path) -> None:
    (copy / "encoder" / "config.json").rename(copy / "config")
    text, sound = verb.check(copy)
    assert not sound
    assert states(text)["encoder/"] == UNSOUND
    shutil.rmtree(copy / "encoder")
    (copy / "encoder").symlink_to(".")
    text, sound = verb.check(copy)
    assert not sound
    assert "is an encoder of another generator" in text
    assert "encoder/encoder" not in text


def test_a_checkpoint_of_another_run_is_told_and_the_config_is_not(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    other = copy.parent / "other"
    write_run(other, {**config, "labels": config["labels"][::-1]}, load_ema(copy)[0], step=STEP + 1)
    shutil.copytree(other / "checkpoints" / str(STEP + 1), copy / "checkpoints" / str(STEP + 1))
    text, sound = verb.check(copy)
    assert not sound
    assert "is of another run: " in text
    assert states(text)["config.json"] == states(text)[f"checkpoints/{STEP}"] == SOUND
    assert states(text)[f"checkpoints/{STEP + 1}"] == UNSOUND


def test_a_checkpoint_that_keeps_no_config_is_noted_and_played_with_a_warning(
    copy: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = json.loads((copy / "config.json").read_text())
    old = copy.parent / "old"
    write_run(old, config, load_ema(copy)[0], kept={})
    text, sound = verb.check(old)
    assert sound
    assert states(text)[f"checkpoints/{STEP}"] == NOTE
    caplog.clear()
    load(old)
    assert "was saved by a version that kept no config with it, so another config.json is not noticed." in caplog.text


@pytest.mark.parametrize(
    ("report", "wanted"),
    [
        ('{"step": 7}', "step is 7; delete it and evaluate that step again."),
        ("{}", "step is None; delete it and evaluate that step again."),
        ('{"step": "6"}', "step is '6'; delete it and evaluate that step again."),
        ('{"step": 6, "figures": [1]}', "figures is [1]; delete it and evaluate that step again."),
        ("[]", "it holds no report; delete it and evaluate that step again."),
        ("{", "delete it and evaluate that step again."),
    ],
)
def test_a_report_that_is_none_is_told(copy: Path, report: str, wanted: str) -> None:
    path = copy / "evaluations" / "step_00000006.json"
    path.write_text(report)
    (line,) = [line for line in verb.check(copy)[0].splitlines() if line.startswith("evaluations/: ")]
    assert line.startswith(f"evaluations/: {path}")
    assert line.endswith(wanted)


def test_a_run_without_a_complete_step_is_not_sound(copy: Path) -> None:
    step = copy / "checkpoints" / str(STEP)
    (step / "digests.json").unlink()
    (copy / "checkpoints" / "7").write_text("a file")
    text, sound = verb.check(copy)
    assert not sound
    assert "holds no complete checkpoint, so there is nothing to play or to go on from; restore one." in text
    assert states(text)["checkpoints/7"] == NOTE
