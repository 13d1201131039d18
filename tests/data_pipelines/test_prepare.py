"""`prepare` end to end: what is on disk, what is skipped, and that it is whole or absent."""

import copy
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import tensorflow_datasets as tfds
from ml_collections import ConfigDict
from scipy.stats import rankdata

from drumgan_jax.audio.descriptors import describe
from drumgan_jax.audio.representations import build_representation
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.write_lock import LOCK_NAME
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.records import RecordSource, frame_record
from drumgan_jax.data_pipelines import prepare as prepare_module
from drumgan_jax.data_pipelines import synthetic
from drumgan_jax.data_pipelines.prepare import prepare, summary

# TFDS asks protobuf for a field's label when it reads what it wrote.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

LOG_MAGNITUDE = {"kind": "log_magnitude", "sample_rate": 8000, "n_fft": 128, "hop_length": 64, "num_frames": 16}
LOG_MEL = {"kind": "log_mel", "sample_rate": 8000, "n_fft": 128, "hop_length": 64, "num_frames": 16, "num_mels": 8}
WAVEFORM = {"kind": "waveform", "sample_rate": 8000, "num_samples": 2000}


def config(representation=LOG_MAGNITUDE, slicing=None, **preparation):
    return ConfigDict(
        {
            "name": "small",
            "representation": dict(representation),
            "slicing": slicing or {"kind": "one_shot"},
            "preparation": preparation,
        }
    )


def examples(directory, split="train"):
    features = open_dataset(directory).features
    return [features.deserialize_example_np(record) for record in RecordSource(directory, split)]


def report(result):
    return json.loads((result.directory / "report.json").read_text())


def test_attributes_are_measured_stored_and_ranked(tmp_path):
    names = ("decay", "brightness")
    result = prepare(config(test_fraction=0.25, attributes=names), ["synthetic:drums?count=40"], tmp_path)
    dataset = open_dataset(result.directory)
    assert dataset.attributes.names == names
    stored = examples(result.directory)
    waveforms = np.stack([one["audio"] for one in stored]).astype(np.float32) / 32767
    described = describe(waveforms, 8000)
    measured = np.stack([one["attributes"] for one in stored])
    for column, name in enumerate(names):
        np.testing.assert_allclose(measured[:, column], described[name], rtol=0.01, atol=0.005)
    # Ranks among the training recordings, as SciPy has them.
    ranks = np.stack([dataset.example("train", item, ("attributes",))["attributes"] for item in range(len(stored))])
    wanted = (rankdata(measured, axis=0) - 1) / (len(stored) - 1)
    np.testing.assert_allclose(ranks, wanted, atol=0.03)
    order = np.random.default_rng(0).permutation(len(stored))[:5]
    np.testing.assert_array_equal(dataset.measured("train", 5), measured[order])
    assert dataset.example("test", 0, ("attributes",))["attributes"].shape == (2,)
    with pytest.raises(BadInput, match=r"config\.preparation\.attributes has 'loudness', which is no attribute; there"):
        prepare(config(attributes=("loudness",)), ["synthetic:drums?count=4"], tmp_path / "other")
    plain = open_dataset(prepare(config(), ["synthetic:drums?count=8"], tmp_path / "plain").directory)
    with pytest.raises(BadInput, match=r"has no attributes; prepare it with config\.preparation\.attributes"):
        plain.example("train", 0, ("attributes",))


@pytest.fixture(scope="module")
def drums(tmp_path_factory):
    """A data set of procedural one-shots, with a test split."""
    return prepare(config(test_fraction=0.25), ["synthetic:drums?count=48"], tmp_path_factory.mktemp("drums"))


@pytest.mark.smoke
def test_examples_are_the_features_of_their_audio(drums):
    assert drums.directory.parts[-2:] == ("small", "1.0.0")
    dataset = open_dataset(drums.directory)
    assert dataset.label_names == ("clap", "cymbal", "hat", "kick", "snare", "tom")
    assert dataset.num_examples("train") == drums.counts.examples["train"] > dataset.num_examples("test") > 4
    assert dataset.num_examples("train") + dataset.num_examples("test") == 48
    for example in examples(drums.directory)[:8]:
        assert example["path"].decode().startswith(dataset.label_names[example["label"]])
        waveform = example["audio"].astype(np.float32)[None] / 32767
        assert abs(np.abs(waveform).max() - 10 ** (-1 / 20)) < 1e-4
        expected = np.exp(np.asarray(dataset.representation.transform(waveform))[0])
        # What 16 bits leave: a rounding error of up to 1.5e-5 a sample, over a window of 128.
        np.testing.assert_allclose(np.exp(example["x"]), expected, atol=1e-3)


