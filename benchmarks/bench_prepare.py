"""`drumgan prepare` against a plain loop with librosa, and its memory against the number of files.

    python -m benchmarks.bench_prepare [--audio=FOLDER] [--copies=4] [--rounds=3] [--json=PATH]

The plain loop is one process: librosa.load (which resamples), slice, librosa.stft, logarithm, tf.train.Example,
TFRecordWriter. Imports are not counted on either side; the start of our worker processes is. The examples of both must
be equal. Without --audio: the one-shots beside the checkout if they are there, else 2,000 procedural ones; they are
taken `copies` times over, since our processes' start of a few seconds counts for less the more there is to do.
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

RATE, N_FFT, HOP, FRAMES, FLOOR = 22050, 512, 128, 128, 1e-3
NUM_SAMPLES = (FRAMES - 1) * HOP
ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT.parent / "shared" / "data" / "drums" / "one_shots"
MEMORY_FILES = 1000


def config() -> dict:
    """A config like splice_loops' small one."""
    representation = {"sample_rate": RATE, "n_fft": N_FFT, "hop_length": HOP, "num_frames": FRAMES, "floor": FLOOR}
    return {
        "name": "bench",
        "representation": {"kind": "log_magnitude", **representation},
        "slicing": {"kind": "one_shot"},
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
            sliced = plain_slice(samples)
            if sliced is None:
                continue
            waveform, start = sliced
            spectrum = librosa.stft(waveform, n_fft=N_FFT, hop_length=HOP, pad_mode="constant")
            x = np.log(np.abs(spectrum[:-1]) + FLOOR).astype(np.float32)[..., None]
            features = {
                "x": bytes_feature(x.tobytes()),
                "audio": bytes_feature(np.round(waveform * 32767).astype(np.int16).tobytes()),
                "label": bytes_feature(path.parent.name.encode()),
                "path": bytes_feature(path.relative_to(folder).as_posix().encode()),
                "start": tf.train.Feature(float_list=tf.train.FloatList(value=[start])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
            written += 1
    return written


def plain_slice(samples: np.ndarray) -> tuple[np.ndarray, float] | None:
    """The one-shot rule: onset at -40 dB, 2 ms before it, fades of 0.5 and 10 ms, peak at -1 dB."""
    level = np.abs(samples)
    if level.max() == 0:
        return None
    start = max(0, int(np.argmax(level >= level.max() * 0.01)) - 44)
    sound = samples[start : start + NUM_SAMPLES].copy()
    fade_in, fade_out = min(11, len(sound)), min(220, len(sound))
    sound[:fade_in] *= np.arange(1, fade_in + 1) / (fade_in + 1)
    sound[len(sound) - fade_out :] *= np.arange(fade_out, 0, -1) / (fade_out + 1)
    peak = np.abs(sound).max()
    if peak < 1e-3:
        return None
    sound *= 10 ** (-1 / 20) / peak
    return np.pad(sound, (0, NUM_SAMPLES - len(sound))), start / RATE


def assert_equal(plain: Path, ours: Path) -> None:
    """Both wrote the same examples: the same paths, the same spectra."""
    import tensorflow as tf

    from drumgan_jax.training.data import open_dataset
    from drumgan_jax.training.records import RecordSource

    spectra = {}
    for record in tf.data.TFRecordDataset(str(plain)).as_numpy_iterator():
        feature = tf.train.Example.FromString(record).features.feature
        spectra[feature["path"].bytes_list.value[0]] = np.frombuffer(feature["x"].bytes_list.value[0], np.float32)
    dataset, source = open_dataset(ours), RecordSource(ours, "train")
    assert len(source) == len(spectra), f"{len(source)} examples against {len(spectra)}"
    for number in range(len(source)):
        example = dataset.features.deserialize_example_np(source[number])
        # As magnitudes; librosa rounds the length of a resampled file up, so a fade may end one sample later.
        mine, other = np.exp(example["x"].ravel()), np.exp(spectra[example["path"]])
        error = np.linalg.norm(mine - other) / np.linalg.norm(other)
        assert error < 5e-3, f"{example['path']}: the spectra differ by {error:.1e}"


def compare(folder: Path, rounds: int) -> dict:
    """Seconds of both, alternating, and the median of the ratios."""
    from data_pipelines import builder  # noqa: F401: imports are not counted.
    from data_pipelines.prepare import prepare

    plain, ours = [], []
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch)
        warm = out / "warm" / "x.wav"
        _write_tone(warm)
        plain_loop(warm.parent, out / "warm.tfrecord")
        for number in range(rounds):
            started = time.perf_counter()
            files = plain_loop(folder, out / "plain.tfrecord")
            plain.append(time.perf_counter() - started)
            started = time.perf_counter()
            result = prepare(config(), [str(folder)], out / str(number))
            ours.append(time.perf_counter() - started)
        assert_equal(out / "plain.tfrecord", result.directory)
    ratio = statistics.median(p / o for p, o in zip(plain, ours, strict=True))
    return {"examples": files, "plain_seconds": plain, "prepare_seconds": ours, "ratio": ratio, "cores": os.cpu_count()}


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
    from data_pipelines.prepare import prepare

    prepare(config(), [f"synthetic:drums?count={files}"], scratch, workers=2)
    # Not ru_maxrss for this process: it remembers the parent it was forked from.
    status = Path("/proc/self/status").read_text()
    own = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(json.dumps({"files": files, "main_mib": round(own), "worker_mib": round(workers)}))


def procedural_folder(scratch: str, count: int) -> Path:
    """WAV files of the procedural set."""
    import soundfile

    from data_pipelines import synthetic

    folder = Path(scratch) / "procedural"
    for index in range(count):
        voice = list(synthetic.VOICES)[index % 6]
        (folder / voice).mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / voice / f"{index:05d}.wav", synthetic.one_shot(voice, index), 44100)
    return folder


def copied(folder: Path, copies: int, scratch: str) -> Path:
    """A folder with links to all files, several times."""
    root = Path(scratch) / "copies"
    for path in sorted(folder.rglob("*")):
        for number in range(copies if path.is_file() else 0):
            link = root / str(number) / path.relative_to(folder)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path.resolve())
    return root


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", default="")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", default="")
    parser.add_argument("--measure", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.scratch)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(arguments.audio) if arguments.audio else RECORDINGS
        if not folder.is_dir():
            folder = procedural_folder(scratch, 2000)
        speed = compare(copied(folder, arguments.copies, scratch), arguments.rounds)
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
