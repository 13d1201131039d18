"""From folders of audio to a data set of TFRecord shards, whole or not at all."""

import contextlib
import ctypes
import dataclasses
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.core.disks import is_disk_full
from drumgan_jax.core.errors import BadInput, listed, shown
from drumgan_jax.core.paths import expand
from drumgan_jax.core.write_lock import only_writer

__all__ = ["PrepareResult", "prepare"]

_VERSION = "1.0.0"
_STAGING = ".preparing-"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_CHUNKS = 32
_MAX_CHUNK_ITEMS = 128


@dataclasses.dataclass(frozen=True)
class PrepareResult:
    """A finished data set.

    Attributes:
        directory: its version directory.
        counts: of files and examples (data_pipelines.report.Counts).
        representation: with fitted statistics.
        seconds: the time taken.
    """

    directory: Path
    counts: Any
    representation: Any
    seconds: float


def prepare(
    config: Mapping[str, Any],
    sources: Sequence[str],
    data_dir: str | os.PathLike[str],
    *,
    where: Sequence[str] = (),
    overwrite: bool = False,
    workers: int = 0,
    runner: str = "",
    beam_options: Sequence[str] = (),
    show_progress: bool = False,
) -> PrepareResult:
    """Write the data set of a config from audio sources to `data_dir`/<config.name>/1.0.0, whole or not at all.

    Args:
        config: with name, representation, slicing and preparation.
        sources: as data_pipelines.sources lists them.
        where: see list_sources.
        overwrite: replace a data set that is there; else it is an error.
        workers: local processes, 0 for as many as useful.
        runner: the Beam runner of an engine, such as "dask"; empty for this machine.
        beam_options: its options, `name=value`.
        show_progress: whether to draw a progress bar on stderr.

    Raises:
        BadInput: a setting, a source, the engine or the disk cannot be used, nothing was kept, or a library is missing.
    """
    started = time.monotonic()
    from drumgan_jax.data_pipelines import builder, report
    from drumgan_jax.data_pipelines.engines import engine_of
    from drumgan_jax.data_pipelines.sources import class_of, list_sources, paths_of

    job = _job(config)
    pipeline = builder.Pipeline(engine_of(runner, beam_options, workers), show_progress)
    listing = list_sources(sources, where, job.preparation.label_pattern)
    items = listing.items
    if job.preparation.hats:
        items = [dataclasses.replace(item, label=class_of(item)) for item in items]
    job, items, others = _with_labels(job, items)
    others += [row for one in listing.left_out for row in report.left_out([one.item], one.reason)]
    final = _version_directory(config, data_dir)
    with _staging(final, overwrite) as staging:
        job = dataclasses.replace(job, directory=str(staging / "parts"), sources=paths_of(sources))
        chunks = _chunks(items, job)
        directory = builder.build(job, chunks, pipeline, config["name"], staging)
        settings = {"config": _plain(config), "sources": list(sources), "where": list(where)}
        counts, representation = _finish(job, directory, settings, report.Others(others, listing.no_audio))
        _put(directory, final)
    return PrepareResult(final, counts, representation, time.monotonic() - started)


def summary(result: PrepareResult) -> str:
    """What came out, as lines for a terminal."""
    from drumgan_jax.data.description import REPORT_NAME
    from drumgan_jax.data_pipelines import report

    lines = [report.table(result.counts)]
    mean: Any = getattr(result.representation, "mean", None)
    std: Any = getattr(result.representation, "std", None)
    if mean is not None:
        import numpy as np

        lines.append(f"features: mean {np.mean(mean):.4g}, standard deviation {np.mean(std):.4g}")
    lines.append(f"data set: {result.directory} ({result.seconds:.1f} s)")
    lines.append(f"every file and its reasons: {result.directory / REPORT_NAME}")
    return "\n".join(lines)


def _job(config: Mapping[str, Any]) -> Any:
    """The config's parts, checked, before any file is read."""
    from drumgan_jax.audio.representations import build_representation, current_settings
    from drumgan_jax.data_pipelines import missing, stretch
    from drumgan_jax.data_pipelines.chunks import Job
    from drumgan_jax.data_pipelines.conditioning import build_preparation
    from drumgan_jax.data_pipelines.slicing import build_slicing

    representation = build_representation(current_settings(config["representation"]))
    slicing = build_slicing(config["slicing"])
    preparation = build_preparation(config["preparation"])
    if slicing.stretches or any(preparation.pitch_shifts):
        stretch.require()
    if preparation.normalization == "loudness":
        missing.require("pyloudnorm", "config.preparation.normalization=loudness")
    if getattr(representation, "circular", False):
        _check_period(representation, slicing)
    return Job(representation, slicing, preparation, (), "")


def _check_period(representation: Any, slicing: Any) -> None:
    """Check that slices are loops that fill a circular representation."""
    if slicing.period is None:
        raise BadInput(
            "config.representation.circular is for loops; set config.slicing.kind=bar, or leave circular at False."
        )
    samples = round(slicing.period * representation.sample_rate)
    if samples != representation.num_samples:
        raise BadInput(
            f"config.representation has num_frames * hop_length = {representation.num_samples} samples, but a slice of"
            f" config.slicing has {samples}; choose num_frames and hop_length with that product, or circular=False."
        )