@pytest.mark.parametrize("representation", [LOG_MAGNITUDE, LOG_MEL])
def test_statistics_are_those_of_float64_over_the_train_split(tmp_path, representation):
    result = prepare(config(representation, test_fraction=0.25), ["synthetic:drums?count=24"], tmp_path)
    fitted = open_dataset(result.directory).representation
    x = np.stack([example["x"] for example in examples(result.directory)]).astype(np.float64)
    axes = (0, *(1 + axis for axis, size in enumerate(fitted.normalization_shape) if size == 1))
    np.testing.assert_allclose(np.ravel(fitted.mean), np.ravel(x.mean(axes)), rtol=1e-6)
    np.testing.assert_allclose(np.ravel(fitted.std), np.ravel(x.std(axes)), rtol=1e-6)
    assert fitted.mean != build_representation(representation).mean


def test_tfds_reads_the_data_set_without_our_code(drums):
    builder = tfds.builder_from_directory(drums.directory)
    assert builder.info.splits["test"].num_examples == drums.counts.examples["test"]
    ours = {example["path"]: example["x"] for example in examples(drums.directory, "test")}
    theirs = {example["path"]: example["x"] for example in tfds.as_numpy(builder.as_dataset(split="test"))}
    assert ours.keys() == theirs.keys()
    for path, x in ours.items():
        np.testing.assert_array_equal(x, theirs[path])


def test_the_report_tells_every_file(drums):
    told = report(drums)
    assert len(told["files"]) == told["counts"]["files"] == 48
    assert told["representation"]["mean"] is not None
    assert told["config"]["preparation"]["test_fraction"] == 0.25
    assert "48 of 48 files gave 48 examples" in summary(drums)
    assert "sound the same" not in summary(drums)
    held_out = [row["path"] for row in told["files"] if row["split"] == "test"]
    assert sorted(held_out) == sorted(example["path"].decode() for example in examples(drums.directory, "test"))


def test_same_input_same_shards_whatever_the_workers(tmp_path):
    source = ["synthetic:drums?count=40"]
    alone = prepare(config(), source, tmp_path / "a", workers=1).directory
    together = prepare(config(), source, tmp_path / "b", workers=2).directory
    assert {"digests.json", "record_index.npz"} < {path.name for path in alone.iterdir()}
    for path in sorted(alone.iterdir()):
        assert path.read_bytes() == (together / path.name).read_bytes(), path.name


def test_digests_are_of_all_that_was_written(drums):
    """As `sha256sum` tells them: of everything but the index, which is made of the shards where it is missing."""
    stored = json.loads((drums.directory / "digests.json").read_text())["sha256"]
    there = {path.name: path.read_bytes() for path in drums.directory.iterdir()}
    assert there.keys() - stored.keys() == {"digests.json", "record_index.npz"}
    for name, (size, digest) in stored.items():
        assert (len(there[name]), hashlib.sha256(there[name]).hexdigest()) == (size, digest)


def test_large_parts_are_closed_and_become_shards(tmp_path, monkeypatch):
    whole = prepare(config(WAVEFORM), ["synthetic:drums?count=40"], tmp_path / "whole").directory
    monkeypatch.setattr("drumgan_jax.data_pipelines.parts._MAX_PART_BYTES", 10_000)
    monkeypatch.setattr("drumgan_jax.data_pipelines.builder._SHARD_BYTES", 50_000)
    monkeypatch.setattr(prepare_module, "_CHUNKS", 2)
    split = prepare(config(WAVEFORM), ["synthetic:drums?count=40"], tmp_path / "split").directory
    assert len(list(split.glob("*.tfrecord-*"))) > 5
    assert [e["path"] for e in examples(split)] == [e["path"] for e in examples(whole)]
    assert sum(tfds.builder_from_directory(split).info.splits["train"].shard_lengths) == 40


