"""What the training tests share: a small data set on disk, a small config, and training in a process of its own."""

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorflow_datasets as tfds
from jax.sharding import AxisType, Mesh
from ml_collections import ConfigDict
from quick_compilation import quick_flags

from drumgan_jax.audio.attributes import AttributeScale, measure_attributes
from drumgan_jax.audio.representations import build_representation, settings_of
from drumgan_jax.core.mesh import AXES
from drumgan_jax.data.description import ATTRIBUTES_NAME
from drumgan_jax.data.digests import write_digests
from drumgan_jax.data.records import frame_record, read_shard, shards_of, write_index

HERE = Path(__file__).resolve().parent
REPRESENTATION = {
    "kind": "log_magnitude",
    "sample_rate": 8000,
    "n_fft": 16,
    "hop_length": 8,
    "num_frames": 16,
}
LABELS = ("kick", "snare", "hat")


def mesh_of(data: int, fsdp: int = 1) -> Mesh:
    """The first of the simulated devices as a mesh."""
    return jax.make_mesh((data, fsdp), AXES, axis_types=(AxisType.Auto,) * 2, devices=jax.devices()[: data * fsdp])


def write_dataset(
    folder: Path,
    count: int = 24,
    shards: int = 2,
    representation: Mapping[str, Any] = REPRESENTATION,
    attributes: tuple[str, ...] = (),
) -> Path:
    """Decaying noises and tones in the standard TFDS layout, written without TFDS's builder; its version folder."""
    directory = folder / "toy" / "1.0.0"
    directory.mkdir(parents=True)
    raw = build_representation(representation)
    rng = np.random.default_rng(0)
    seconds = np.arange(raw.num_samples) / raw.sample_rate
    label = rng.integers(0, len(LABELS), count)
    tone = np.sin(2 * np.pi * rng.uniform(100, 3000, (count, 1)) * seconds)
    waveforms = (tone + 0.3 * rng.standard_normal((count, len(seconds)))) * np.exp(
        -seconds * rng.uniform(10, 80, (count, 1))
    )
    waveforms = (waveforms / np.abs(waveforms).max(axis=1, keepdims=True)).astype(np.float32)
    x = np.asarray(raw.transform(jnp.asarray(waveforms)))
    fitted = raw.with_normalization(float(x.mean()), float(x.std()))
    (directory / "representation.json").write_text(json.dumps(settings_of(fitted)))

    measured = measure_attributes(waveforms, raw.sample_rate, attributes) if attributes else np.zeros((count, 0))
    if attributes:
        scale = AttributeScale.fit(attributes, measured, label, len(LABELS))
        (directory / ATTRIBUTES_NAME).write_text(json.dumps(scale.to_json()))
    of_attributes = {"attributes": tfds.features.Tensor(shape=(len(attributes),), dtype=np.float32)}
    features = tfds.features.FeaturesDict(
        {
            "x": tfds.features.Tensor(shape=raw.shape, dtype=np.float32, encoding="bytes"),
            "audio": tfds.features.Tensor(shape=(raw.num_samples,), dtype=np.int16, encoding="bytes"),
            "label": tfds.features.ClassLabel(names=list(LABELS)),
            "path": tfds.features.Text(),
            "source": tfds.features.Text(),
            "start": np.float32,
            **(of_attributes if attributes else {}),
        }
    )
    features.save_config(os.fspath(directory))
    records = [
        features.serialize_example(
            {
                "x": x[i],
                "audio": np.round(waveforms[i] * 32767).astype(np.int16),
                "label": int(label[i]),
                "path": f"{i}.wav",
                "source": "toy",
                "start": np.float32(i),
                **({"attributes": measured[i]} if attributes else {}),
            }
        )
        for i in range(count)
    ]
    for shard, items in enumerate(np.array_split(np.arange(count), shards)):
        name = f"toy-train.tfrecord-{shard:05d}-of-{shards:05d}"
        (directory / name).write_bytes(b"".join(frame_record(records[i]) for i in items))
    write_around(directory)
    return directory


