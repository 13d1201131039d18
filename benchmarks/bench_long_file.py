"""Peak memory of `drumgan prepare` over one file of many hours, beside one of ten seconds.

    python -m benchmarks.bench_long_file [--hours=24] [--configs=splice_loops:full,...] [--json=PATH]

The file is a WAV of 16-bit stereo at 44.1 kHz whose silence is holes (24 hours: 15 GB long, 100 MB on the disk), with
two minutes of sequenced bars at 125 BPM every four hours. The peak is of the worker, which is a process of its own.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BPM = 125.0
LIMIT_MIB = 600
CONFIGS = "splice_loops:full,electrogan:full,pjloopgan:full,pca_gan:packaged"
_BETWEEN = 4 * 3600


def write_sparse(path: Path, seconds: float, music: float = 120.0, rate: int = 44100, channels: int = 2) -> None:
    """Write a 16-bit WAV (RF64 above 4 GiB), silent but for `music` seconds of bars every four hours."""
    from drumgan_jax.audio.files import resample
    from drumgan_jax.data_pipelines import synthetic

    frame = 2 * channels
    size = round(seconds * rate) * frame
    played, own = synthetic.bars(3, count=int(music * BPM / 240) + 1, bpm=BPM, genre="rock")[0], synthetic.SAMPLE_RATE
    played = np.clip(resample(played, own, rate)[: round(music * rate)], -1, 1)
    content = np.repeat(np.round(played * 30000).astype("<i2")[:, None], channels, axis=1).tobytes()
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * frame, frame, 16)
    unknown = struct.pack("<I", 2**32 - 1)
    if size + 36 < 2**32:
        head = b"RIFF" + struct.pack("<I", size + 36) + b"WAVE" + form + b"data" + struct.pack("<I", size)
    else:
        sizes = b"ds64" + struct.pack("<IQQQI", 28, size + 72, size, size // frame, 0)
        head = b"RF64" + unknown + b"WAVE" + sizes + form + b"data" + unknown
    with open(path, "wb") as file:
        file.write(head)
        file.truncate(len(head) + size)
        for start in np.arange(0, seconds, _BETWEEN):
            at = round(start * rate) * frame
            file.seek(len(head) + at)
            file.write(content[: size - at])


def measure(config: str, audio: str, out: str) -> None:
    """What the process that `run` starts does: prepare a folder in this process, and print its own peak."""
    from drumgan_jax.data_pipelines.prepare import prepare

    started = time.perf_counter()
    result = prepare(_config(config), [audio], out, workers=1)
    seconds = time.perf_counter() - started
    # Not ru_maxrss: it remembers the parent that this process was forked from.
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024
    examples = sum(result.counts.examples.values())
    print(json.dumps({"config": config, "peak_mib": round(peak), "seconds": round(seconds), "examples": examples}))


def _config(name: str) -> object:
    import importlib

    module, _, variant = name.partition(":")
    config = importlib.import_module(f"drumgan_jax.configs.{module}").get_config(variant)
    # One file is one class, of which nothing can be held out.
    config.preparation.update(labels=(), hats=False, test_fraction=0.0, validation_fraction=0.0)
    config.preparation.update(test_sources=(), validation_sources=(), split_by="hash")
    return config


def run(config: str, audio: Path, hours: float) -> dict:
    """Prepare a folder in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "benchmarks.bench_long_file", f"--measure={config}", f"--audio={audio}"]
        environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            [*command, f"--out={out}"], cwd=ROOT, check=True, capture_output=True, text=True, env=environment
        )
    return {"hours": hours, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Print the table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--configs", default=CONFIGS)
    parser.add_argument("--json", default="")
    for hidden in ("measure", "audio", "out"):
        parser.add_argument(f"--{hidden}", default="", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure, arguments.audio, arguments.out)
        return
    rows = []
    for config in arguments.configs.split(","):
        for hours in (60 / 3600, arguments.hours):
            with tempfile.TemporaryDirectory() as folder:
                write_sparse(Path(folder) / "long.wav", hours * 3600)
                rows.append(run(config, Path(folder), hours))
                row = rows[-1]
            print(
                f"{config:<22} {row['hours']:6.2f} h  {row['peak_mib']:5d} MiB  {row['seconds']:5d} s"
                f"  {row['examples']} examples"
            )
    worst = max(row["peak_mib"] for row in rows)
    print(f"largest: {worst} MiB of {LIMIT_MIB}")
    result = {"benchmark": "long_file", "rows": rows, "worst_mib": worst}
    print(json.dumps(result))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