def test_real_recordings(tmp_path, recordings):
    manifest = recordings / "drums" / "manifest.csv"
    chosen = config(labels=("kick", "clap"), min_activity=0.02)
    result = prepare(chosen, [str(manifest)], tmp_path, where=["source=garden|lmms|sonic-pi"])
    assert result.counts.used >= 40
    assert set(result.counts.labels) == {"kick", "clap"}
    assert result.counts.skipped["label not wanted"] > 40
    assert open_dataset(result.directory).label_names == ("kick", "clap")
    assert {example["source"].decode() for example in examples(result.directory)} <= {"garden", "lmms", "sonic-pi"}


def test_pitch_shifts_multiply_the_train_split_only(tmp_path):
    shifted = config(WAVEFORM, pitch_shifts=(-3.0, 0.0, 3.0), test_fraction=0.25)
    result = prepare(shifted, ["synthetic:drums?count=12"], tmp_path)
    assert result.counts.examples == {"train": 27, "test": 3}


def test_bars_of_a_folder(tmp_path):
    (tmp_path / "in").mkdir()
    for bpm in (100, 140):
        samples, _ = synthetic.bars(1, count=2, bpm=bpm)
        soundfile.write(tmp_path / "in" / f"loop {bpm} BPM.wav", samples, 44100)
    two_seconds = {**WAVEFORM, "num_samples": 16000}
    result = prepare(config(two_seconds, {"kind": "bar"}), [str(tmp_path / "in")], tmp_path)
    assert result.counts.examples == {"train": 4}
    starts = sorted((e["path"].decode(), round(float(e["start"]), 3)) for e in examples(result.directory))
    assert starts == [
        ("loop 100 BPM.wav", 0.0),
        ("loop 100 BPM.wav", 2.4),
        ("loop 140 BPM.wav", 0.0),
        ("loop 140 BPM.wav", round(240 / 140, 3)),
    ]


def test_mixes(tmp_path, recordings):
    clip = {"kind": "waveform", "sample_rate": 11025, "num_samples": 11025 * 8}
    rule = {"kind": "mix", "min_tempo": 60.0, "max_tempo": 200.0}
    manifest = [str(recordings / "mixes" / "manifest.csv")]
    result = prepare(config(clip, rule), manifest, tmp_path, where=["source=librosa-vibeace"])
    found = examples(result.directory)
    assert len(found) >= 8
    assert all(example["audio"].shape == (11025 * 8,) for example in found)
    assert np.ptp(np.diff([float(example["start"]) for example in found])[1:]) < 0.001


class TestTfdsSource:
    @pytest.fixture
    def audio_set(self, tmp_path):
        """A TFDS data set as others make them: a feature Audio, and labels."""

        class Claps(tfds.core.dataset_builder.FileReaderBuilder, skip_registration=True):
            VERSION = tfds.core.Version("1.0.0")

            def _info(self):
                audio = tfds.features.Audio(shape=(None,), sample_rate=44100, dtype=np.int64)
                label = tfds.features.ClassLabel(names=["clap", "tom"])
                return tfds.core.DatasetInfo(
                    builder=self, features=tfds.features.FeaturesDict({"audio": audio, "label": label})
                )

            def _download_and_prepare(self):
                raise NotImplementedError

        builder = Claps(data_dir=tmp_path)
        builder.data_path.mkdir(parents=True)
        features = builder.info.features
        from tensorflow_datasets.core import example_serializer

        serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
        shard = builder.data_path / "claps-train.tfrecord-00000-of-00001"
        with open(shard, "wb") as file:
            for index, voice in enumerate(["clap", "tom", "clap"]):
                samples = np.round(synthetic.one_shot(voice, index) * 32767).astype(np.int64)
                encoded = features.encode_example({"audio": samples, "label": voice})
                file.write(frame_record(serializer.serialize_example(encoded)))
        template = builder._get_filename_template("train")
        train = tfds.core.SplitInfo(
            name="train", shard_lengths=[3], num_bytes=os.path.getsize(shard), filename_template=template
        )
        builder.info.set_splits(tfds.core.SplitDict([train]))
        builder.info.write_to_directory(builder.data_dir)
        return builder.data_path

    def test_its_records_are_items(self, audio_set, tmp_path):
        result = prepare(config(WAVEFORM), [f"tfds:{audio_set}"], tmp_path / "out")
        found = examples(result.directory)
        assert sorted(example["path"].decode()[-1] for example in found) == ["0", "1", "2"]
        assert result.counts.labels["clap"] == {"train": 2}
        direct = prepare(config(WAVEFORM), ["synthetic:drums?count=12"], tmp_path / "direct")
        expected = next(e["audio"] for e in examples(direct.directory) if e["path"] == b"tom/000001")
        got = next(e["audio"] for e in found if e["label"] == 1)
        np.testing.assert_allclose(got, expected, atol=4)

    def test_one_without_a_rate_is_told(self, drums):
        with pytest.raises(BadInput, match="sample rate"):
            prepare(config(), [f"tfds:{drums.directory}"], drums.directory.parent)


