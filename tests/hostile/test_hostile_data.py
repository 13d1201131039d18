"""Edited and damaged data sets: the examples that were prepared, under their classes, or one sentence."""

import codecs
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hostile_cases import (
    SHARES,
    alike,
    assert_none,
    changed,
    faults,
    in_time,
    keys_of,
    mutated_bytes,
    mutated_text,
    mutated_values,
    no_sentence,
    sound_text,
    value_at,
)
from training_cases import LABELS, write_dataset

from drumgan_jax.commands.check_data import check_data
from drumgan_jax.commands.findings import is_sound
from drumgan_jax.core.digests import DIGESTS_NAME
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data import dataset as module
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.digests import write_digests
from drumgan_jax.data.records import INDEX_NAME, frame_record, read_shard, write_index

COUNT, SHARDS = 12, 3
KEYS = ("x", "labels", "waveforms", "attributes")
NAMES = "label.labels.txt"
JSON = ("dataset_info.json", "representation.json", "features.json", "attributes.json")


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set that is only read and copied, as versions without digests prepared it: what these say is not asked."""
    folder = tmp_path_factory.mktemp("prepared")
    directory = write_dataset(folder, COUNT, SHARDS, attributes=("brightness", "decay"))
    (directory / DIGESTS_NAME).unlink()
    return directory


@pytest.fixture
def data(prepared: Path, tmp_path: Path) -> Path:
    shutil.copytree(prepared, tmp_path / "toy" / "1.0.0")
    return tmp_path / "toy" / "1.0.0"


@pytest.fixture
def sealed(data: Path) -> Path:
    """The data set with its digests."""
    write_digests(data)
    return data


def examples(directory: Path) -> tuple[Any, ...]:
    """All examples, in the order of their bytes, and the classes."""
    module._source.cache_clear()
    dataset = open_dataset(directory)
    rows = [dataset.example("train", item, KEYS) for item in range(dataset.num_examples("train"))]
    return sorted([tuple(row[key].tobytes() for key in KEYS) for row in rows]), dataset


def write(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)


def restored(path: Path, content: bytes | None) -> tuple[Any, ...]:
    """The examples with another content of a file, which then has its own again."""
    before = path.read_bytes()
    try:
        write(path, content)
        return examples(path.parent)
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("name", JSON)
def test_edited_descriptions(data: Path, share: int, name: str) -> None:
    expected, dataset = examples(data)
    stored = json.loads((data / name).read_text())

    def read(given: tuple[Any, bytes | None]) -> tuple[Any, ...]:
        return restored(data / name, given[1])

    def wrong(given: tuple[Any, bytes | None], found: tuple[Any, ...]) -> str:
        rows, other = found
        if other.label_names != dataset.label_names or [row[1:3] for row in rows] != [row[1:3] for row in expected]:
            return "other sounds or classes"
        if rows == expected and other.representation == dataset.representation:
            return ""
        where, content = given
        if where is None or content is None:
            return "other examples"
        old, new = value_at(stored, where), value_at(json.loads(content), where)
        # A setting that is left out is what the representation takes by itself.
        left_out = name == "representation.json" and not isinstance(new, (str, int, float, list, dict))
        return "" if left_out or alike(old, new) else f"{new!r:.50} in place of {old!r:.50}"

    inputs: list[tuple[str, Any]] = [(what, (at, text.encode())) for what, at, text, _ in mutated_values(stored)]
    inputs += [(what, (None, content)) for what, content in mutated_text(stored)]
    found, count = faults(inputs, share, 20, read, wrong)
    assert count > len(inputs) // (2 * share)
    assert_none(found)
    for what, content in sound_text(stored):
        if name == "features.json" and content.startswith(codecs.BOM_UTF8):
            continue  # TFDS reads it too, and takes no mark.
        assert examples_equal(restored(data / name, content), (expected, dataset)), what


def examples_equal(found: tuple[Any, ...], expected: tuple[Any, ...]) -> bool:
    return found[0] == expected[0] and found[1].label_names == expected[1].label_names


@pytest.mark.parametrize("share", SHARES)
def test_damaged_shards_indices_and_names(data: Path, share: int) -> None:
    expected = examples(data)
    files = [*sorted(data.glob("*.tfrecord-*")), data / INDEX_NAME]

    def inputs() -> Iterator[tuple[str, tuple[Path, bytes | None]]]:
        for seed, path in enumerate(files):
            for what, damaged in mutated_bytes(path.read_bytes(), 48, seed):
                yield f"{path.name} {what}", (path, damaged)
            yield f"{path.name} gone", (path, None)
            yield f"{path.name} empty", (path, b"")
        for content in (b"kick\n", b"kick\nkick\nhat\n", None):
            yield f"{NAMES} {content!r}", (data / NAMES, content)

    made = list(inputs())
    found, count = faults(
        made,
        share,
        21,
        lambda given: restored(*given),
        lambda _, found: "" if examples_equal(found, expected) else "other examples",
    )
    assert count > len(made) // (2 * share)
    assert_none(found)


def shards_changed(data: Path) -> Iterator[tuple[str, dict[str, bytes | None]]]:
    """What people and programs do to shards that stay whole as such: names of files and their new contents."""
    paths = sorted(data.glob("*.tfrecord-*"))
    first, second, third = (path.name for path in paths)
    contents = {path.name: path.read_bytes() for path in paths}
    records = list(read_shard(paths[0]))
    yield "swapped", {first: contents[second], second: contents[first]}
    yield "the same twice", {first: contents[second]}
    yield "last gone", {third: None}
    yield "all gone", dict.fromkeys((first, second, third))
    gone = dict.fromkeys(contents)
    yield "of four", gone | {name.replace("-of-00003", "-of-00004"): content for name, content in contents.items()}
    yield "another name", gone | {f"other{name.removeprefix('toy')}": content for name, content in contents.items()}
    yield "another split", gone | {name.replace("train", "test"): content for name, content in contents.items()}
    yield "a split more", {name.replace("train", "test"): content for name, content in contents.items()}
    yield "a record less", {first: b"".join(map(frame_record, records[1:]))}
    yield "a record twice", {first: b"".join(map(frame_record, [records[0], *records]))}
    yield "one for another", {first: b"".join(map(frame_record, [records[1], *records[1:]]))}
    yield "another program's", {first: b"".join(map(frame_record, [b"no example", *records[1:]]))}
    yield "empty records", {first: b"".join(map(frame_record, [b""] * len(records)))}
    yield "cut record", {first: b"".join(map(frame_record, [records[0][:-5], *records[1:]]))}


@pytest.mark.parametrize("indexed", [False, True])
def test_changed_shards(data: Path, prepared: Path, indexed: bool) -> None:
    expected, dataset = examples(data)
    made = list(shards_changed(data))

    def read(files: dict[str, bytes | None]) -> tuple[Any, ...]:
        shutil.rmtree(data)
        shutil.copytree(prepared, data)
        for name, content in files.items():
            write(data / name, content)
        (data / INDEX_NAME).unlink()
        if indexed:
            write_index(data)
        return examples(data)

    def wrong(files: dict[str, bytes | None], found: tuple[Any, ...]) -> str:
        if examples_equal(found, (expected, dataset)):
            return ""
        # Whole records of the right number and size are what a data set may be; sums of what they were, it has none.
        replaced = [name for name, content in files.items() if content is not None and (prepared / name).exists()]
        return "" if len(found[0]) == COUNT and len(replaced) == 1 else "other examples"

    found, count = faults(made, 1, 0, read, wrong)
    assert count == len(made)
    assert_none(found)


def valid_changes(data: Path) -> Iterator[tuple[str, str, bytes | None]]:
    """Files that are sound as such and not those that were written: what is done, the file, its new content."""
    kick, snare, hat = LABELS
    for what, names in (
        ("exchanged", (snare, kick, hat)),
        ("turned", (hat, kick, snare)),
        ("cut", (kick, snare)),
        ("cut in front", (snare, hat)),
        ("appended", (kick, snare, hat, "tom")),
        ("inserted", ("tom", kick, snare, hat)),
        ("renamed", (kick, snare, "cymbal")),
        ("in capitals", (kick, snare, hat.upper())),
        ("with a space", (kick, f"{snare} ", hat)),
        ("none", ()),
    ):
        yield f"names {what}", NAMES, "".join(f"{name}\n" for name in names).encode()
    yield "names in Latin-1", NAMES, b"kick\nsnare\nh\xe4t\n"
    yield "names without the last end of line", NAMES, "\n".join(LABELS).encode()
    yield "names with Windows' ends of lines", NAMES, "\r\n".join((*LABELS, "")).encode()
    for name in JSON:
        stored = json.loads((data / name).read_text())
        yield from ((f"{name}: {what}", name, content) for what, content in sound_text(stored))
        for path in keys_of(stored):
            old = value_at(stored, path)
            if isinstance(old, float):
                yield f"{name}: {path} a little more", name, json.dumps(changed(stored, path, old + 1e-6)).encode()
            if isinstance(old, list) and old[::-1] != old:
                yield f"{name}: {path} turned", name, json.dumps(changed(stored, path, old[::-1])).encode()
    for path in sorted(data.glob("*.tfrecord-*")):
        yield f"{path.name}: a byte more", path.name, path.read_bytes() + b"\0"
        yield f"{path.name}: gone", path.name, None


def test_what_is_not_as_it_was_written_is_named(sealed: Path) -> None:
    made = [(what, (name, content)) for what, name, content in valid_changes(sealed)]
    wanted = examples(sealed)[0]

    def told(given: tuple[str, bytes | None], found: tuple[Any, ...]) -> str:
        return f"{given[0]} was not noticed, and the examples are {'other' * (found[0] != wanted)} ones"

    found, count = faults(made, 1, 0, lambda given: restored(sealed / given[0], given[1]), told)
    assert count == len(made) > 50
    assert_none(found)
    for _, (name, content) in made[:3]:
        with pytest.raises(BadInput, match=f"{sealed / name} "):
            restored(sealed / name, content)
    assert is_sound(check_data(sealed)[1])


def test_records_in_the_place_of_others_are_found_by_the_check(sealed: Path) -> None:
    """Exchanged records of one size, in a shard and between two, and one that is there twice: all are sound as such."""
    first, second, _ = sorted(sealed.glob("*.tfrecord-*"))
    contents = {path: path.read_bytes() for path in (first, second)}
    here, there = (list(map(frame_record, read_shard(path))) for path in (first, second))
    assert len({len(record) for record in (*here, *there)}) == 1
    for changed_shards in (
        {first: [here[1], here[0], *here[2:]]},
        {first: [there[0], *here[1:]], second: [here[0], *there[1:]]},
        {second: [there[1], *there[1:]]},
    ):
        for path, records in changed_shards.items():
            path.write_bytes(b"".join(records))
        (digests,) = [one for one in check_data(sealed)[1] if one.part == DIGESTS_NAME]
        assert not is_sound([digests])
        assert digests.detail.startswith(str(next(iter(changed_shards))))
        assert not no_sentence(digests.detail)
        for path, content in contents.items():
            path.write_bytes(content)
    assert is_sound(check_data(sealed)[1])


@pytest.mark.parametrize("share", SHARES)
def test_damaged_digests(sealed: Path, share: int) -> None:
    """Taken as they are or in a sentence: they never make other examples of the same files."""
    expected = examples(sealed)
    path = sealed / DIGESTS_NAME
    stored = json.loads(path.read_text())
    inputs = [(what, text.encode()) for what, _, text, _ in mutated_values(stored)]
    inputs += [*mutated_text(stored), *mutated_bytes(path.read_bytes(), 96, 5), *sound_text(stored)]
    inputs = [(what, content) for what, content in inputs if content != path.read_bytes()]
    found, count = faults(
        inputs,
        share,
        22,
        lambda content: restored(path, content),
        lambda _, found: "" if examples_equal(found, expected) else "other examples",
    )
    assert count > len(inputs) // (2 * share)
    assert_none(found)


@pytest.mark.parametrize("name", [*JSON, INDEX_NAME, NAMES])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_files_that_are_none(data: Path, name: str, kind: str) -> None:
    path = data / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with in_time():
        with pytest.raises(BadInput) as problem:
            examples(data)
        assert not no_sentence(str(problem.value))
        _, findings = check_data(data)
    assert not is_sound(findings)


def test_edits_of_a_split_are_named_by_file_and_key(data: Path) -> None:
    path = data / "dataset_info.json"
    info = json.loads(path.read_text())
    for key, value, told in (
        ("shardLengths", ["4", "4"], "has shardLengths of 2 shards of split 'train', and the folder has 3"),
        ("shardLengths", ["4", "4", "5"], "says that the shards of split 'train' have [4, 4, 5] records"),
        ("shardLengths", [4, 4, 4], "splits.0.shardLengths is [4, 4, 4]; it must be a list of whole numbers"),
        ("numBytes", "1", "says that split 'train' has numBytes 1, and its shards have"),
        ("name", "training", "names the splits training, and"),
        ("filepathTemplate", "{SPLIT}-{SHARD}", "splits.0.filepathTemplate is '{SPLIT}-{SHARD}'"),
    ):
        path.write_text(json.dumps({**info, "splits": [{**info["splits"][0], key: value}]}))
        with pytest.raises(BadInput) as problem:
            examples(data)
        assert str(problem.value).startswith(str(path))
        assert told in str(problem.value)
        assert not is_sound(check_data(data)[1])
    path.write_text(json.dumps({**info, "name": "other"}))
    with pytest.raises(BadInput, match="is of the data set 'other', and toy-train"):
        examples(data)
    # Without the file nothing can be compared, and the check says so.
    path.unlink()
    assert len(examples(data)[0]) == COUNT
    assert not is_sound(check_data(data)[1])


def test_a_feature_of_another_package_is_not_imported(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = data / "features.json"
    (data / "harmful.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.syspath_prepend(str(data))
    path.write_text(path.read_text().replace("tensorflow_datasets.core.features.text_feature.Text", "harmful.Text"))
    with pytest.raises(BadInput, match=r"pythonClassName is 'harmful\.Text'; it must be a feature of TFDS"):
        open_dataset(data)
