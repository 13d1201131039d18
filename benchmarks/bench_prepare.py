"""`drumgan prepare` against a plain loop with librosa, and its memory against the number of files.

    python -m benchmarks.bench_prepare [--audio=FOLDER] [--files=6000] [--rounds=1] [--json=PATH]

The plain loop is one process: librosa.load (which resamples), slice, librosa.stft, logarithm, tf.train.Example,
TFRecordWriter. Imports are not counted on either side; the start of our worker processes, about 4 seconds, is. The
examples of both must be equal. The files are loops, as splice_loops' full config takes them: of FOLDER, or procedural
ones of two bars, taken several times over up to the number of files asked (the paper has 45,000).
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

RATE, N_FFT, HOP, FRAMES, FLOOR = 22050, 512, 128, 512, 1e-3
NUM_SAMPLES = (FRAMES - 1) * HOP
ROOT = Path(__file__).resolve().parent.parent
PROCEDURAL_LOOPS = 100
MEMORY_FILES = 300


def config() -> dict:
    """splice_loops' full config, as far as prepare reads it."""
    representation = {"sample_rate": RATE, "n_fft": N_FFT, "hop_length": HOP, "num_frames": FRAMES, "floor": FLOOR}
    return {
        "name": "bench",
        "representation": {"kind": "log_magnitude", **representation},
        "slicing": {"kind": "loop"},
        "preparation": {},
    }


def plain_loop(folder: Path, out: Path) -> int:
    """The loop to beat; returns how many examples it wrote."""
    import librosa
    import tensorflow as tf

    def bytes_feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    written = 0
    with tf.io.TFRecordWriter(str(out)) as writer:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            samples, _ = librosa.load(path, sr=RATE, mono=True)
            for start in range(0, len(samples) - NUM_SAMPLES + 1, NUM_SAMPLES):
                waveform = samples[start : start + NUM_SAMPLES]
                peak = np.abs(waveform).max()
                if peak < 1e-3:
                    continue
                waveform = waveform * (10 ** (-1 / 20) / peak)
                spectrum = librosa.stft(waveform, n_fft=N_FFT, hop_length=HOP, pad_mode="constant")
                x = np.log(np.abs(spectrum[:-1]) + FLOOR).astype(np.float32)[..., None]
                features = {
                    "x": bytes_feature(x.tobytes()),
                    "audio": bytes_feature(np.round(waveform * 32767).astype(np.int16).tobytes()),
                    "label": bytes_feature(path.parent.name.encode()),
                    "path": bytes_feature(path.relative_to(folder).as_posix().encode()),
                    "start": tf.train.Feature(float_list=tf.train.FloatList(value=[start / RATE])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
                written += 1
    return written


def assert_equal(plain: Path, ours: Path) -> None:
    """Both wrote the same examples: the same paths, the same spectra."""
    import tensorflow as tf

    from drumgan_jax.data.dataset import open_dataset
    from drumgan_jax.data.records import RecordSource

    theirs = {}
    for record in tf.data.TFRecordDataset(str(plain)).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        key = feature["path"].bytes_list.value[0], round(feature["start"].float_list.value[0], 3)
        if len(theirs) < 2000:  # More would not fit in memory on a small machine.
            theirs[key] = feature["x"].bytes_list.value[0]
    dataset, source = open_dataset(ours), RecordSource(ours, "train")
    compared = 0
    for number in range(len(source)):
        example = dataset.features.deserialize_example_np(source[number])
        other = theirs.pop((example["path"], round(float(example["start"]), 3)), None)
        if other is not None:
            mine, other = np.exp(example["x"].ravel()), np.exp(np.frombuffer(other, np.float32))
            error = np.linalg.norm(mine - other) / np.linalg.norm(other)
            assert error < 1e-3, f"{example['path']}: the spectra differ by {error:.1e}"
            compared += 1
    assert not theirs, f"{len(theirs)} of {compared + len(theirs)} examples are missing"


def compare(folder: Path, rounds: int) -> dict:
    """Seconds of both, alternating, and the median of the ratios."""
    from drumgan_jax.data_pipelines import builder  # noqa: F401  imports are not counted
    from drumgan_jax.data_pipelines.prepare import prepare

    plain, ours = [], []
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        warm = out / "warm" / "x.wav"
        _write_tone(warm)
        plain_loop(warm.parent, out / "warm.tfrecord")
        for number in range(rounds):
            os.sync()  # What the disk has still to do for one is not to slow the other.
            started = time.perf_counter()
            examples = plain_loop(folder, out / "plain.tfrecord")
            plain.append(time.perf_counter() - started)
            os.sync()
            started = time.perf_counter()
            result = prepare(config(), [str(folder)], out / str(number))
            ours.append(time.perf_counter() - started)
            assert result.counts.examples["train"] == examples, f"{result.counts.examples} against {examples}"
        assert_equal(out / "plain.tfrecord", result.directory)
    ratio = statistics.median(p / o for p, o in zip(plain, ours, strict=True))
    return {
        "examples": examples,
        "plain_seconds": plain,
        "prepare_seconds": ours,
        "ratio": ratio,
        "cores": os.cpu_count(),
    }


def _write_tone(path: Path) -> None:
    import soundfile

    path.parent.mkdir()
    soundfile.write(path, np.sin(np.arange(20000) / 9), 44100)


def memory(files: int) -> dict:
    """Peak resident memory of a run over procedural one-shots, in MiB: the main process, and its largest worker."""
    with tempfile.TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "benchmarks.bench_prepare", f"--measure={files}", f"--scratch={scratch}"]
        out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def measure(files: int, scratch: str) -> None:
    """What the process that `memory` starts does."""
    from drumgan_jax.data_pipelines.prepare import prepare

    prepare(config(), [f"synthetic:bars?count={files}&bars=2"], scratch, workers=2)
    # Not ru_maxrss for this process: it remembers the parent it was forked from.
    status = Path("/proc/self/status").read_text()
    own = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"files": files, "main_mib": round(own), "worker_mib": round(workers)}))