@pytest.mark.smoke
def test_bad_files_are_skipped_counted_and_listed(tmp_path):
    folder = tmp_path / "Zoo mit ü 鼓" / "kick"
    folder.mkdir(parents=True)
    sound = synthetic.one_shot("kick", 0)
    soundfile.write(folder / "good.wav", sound, 44100)
    soundfile.write(folder / "eight bit.wav", sound, 44100, subtype="PCM_U8")
    soundfile.write(folder / "96k.flac", np.repeat(sound, 2), 96000)
    soundfile.write(folder / "six channels.wav", np.tile(sound[:, None], (1, 6)), 44100)
    soundfile.write(folder / "太鼓 kick.aiff", sound, 44100)
    soundfile.write(folder / "really flac.flac", sound, 44100)
    (folder / "really flac.flac").rename(folder / "mislabelled.mp3")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("not audio at all")
    (folder / "truncated.wav").write_bytes((folder / "good.wav").read_bytes()[:9000])
    (folder / "unreadable.flac").symlink_to(folder / "gone")
    soundfile.write(folder / "no samples.wav", np.zeros(0), 44100)
    soundfile.write(folder / "silent.wav", np.zeros(4000), 44100)
    soundfile.write(folder / "hiss.wav", 1e-4 * np.ones(4000), 44100, subtype="PCM_24")
    soundfile.write(folder / "nan.wav", np.full(4000, np.nan), 44100, subtype="FLOAT")
    soundfile.write(folder / "inf.wav", np.full(4000, np.inf), 44100, subtype="FLOAT")
    result = prepare(config(), [str(folder.parent)], tmp_path / "out")
    rows = {Path(row["path"]).name: row for row in report(result)["files"]}
    assert len(rows) == 15
    good = {"good.wav", "eight bit.wav", "96k.flac", "six channels.wav", "太鼓 kick.aiff", "mislabelled.mp3"}
    assert {name for name, row in rows.items() if row["kept"]} == good
    assert result.counts.used == len(good)
    # The same samples as WAV, AIFF and FLAC.
    copies = len(good) - len({row["digest"] for row in rows.values() if row["kept"]})
    assert copies == 2
    assert f"note: {copies} of the {len(good)} files sound the same" in summary(result)
    assert sum(result.counts.skipped.values()) == len(rows) - len(good)
    reasons = {name: row["skipped"][0]["reason"] for name, row in rows.items() if name not in good}
    assert reasons["silent.wav"] == reasons["hiss.wav"] == "silent"
    for name in ("empty.wav", "text.wav", "truncated.wav", "unreadable.flac", "nan.wav", "inf.wav", "no samples.wav"):
        assert reasons[name].startswith("unusable: "), reasons[name]
        assert str(folder) not in reasons[name], "the reason is the same for all such files"


def test_a_file_that_breaks_a_library_is_skipped(tmp_path, monkeypatch):
    from drumgan_jax.data_pipelines import chunks

    opened = chunks.open_item

    def fragile(item):
        if item.label == "tom":
            raise ZeroDivisionError("a bug in a decoder")
        return opened(item)

    monkeypatch.setattr(chunks, "open_item", fragile)
    result = prepare(config(), ["synthetic:drums?count=12"], tmp_path)
    assert result.counts.examples == {"train": 10}
    assert result.counts.skipped == {"failed: ZeroDivisionError: a bug in a decoder": 2}


