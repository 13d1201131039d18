"""The order of examples is a function of seed and step; the batches are what was stored."""

import itertools
import json
import time

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import LABELS, write_dataset

from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import batch_sharding, make_mesh
from drumgan_jax.data.batches import DevicePrefetch, batches
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.digests import write_digests
from drumgan_jax.data.records import frame_record, masked_crc

COUNT = 24


class CountingDataset:
    """A data set whose examples are their own numbers."""

    directory = "numbers"

    def __init__(self, count):
        self.count = count

    def source(self, split):
        return range(self.count)

    def example(self, split, item, keys):
        return {"x": np.asarray(item)}


def order(count, batch_size, seed, start, steps, rows=None):
    with_rows = batches(CountingDataset(count), "train", ("x",), batch_size, seed, start, rows)
    taken = [batch["x"] for batch in itertools.islice(with_rows, steps)]
    with_rows.close()
    return np.stack(taken)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return open_dataset(write_dataset(tmp_path_factory.mktemp("data"), COUNT))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_order_is_a_function_of_seed_and_step(data):
    batch_size = data.draw(st.integers(1, 9))
    count = data.draw(st.integers(batch_size, 40))
    seed = data.draw(st.integers(0, 2**31 - 1))
    start = data.draw(st.integers(0, 12))
    whole = order(count, batch_size, seed, 0, start + 3)
    # Resuming: the step alone says where the order goes on.
    np.testing.assert_array_equal(order(count, batch_size, seed, start, 3), whole[start:])
    # Every epoch has every example once, and batches go across epochs without a gap.
    flat = order(count, batch_size, seed, 0, -(-2 * count // batch_size)).ravel()
    assert sorted(flat[:count]) == sorted(flat[count : 2 * count]) == list(range(count))
    # Any division of the rows among processes gives the same global batches.
    cut = data.draw(st.integers(0, batch_size))
    for rows in (np.arange(cut), np.arange(cut, batch_size)):
        if len(rows):
            np.testing.assert_array_equal(
                order(count, batch_size, seed, start, 2, rows), whole[start : start + 2, rows]
            )


@pytest.mark.smoke
def test_epochs_and_seeds_differ():
    first = order(COUNT, 8, 5, 0, 6).reshape(2, COUNT)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first[0], order(COUNT, 8, 6, 0, 3).ravel())


def test_batches_are_what_was_stored(dataset):
    batch = next(batches(dataset, "train", ("x", "labels", "waveforms"), 8, 0, 0))
    assert {key: (value.shape, value.dtype.name) for key, value in batch.items()} == {
        "x": ((8, *dataset.representation.shape), "float32"),
        "labels": ((8, len(LABELS)), "float32"),
        "waveforms": ((8, dataset.representation.num_samples), "float32"),
    }
    np.testing.assert_array_equal(batch["labels"].sum(axis=1), np.ones(8))
    # The stored features are those of the stored waveforms, but for their 16 bits.
    again = np.asarray(dataset.representation.transform(batch["waveforms"]))
    assert np.abs(np.exp(again) - np.exp(batch["x"])).max() < 1e-3


def test_only_what_is_asked_is_parsed(dataset):
    assert set(next(batches(dataset, "train", ("x",), 8, 0, 0))) == {"x"}


def test_waveforms_for_evaluation(dataset):
    parts = list(dataset.waveforms("train", 10, 4))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert np.abs(np.concatenate(parts)).max() <= 1.0
    assert sum(len(part) for part in dataset.waveforms("train", 1000, 32)) == COUNT


def test_labels_and_fingerprint_are_of_those_waveforms(dataset, tmp_path):
    source = dataset.source("train")
    order = np.random.default_rng(0).permutation(COUNT)[:10]
    expected = [dataset.parse(source[int(item)], ("labels", "waveforms")) for item in order]
    np.testing.assert_array_equal(dataset.labels("train", 10), [one["labels"] for one in expected])
    waveforms = np.concatenate(list(dataset.waveforms("train", 10, 4)))
    np.testing.assert_array_equal(waveforms, [one["waveforms"] for one in expected])
    assert [source.checksum(item) for item in range(COUNT)] == [masked_crc(source[item]) for item in range(COUNT)]

    again = open_dataset(write_dataset(tmp_path, COUNT))
    assert again.fingerprint("train", 10) == dataset.fingerprint("train", 10)
    other = open_dataset(write_dataset(tmp_path / "other", COUNT + 1))
    prints = {dataset.fingerprint("train", 10), dataset.fingerprint("train", 11), other.fingerprint("train", 10)}
    assert len(prints) == 3


def test_too_few_examples(dataset):
    with pytest.raises(
        BadInput, match=r"has 24 examples in split 'train', fewer than config\.train\.batch_size \(25\)"
    ):
        batches(dataset, "train", ("x",), 25, 0, 0)


def test_damaged_record_comes_through_the_threads(tmp_path):
    directory = write_dataset(tmp_path, COUNT)
    path = sorted(directory.glob("*.tfrecord-*"))[1]
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 4
    path.write_bytes(raw)
    mesh = make_mesh()
    feed = DevicePrefetch(batches(open_dataset(directory), "train", ("x",), 8, 0, 0), batch_sharding(mesh), 8, ahead=1)
    with pytest.raises(BadInput, match=f"{path.name}: record .* fails its checksum"):
        list(itertools.islice(feed, 4))


def test_open_dataset_finds_one_above_or_says_why_not(tmp_path, dataset):
    directory = write_dataset(tmp_path / "a")
    for path in (directory, directory.parent, directory.parent.parent):
        assert open_dataset(path).directory == directory
    assert open_dataset(directory).label_names == LABELS
    with pytest.raises(BadInput, match="is not a folder"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="holds no data set; make one with `drumgan prepare`"):
        open_dataset(tmp_path / "empty")
    (directory.parent / "2.0.0").mkdir()
    (directory.parent / "2.0.0" / "features.json").write_text((directory / "features.json").read_text())
    with pytest.raises(BadInput, match=r"holds 2 data sets \(1\.0\.0, 2\.0\.0\); give one of them"):
        open_dataset(directory.parent)


def test_damaged_descriptions(tmp_path):
    directory = write_dataset(tmp_path)
    described = json.loads((directory / "representation.json").read_text())
    (directory / "representation.json").write_text("{")
    with pytest.raises(BadInput, match=r"representation\.json is damaged"):
        open_dataset(directory)
    # Format 1 had the decoder's settings there, and no digests; a later format than ours is refused.
    (directory / "digests.json").unlink()
    (directory / "representation.json").write_text(json.dumps({**described, "griffin_lim_iterations": 3}))
    assert open_dataset(directory).representation == build_representation(described)
    (directory / "representation.json").write_text(json.dumps({**described, "format": 3}))
    with pytest.raises(BadInput, match="is of format 3, and this version reads up to 2; update drumgan_jax"):
        open_dataset(directory)
    (directory / "representation.json").write_text(json.dumps(described))
    (directory / "features.json").write_text("{}")
    with pytest.raises(BadInput, match=r"features\.json is damaged"):
        open_dataset(directory)


def test_changes_that_keep_a_file_valid_are_noticed(tmp_path, caplog):
    directory = write_dataset(tmp_path)
    (directory / "report.json").write_text("{}")
    write_digests(directory)
    names, shard = directory / "label.labels.txt", directory / "toy-train.tfrecord-00001-of-00002"
    for path, changed in (
        (names, b"snare\nkick\nhat\n"),
        (directory / "features.json", (directory / "features.json").read_bytes() + b"\n"),
        (shard, shard.read_bytes() + frame_record(b"more")),
    ):
        whole = path.read_bytes()
        path.write_bytes(changed)
        with pytest.raises(BadInput, match=f"{path} is missing or not as written; restore it, or prepare the data set"):
            open_dataset(directory)
        path.write_bytes(whole)
    # What depends on nothing may be changed, and what is made again may be gone.
    (directory / "report.json").write_text("edited")
    (directory / "record_index.npz").unlink()
    assert open_dataset(directory).num_examples("train") == COUNT
    assert not caplog.messages
    names.write_bytes(b"snare\nkick\nhat\n")
    (directory / "digests.json").write_text("{}")
    with pytest.raises(BadInput, match=r"digests\.json: format is None; it must be 1: restore it, or prepare"):
        open_dataset(directory)
    (directory / "digests.json").unlink()
    for _ in range(2):
        assert open_dataset(directory).label_names == ("snare", "kick", "hat")
    assert caplog.messages == [
        f"{directory} has no digests.json (an earlier version wrote none, or it was deleted), so changes in its files"
        " are not noticed."
    ]


def test_figures_are_of_the_split_test_where_there_is_one(tmp_path):
    dataset = open_dataset(write_dataset(tmp_path))
    assert dataset.held_out == "train"
    (dataset.directory / "toy-test.tfrecord-00000-of-00001").touch()
    assert dataset.held_out == "test"


def test_prefetch_is_ahead_and_measures_waiting():
    mesh = make_mesh()

    def slow():
        for step in itertools.count():
            time.sleep(0.05)
            yield {"x": np.full((8, 2), step, np.float32)}

    feed = DevicePrefetch(slow(), batch_sharding(mesh), 8, ahead=2)
    first = next(feed)["x"]
    assert first.sharding == batch_sharding(mesh)
    assert first.shape == (8, 2)
    waited = feed.waited
    assert waited > 0.04
    time.sleep(0.4)  # a step slow enough that the next batches are there
    np.testing.assert_array_equal(next(feed)["x"], np.ones((8, 2)))
    np.testing.assert_array_equal(jax.device_get(next(feed)["x"])[0], [2.0, 2.0])
    assert feed.waited - waited < 0.04
    feed.close()