def procedural_folder(scratch: str) -> Path:
    """Stereo WAV files of procedural loops of two bars."""
    import soundfile

    from drumgan_jax.data_pipelines import synthetic

    folder = Path(scratch) / "procedural"
    folder.mkdir()
    for index in range(PROCEDURAL_LOOPS):
        samples, _ = synthetic.bars(index, count=2)
        soundfile.write(folder / f"{index:05d}.wav", np.stack([samples, 0.9 * samples], axis=1), synthetic.SAMPLE_RATE)
    return folder


def copied(folder: Path, files: int, scratch: str) -> Path:
    """A folder with `files` links to the files of another, as often as needed."""
    root = Path(scratch) / "copies"
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for number in range(files):
        path = paths[number % len(paths)]
        link = root / str(number // len(paths)) / path.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path.resolve())
    return root


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", default="")
    parser.add_argument("--files", type=int, default=6000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", default="")
    parser.add_argument("--measure", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.scratch)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(arguments.audio) if arguments.audio else procedural_folder(scratch)
        speed = compare(copied(folder, arguments.files, scratch), arguments.rounds)
    peaks = [memory(MEMORY_FILES), memory(4 * MEMORY_FILES)]
    print(f"{speed['examples']} examples on {speed['cores']} cores")
    print(f"  plain loop   {statistics.median(speed['plain_seconds']):7.1f} s")
    print(f"  prepare      {statistics.median(speed['prepare_seconds']):7.1f} s   {speed['ratio']:.2f} times as fast")
    for peak in peaks:
        print(f"  {peak['files']:>5} files: main {peak['main_mib']} MiB, largest worker {peak['worker_mib']} MiB")
    result = {"benchmark": "prepare", **speed, "memory": peaks}
    print(json.dumps(result))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