def test_nothing_kept_leaves_nothing(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(4000), 44100)
    with pytest.raises(BadInput, match=r"none of 1 files .* silent"):
        prepare(config(), [str(tmp_path)], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(BadInput, match="no file has the label 'gong'"):
        prepare(config(labels=("kick", "gong")), ["synthetic:drums?count=6"], tmp_path / "out")


def test_a_data_set_is_replaced_only_if_asked(tmp_path):
    first = prepare(config(), ["synthetic:drums?count=6"], tmp_path)
    with pytest.raises(BadInput, match="--overwrite"):
        prepare(config(), ["synthetic:drums?count=12"], tmp_path)
    assert open_dataset(tmp_path).num_examples("train") == 6
    second = prepare(config(WAVEFORM), ["synthetic:drums?count=12"], tmp_path, overwrite=True)
    assert second.directory == first.directory
    assert len(RecordSource(second.directory, "train")) == 12
    assert os.listdir(tmp_path / "small") == ["1.0.0"]


def test_an_overwrite_that_fails_keeps_the_old(tmp_path):
    prepare(config(), ["synthetic:drums?count=6"], tmp_path)
    soundfile.write(tmp_path / "a.wav", np.zeros(4000), 44100)
    with pytest.raises(BadInput, match="silent"):
        prepare(config(), [str(tmp_path / "a.wav").rpartition("/")[0]], tmp_path, overwrite=True)
    assert open_dataset(tmp_path).num_examples("train") == 6


def test_without_exchange_the_old_is_moved_aside(tmp_path, monkeypatch):
    class NoExchange:
        def renameat2(self, *arguments):
            return -1

    prepare(config(), ["synthetic:drums?count=6"], tmp_path)
    monkeypatch.setattr("ctypes.CDLL", lambda *arguments, **options: NoExchange())
    prepare(config(), ["synthetic:drums?count=12"], tmp_path, overwrite=True)
    assert open_dataset(tmp_path).num_examples("train") == 12
    assert os.listdir(tmp_path / "small") == ["1.0.0"]


KILLED = """
import sys
from drumgan_jax.data_pipelines.prepare import prepare
config = {"name": "small", "representation": {"kind": "waveform", "sample_rate": 8000, "num_samples": 2000},
          "slicing": {"kind": "one_shot"}, "preparation": {}}
prepare(config, ["synthetic:bars?count=2000&bars=4"], sys.argv[1], workers=2)
"""


def test_a_manifest_divided_by_licence_source_and_hat(tmp_path):
    rows = [
        ("a.wav", "kick", "mine", "CC0-1.0", ""),
        ("b.wav", "cymbal", "mine", "Public domain (its README)", "hihat_open"),
        ("c.wav", "cymbal", "mine", "CC0-1.0", "ride"),
        ("d.wav", "kick", "mine", "GPL-3.0", ""),
        ("e.wav", "kick", "shop", "GPL-3.0", ""),
        ("f.wav", "kick", "held", "Unlicense", ""),
    ]
    for name, *_ in rows:
        soundfile.write(tmp_path / name, synthetic.one_shot("kick", ord(name[0]), 0), synthetic.SAMPLE_RATE)
    lines = ["path,label,source,licence,subclass", *(",".join(row) for row in rows)]
    (tmp_path / "manifest.csv").write_text("\n".join(lines))
    chosen = config(test_sources=("held",), validation_sources=("shop",), hats=True)
    result = prepare(chosen, [str(tmp_path / "manifest.csv")], tmp_path, where=["licence~free or source=shop"])
    dataset = open_dataset(result.directory)
    assert dataset.splits == ("train", "validation", "test")
    assert dataset.label_names == ("cymbal", "kick", "open_hat")
    found = {split: sorted(dataset.classes_and_sources(split)[0].tolist()) for split in dataset.splits}
    assert found == {"train": [0, 1, 2], "validation": [1], "test": [1]}


def test_a_killed_run_leaves_nothing_and_the_next_clears_up(tmp_path, repository):
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], cwd=repository, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not any(path.stat().st_size > 24 for path in tmp_path.glob("small/.preparing-*/parts/progress")):
            assert run.poll() is None, "the run ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(
            BadInput, match=rf"small is being written by `drumgan prepare` \(process {run.pid} on .*; wait"
        ):
            prepare(config(), ["synthetic:drums?count=6"], tmp_path)
        workers = psutil.Process(run.pid).children(recursive=True)
        assert workers
    finally:
        run.kill()
        run.wait()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive, "workers outlived their run"
    assert [path.name[:11] for path in (tmp_path / "small").glob("*") if path.name != LOCK_NAME] == [".preparing-"]
    with pytest.raises(BadInput, match="holds no data set"):
        open_dataset(tmp_path)
    prepare(config(), ["synthetic:drums?count=6"], tmp_path)
    assert os.listdir(tmp_path / "small") == ["1.0.0"]