def write_around(directory: Path) -> None:
    """Write the index, dataset_info.json as TFDS does, and the digests, of the shards that there are."""
    write_index(directory)
    splits = [
        {
            "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            "name": split,
            "numBytes": str(sum(path.stat().st_size for path in paths)),
            "shardLengths": [str(sum(1 for _ in read_shard(path))) for path in paths],
        }
        for split, paths in shards_of(directory).items()
    ]
    info = {"fileFormat": "tfrecord", "name": "toy", "splits": splits, "version": "1.0.0"}
    (directory / "dataset_info.json").write_text(json.dumps(info))
    write_digests(directory)


def tiny_config(data_dir: Path, **sections: dict[str, Any]) -> ConfigDict:
    """A config of seconds: 8 x 16, 8 channels, 8 examples a step; keyword arguments update its sections."""
    config = ConfigDict(
        {
            "name": "toy",
            "seed": 3,
            "representation": REPRESENTATION,
            "decoder": {"kind": "griffin_lim", "iterations": 2, "momentum": 0.99},
            "slicing": {"kind": "one_shot"},
            "preparation": {"normalization": "peak"},
            "generator": {
                "kind": "stylegan2",
                "base": (4, 8),
                "z_dim": 8,
                "w_dim": 8,
                "mapping_layers": 2,
                "channel_base": 64,
                "channel_max": 8,
            },
            "discriminator": {"kind": "stylegan2", "base": (4, 8), "channel_base": 64, "channel_max": 8},
            "objective": {
                "kind": "logistic",
                "r1_gamma": 1.0,
                "r1_interval": 4,
                "path_length_weight": 2.0,
                "path_length_interval": 2,
                "path_length_decay": 0.01,
                "path_length_batch_shrink": 2,
            },
            "optimizer": {
                "generator": {"learning_rate": 0.002, "beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8},
                "discriminator": {"learning_rate": 0.002, "beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8},
            },
            "task": {"kind": "gan", "conditional": True},
            "train": {
                "batch_size": 8,
                "total_images": 64,
                "accumulation": 1,
                "compute_dtype": "float32",
                "ema_half_life_images": 100,
                "ema_rampup": 0.5,
            },
            "data": {"dir": os.fspath(data_dir), "prefetch": 2},
            "mesh": {"data": -1, "fsdp": 1},
            "logging": {"every": 1, "samples_every": 0, "num_samples": 4},
            "checkpoint": {"every": 4, "keep": 2},
            "evaluation": {
                "every": 0,
                "num_samples": 8,
                "patience": 0,
                "metrics": ("fid:log_mel",),
                "metric": "fid/log_mel",
            },
        }
    )
    for section, values in sections.items():
        config[section].update(values)
    return config


def timeless(history: list[dict[str, float]]) -> list[dict[str, float]]:
    """Lines of metrics without those that a clock decides."""
    clocks = ("speed/", "time/", "memory/")
    return [{k: v for k, v in line.items() if not k.startswith(clocks)} for line in history]


def start_process(code: str, devices: int = 1, **environment: str) -> subprocess.Popen[str]:
    """Run Python code on simulated devices in a process of its own, with the tests' folder importable.

    It compiles quickly, which changes nothing that these tests ask, and keeps all it compiled for those after it.
    """
    paths = [os.fspath(HERE), os.fspath(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), **environment)
    env |= {"XLA_FLAGS": quick_flags(devices), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = 300) -> str:
    """What a process printed; fails with its errors if it failed."""
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"timed out\n{out[-2000:]}\n{err[-4000:]}") from None
    assert process.returncode == 0, f"{out[-2000:]}\n{err[-4000:]}"
    return out


def wait_for_line(process: subprocess.Popen[str], path: Path, count: int, seconds: float = 120) -> None:
    """Return when a running training has written `count` lines of metrics."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1][-4000:])
        time.sleep(0.005)
    process.kill()
    raise AssertionError("no metrics in time")
