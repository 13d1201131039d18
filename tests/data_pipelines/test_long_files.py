"""Long recordings: what is read of them at a time, what they give, and where a damaged one is found out."""

import json
import tracemalloc

import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict

from benchmarks import bench_long_file
from drumgan_jax.audio import files, recordings
from drumgan_jax.audio.files import read_audio
from drumgan_jax.audio.recordings import open_recording
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data.records import RecordSource
from drumgan_jax.data_pipelines.conditioning import to_mono
from drumgan_jax.data_pipelines.prepare import prepare

RATE = 8000
# TFDS asks protobuf for a field's label when it reads what it wrote.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")


def noise(frames, channels=2):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)


def config(slicing, **preparation):
    representation = {"kind": "waveform", "sample_rate": RATE, "num_samples": 2000}
    return ConfigDict(
        {"name": "long", "representation": representation, "slicing": slicing, "preparation": preparation}
    )


def examples(directory):
    features = open_dataset(directory).features
    return [features.deserialize_example_np(record) for record in RecordSource(directory, "train")]


@pytest.fixture
def small_blocks(monkeypatch):
    """Files of more than 3,000 samples are long, and are read in blocks of 500."""
    monkeypatch.setattr(files, "_BLOCK", 500)
    monkeypatch.setattr(recordings, "_HELD", 3000)


@pytest.mark.smoke
@pytest.mark.parametrize("suffix", [".wav", ".flac", ".aiff", ".ogg", ".mp3"])
def test_the_blocks_of_a_long_file_are_those_of_the_whole(tmp_path, small_blocks, suffix):
    path = tmp_path / f"sound{suffix}"
    soundfile.write(path, noise(7777), 44100)
    whole = read_audio(path)
    recording = open_recording(path)
    assert not recording.is_held
    assert (recording.sample_rate, recording.channels, recording.frames) == (44100, 2, len(whole.samples))
    for _ in range(2):
        blocks = list(recording.blocks())
        assert max(block.size for block in blocks) <= 500
        np.testing.assert_array_equal(np.concatenate(blocks), whole.samples)
    soundfile.write(path, noise(1400), 44100)
    short = open_recording(path)
    assert short.is_held
    np.testing.assert_array_equal(next(short.blocks()), read_audio(path).samples)


@pytest.mark.parametrize(
    ("slicing", "channel", "rate"),
    [
        ({"kind": "loop", "stride": 0.1}, "mix", RATE),
        ({"kind": "loop", "stride": 0.1}, "louder", 11025),
        ({"kind": "one_shot"}, "side", 11025),
        ({"kind": "mix", "min_tempo": 60.0, "block": 4.0}, "1", 11025),
    ],
)
def test_long_files_give_the_examples_of_short_ones(tmp_path, monkeypatch, slicing, channel, rate):
    beats = np.tile(np.exp(-np.arange(rate // 2) / 400), 20)[:, None] * noise(20 * (rate // 2)) * [0.5, 1.0]
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", np.concatenate([np.zeros((700, 2)), beats]), rate, subtype="FLOAT")
    chosen = config(slicing, channel=channel)
    short = examples(prepare(chosen, [str(tmp_path / "in")], tmp_path / "short").directory)
    monkeypatch.setattr(files, "_BLOCK", 5000)
    monkeypatch.setattr(recordings, "_HELD", 10_000)
    long = examples(prepare(chosen, [str(tmp_path / "in")], tmp_path / "long").directory)
    assert len(short) == len(long) > 0
    for one, other in zip(short, long, strict=True):
        assert one["start"] == other["start"]
        np.testing.assert_array_equal(one["audio"], other["audio"])


def test_what_is_said_of_the_channels_of_long_files(tmp_path, small_blocks):
    folder = tmp_path / "in"
    folder.mkdir()
    one = noise(9000, 1)
    soundfile.write(folder / "cancels.wav", np.concatenate([one, -one], axis=1), RATE, subtype="FLOAT")
    soundfile.write(folder / "nearly.wav", np.concatenate([one, -0.9 * one], axis=1), RATE, subtype="FLOAT")
    soundfile.write(folder / "mono.wav", one, RATE)
    soundfile.write(folder / "silent.wav", 0 * one, RATE)
    soundfile.write(folder / "click.wav", np.eye(9000, 1), RATE)
    result = prepare(config({"kind": "one_shot"}), [str(folder)], tmp_path / "out")
    rows = {row["path"]: row for row in json.loads((result.directory / "report.json").read_text())["files"]}
    reasons = {path: row["skipped"][0]["reason"] for path, row in rows.items() if not row["kept"]}
    assert reasons.pop("cancels.wav").startswith("silent: its channels cancel")
    assert reasons.pop("click.wav").startswith("the sound is shorter than 5 ms")
    assert reasons == {"silent.wav": "silent"}
    assert [path for path, row in rows.items() if "notes" in row] == ["nearly.wav"]
    with pytest.raises(BadInput, match="no channel 2: the recording has 2 channels"):
        list(to_mono(open_recording(folder / "nearly.wav"), "2", RATE)[:])


def test_a_long_file_that_is_damaged_near_its_end_gives_nothing(tmp_path, small_blocks):
    (tmp_path / "in").mkdir()
    samples = noise(40_000)
    samples[39_000, 1] = np.nan
    soundfile.write(tmp_path / "in" / "nan.wav", samples, RATE, subtype="FLOAT")
    soundfile.write(tmp_path / "in" / "cut.flac", noise(40_000), RATE)
    content = (tmp_path / "in" / "cut.flac").read_bytes()
    (tmp_path / "in" / "cut.flac").write_bytes(content[: len(content) * 9 // 10])
    soundfile.write(tmp_path / "in" / "good.wav", noise(40_000), RATE)
    result = prepare(config({"kind": "loop"}), [str(tmp_path / "in")], tmp_path / "out")
    rows = {row["path"]: row for row in json.loads((result.directory / "report.json").read_text())["files"]}
    assert {path: row["kept"] for path, row in rows.items()} == {"nan.wav": 0, "cut.flac": 0, "good.wav": 20}
    assert rows["nan.wav"]["skipped"] == [
        {"start": 0.0, "reason": "unusable: holds NaN or infinite samples; export it again."}
    ]
    assert "unusable: " in rows["cut.flac"]["skipped"][0]["reason"]


def test_hours_take_the_memory_of_minutes_and_are_reported_in_a_line(tmp_path):
    (tmp_path / "in").mkdir()
    hours = 2
    # 230 MB as numbers, and a few pages on the disk.
    bench_long_file.write_sparse(tmp_path / "in" / "night.wav", 3600 * hours, music=4.0, rate=RATE, channels=1)
    tracemalloc.start()
    try:
        result = prepare(config({"kind": "loop", "stride": 3.0}), [str(tmp_path / "in")], tmp_path / "out")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60e6
    (row,) = json.loads((result.directory / "report.json").read_text())["files"]
    assert row["kept"] == 2
    assert row["skipped"] == [{"start": 6.0, "reason": "silent", "times": hours * 1200 - 2}]
    assert result.counts.skipped == {"silent": hours * 1200 - 2}


@pytest.mark.slow
def test_a_day_takes_less_than_600_mib(tmp_path):
    bench_long_file.write_sparse(tmp_path / "day.wav", 24 * 3600)
    row = bench_long_file.run("splice_loops:full", tmp_path, 24)
    assert row["examples"] >= 6 * 30
    assert row["peak_mib"] < bench_long_file.LIMIT_MIB