def _with_labels(job: Any, items: list[Any]) -> tuple[Any, list[Any], list[dict[str, Any]]]:
    """The job with its classes, the items of those classes, and report rows of the others."""
    from drumgan_jax.data_pipelines.report import left_out

    if job.preparation.tags:
        return _with_tags(job, items)
    names = job.preparation.labels or tuple(sorted({item.label for item in items}))
    kept = [item for item in items if item.label in names]
    labels = {item.label for item in items}
    if both := sorted(set(names) & set(job.preparation.attributes)):
        raise BadInput(
            f"{shown(both[0])} is a class of the recordings and in config.preparation.attributes; rename the class, or "
            "leave out the attribute."
        )
    if absent := [name for name in names if name not in labels]:
        found = listed(sorted(labels))
        raise BadInput(f"no file has the label {shown(absent[0])} of config.preparation.labels; there are {found}.")
    others = list(left_out([item for item in items if item.label not in names], "label not wanted"))
    return dataclasses.replace(job, label_names=names), kept, others


def _with_tags(job: Any, items: list[Any]) -> tuple[Any, list[Any], list[dict[str, Any]]]:
    """Likewise with the tags that are kept; a recording without any of them is left out."""
    from drumgan_jax.data_pipelines.report import left_out

    counts = Counter(tag for item in items for tag in item.tags)
    # By count, then by name, so that the choice does not depend on the order of the files.
    frequent = sorted(counts, key=lambda tag: (-counts[tag], tag))
    names = job.preparation.labels or tuple(sorted(frequent[: job.preparation.tags]))
    if len(names) != job.preparation.tags or (absent := [name for name in names if name not in counts]):
        why = (
            f"{shown(absent[0])} is not among them" if len(names) == job.preparation.tags else f"{len(names)} are named"
        )
        raise BadInput(
            f"config.preparation.tags is {job.preparation.tags}, and the manifest's column tags (with | between tags)"
            f" has {len(counts)} tags, of which {why}; correct the column, tags or labels."
        )
    kept = [dataclasses.replace(item, tags=tuple(tag for tag in item.tags if tag in names)) for item in items]
    others = list(left_out([item for item in kept if not item.tags], "no tag that is kept"))
    return dataclasses.replace(job, label_names=names), [item for item in kept if item.tags], others


def _chunks(items: list[Any], job: Any) -> list[Any]:
    """Chunks of each split, of items in an order mixed by hash: evenly heavy, and no shard is of one class."""
    from drumgan_jax.data_pipelines.chunks import Chunk
    from drumgan_jax.data_pipelines.splits import assign_splits

    chunks: list[Any] = []
    for split, members in assign_splits(items, job.preparation).items():
        mixed = sorted(members, key=lambda item: hashlib.sha256(f"{item.source}/{item.path}".encode()).digest())
        size = min(max(len(mixed) // _CHUNKS, 1), _MAX_CHUNK_ITEMS)
        for start in range(0, len(mixed), size):
            chunks.append(Chunk(len(chunks), split, tuple(mixed[start : start + size])))
    return chunks


def _finish(job: Any, directory: Path, settings: dict[str, Any], others: Any) -> tuple[Any, Any]:
    """Fit the statistics and write what lies beside TFDS's files; digests of all of them last."""
    from drumgan_jax.audio.representations import settings_of
    from drumgan_jax.data.dataset import DATASET_FORMAT
    from drumgan_jax.data.description import ATTRIBUTES_NAME, REPORT_NAME
    from drumgan_jax.data.digests import write_digests
    from drumgan_jax.data.records import write_index
    from drumgan_jax.data_pipelines import report

    parts = Path(job.directory)
    moments = report.fitted_moments(parts, job.representation.normalization_shape)
    representation = job.representation.with_normalization(moments.mean, moments.std)
    fitted = settings_of(representation)
    (directory / "representation.json").write_text(json.dumps({"format": DATASET_FORMAT, **fitted}, indent=1))
    if names := job.preparation.attributes:
        scale = report.fitted_scale(parts, names, len(job.label_names))
        (directory / ATTRIBUTES_NAME).write_text(json.dumps(scale.to_json()))
    counts = report.write(directory / REPORT_NAME, parts, {**settings, "representation": fitted}, others)
    write_index(directory)
    write_digests(directory)
    return counts, representation


def _version_directory(config: Mapping[str, Any], data_dir: str | os.PathLike[str]) -> Path:
    name = config["name"]
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"config.name is {shown(name)}; a data set's name is lower case letters, digits and underscores."
        )
    return Path(expand(os.fspath(data_dir))).resolve() / name / _VERSION


@contextlib.contextmanager
def _staging(final: Path, overwrite: bool) -> Iterator[Path]:
    """A fresh directory beside `final`, gone at the end; what a killed run left is cleared."""
    with only_writer(final.parent, "drumgan prepare", "give another --data_dir"):
        if final.exists() and not overwrite:
            raise BadInput(f"{final} is there already; add --overwrite to replace it, or give another --data_dir.")
        for leftover in final.parent.glob(f"{_STAGING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=final.parent))
        try:
            (staging / "parts").mkdir()
            yield staging
        except Exception as error:
            # Shards, statistics and digests are written by several libraries.
            if isinstance(error, BadInput) or not is_disk_full(error):
                raise
            raise BadInput(
                "the data set cannot be written (the disk is full); free some space or give another --data_dir."
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _put(directory: Path, final: Path) -> None:
    """Rename the finished data set into place; one that is there changes places with it in the same moment."""
    if not final.exists():
        directory.rename(final)
        return
    libc = ctypes.CDLL(None, use_errno=True)
    at_fdcwd, exchange = -100, 2
    if libc.renameat2(at_fdcwd, os.fsencode(directory), at_fdcwd, os.fsencode(final), exchange) == 0:
        return
    # File systems without exchange: for a moment there is neither, but nothing is lost.
    final.rename(directory.with_name("replaced"))
    directory.rename(final)


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The sections of a config that decide a data set, as JSON has them."""
    sections = {key: config[key] for key in ("name", "representation", "slicing", "preparation")}
    return json.loads(json.dumps(sections, default=lambda value: dict(value.items())))