def test_a_full_disk_is_told(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))
    try:
        with pytest.raises(BadInput, match=r"cannot be written .* --data_dir"):
            prepare(config(), ["synthetic:drums?count=200"], tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"name": "My Loops"}, "config.name"),
        ({"slicing": {"kind": "loops"}}, "config.slicing.kind"),
        ({"representation": {**LOG_MAGNITUDE, "n_fft": 127}}, "n_fft"),
        ({"preparation": {"normalization": "max"}}, "normalization"),
    ],
)
def test_bad_configs_are_told_before_any_work(tmp_path, change, word):
    changed = {**config().to_dict(), **change}
    before = copy.deepcopy(changed)
    with pytest.raises(BadInput, match=word):
        prepare(changed, ["synthetic:drums?count=6"], tmp_path / "out")
    assert changed == before
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("module", "changed", "options", "purpose"),
    [
        ("apache_beam", {}, {"workers": 2}, "more than one worker"),
        ("apache_beam", {}, {"runner": "flink"}, "--runner=FlinkRunner"),
        ("pyloudnorm", {"normalization": "loudness", "level": -16.0}, {}, "config.preparation.normalization=loudness"),
    ],
)
def test_a_missing_library_is_told_where_it_is_needed(tmp_path, monkeypatch, module, changed, options, purpose):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadInput, match=rf"{purpose} needs {module}.*drumgan-jax\[prepare\]"):
        prepare(config(**changed), ["synthetic:bars?count=2"], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


# Neither imported nor found, as where they are not installed.
WITHOUT_EXTRAS = """
from importlib.machinery import PathFinder
absent, find = {"apache_beam", "librosa", "pyloudnorm", "pedalboard", "clu", "tensorflow"}, PathFinder.find_spec
PathFinder.find_spec = lambda name, *where: None if name.split(".")[0] in absent else find(name, *where)
from drumgan_jax.cli import main
main()
"""


def test_without_extras_one_process_writes_the_same_shards(tmp_path):
    """The estimate asks for more workers than one, and there is no Beam to have them by."""
    source, whole = ["synthetic:drums?count=40"], config(LOG_MAGNITUDE)
    (tmp_path / "own.py").write_text(
        f"from ml_collections import ConfigDict\ndef get_config(): return ConfigDict({whole.to_dict()!r})"
    )
    few = "from drumgan_jax.data_pipelines import builder; builder._SECONDS_FOR_WORKERS = 0"
    command = [sys.executable, "-c", WITHOUT_EXTRAS.replace("main()", f"{few}; main()"), "prepare"]
    command += ["--config=own.py", f"--audio={source[0]}", "--data_dir=alone"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    alone = tmp_path / "alone" / "small" / "1.0.0"
    together = prepare(whole, source, tmp_path / "together", workers=2).directory
    for path in sorted(together.glob("*.tfrecord*")):
        assert path.read_bytes() == (alone / path.name).read_bytes(), path.name


@pytest.mark.usefixtures("no_pedalboard")
def test_a_missing_stretcher_is_told(tmp_path):
    with pytest.raises(BadInput, match=r"drumgan-jax\[stretch\]"):
        prepare(config(slicing={"kind": "bar"}), ["synthetic:bars?count=2"], tmp_path)


def test_the_command_line(tmp_path, repository):
    """The verb itself, in a process of its own, without TensorFlow and without a word of Beam's."""
    check = "import sys; from drumgan_jax.cli import main; main(); assert 'tensorflow' not in sys.modules"
    command = [
        sys.executable,
        "-W",
        "error",
        "-W",
        "ignore::DeprecationWarning",
        "-c",
        check,
        "prepare",
        "--config=configs/splice_loops.py:tiny",
    ]
    command += ["--audio=synthetic:drums?count=12", f"--data_dir={tmp_path}"]
    run = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "12 of 12 files gave 12 examples" in run.stdout
    assert "WARNING" not in run.stderr
    assert "12/12" in run.stderr
    assert open_dataset(tmp_path).num_examples("train") == 12
    shutil.rmtree(tmp_path / "splice_loops")
    run = subprocess.run(
        [*command[:-2], "--audio=nowhere"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert run.returncode == 2
    assert run.stderr.strip().startswith("drumgan prepare: nowhere does not exist")
