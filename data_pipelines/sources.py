"""Audio sources for `--audio`: listing and reading their recordings.

A source is a folder (searched recursively), a manifest CSV, a TFDS data set of audio (`tfds:NAME` or
`tfds:DIRECTORY`), the procedural drum set (`synthetic:drums?count=600&seed=0`,
`synthetic:bars?count=100&bars=2&bpm=120`), or bars played on the one-shots of a folder or manifest
(`sequenced:FOLDER?count=3000&seed=0&bpm=120&bars=1&genres=house+breakbeat`).
"""

import csv
import dataclasses
import functools
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode

import numpy as np

from drumgan_jax.audio.files import Audio, read_audio
from drumgan_jax.audio.listing import AUDIO_SUFFIXES
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.paths import expand
from drumgan_jax.data import patterns as sequencing
from drumgan_jax.data_pipelines import kits, synthetic
from drumgan_jax.data_pipelines.conditions import Condition, parse_conditions

_BPM_IN_NAME = re.compile(r"(?<!\d)(\d{2,3}(?:\.\d+)?)[ _-]*bpm|bpm[ _-]*(\d{2,3}(?:\.\d+)?)(?!\d)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One recording, before it is read.

    Attributes:
        uri: address for `read_item`: a file's path, or an address in a `synthetic:`, `sequenced:` or `tfds:` source.
        path: name in the data set and the report, relative to the source, with forward slashes.
        source: library or folder of the recording.
        label: class of the recording.
        bpm: tempo from the manifest or the file's name, if any.
        group: identifier shared by near duplicates; if the source gives none, data_pipelines.splits derives it.
        subclass: finer class, from the manifest.
        tags: tags, from the manifest.
        split: split, from the manifest.
    """

    uri: str
    path: str
    source: str
    label: str
    bpm: float | None = None
    group: str = ""
    subclass: str = ""
    tags: tuple[str, ...] = ()
    split: str = ""


def list_items(sources: Sequence[str], where: Sequence[str] = (), label_pattern: str = "") -> list[Item]:
    """List all items of all sources in a stable order.

    Args:
        sources: the sources, as given by --audio.
        where: conditions that the rows of manifests must all meet; see data_pipelines.conditions.
        label_pattern: see Preparation.

    Raises:
        BadInput: a source does not exist, is of an unknown kind or is empty.
    """
    conditions = parse_conditions(where)
    pattern = _compile(label_pattern)
    items: list[Item] = []
    for source in sources:
        listed = list(_list_source(source, conditions, pattern))
        if not listed:
            raise BadInput(f"{source} has no audio; give a folder with WAV, FLAC, MP3, OGG or AIFF files in it.")
        items += listed
    if not items:
        raise BadInput("no audio was given; name a folder or another source with --audio.")
    return items


def class_of(item: Item) -> str:
    """The label, with cymbals as closed_hat, open_hat or cymbal."""
    voice = kits.voice_of(item.label, item.subclass or Path(item.path).stem)
    return kits.CYMBAL_CLASSES.get(voice or "", item.label)


def read_item(item: Item) -> Audio:
    """Read the recording of an item.

    Raises:
        BadInput: it cannot be read; the message gives the reason.
    """
    if item.uri.startswith("synthetic:"):
        return _read_synthetic(item.uri)
    if item.uri.startswith("sequenced:"):
        return _read_sequenced(item.uri)
    if item.uri.startswith("tfds:"):
        return _read_tfds(item.uri)
    return read_audio(item.uri)


def _list_source(source: str, conditions: tuple[Condition, ...], pattern: re.Pattern[str] | None) -> Iterator[Item]:
    if source.startswith("synthetic:"):
        return _list_synthetic(source)
    if source.startswith("tfds:"):
        return _list_tfds(source)
    if source.startswith("sequenced:"):
        return _list_sequenced(source, conditions, pattern)
    return _list_files(source, conditions, pattern)


def _list_files(source: str, conditions: tuple[Condition, ...], pattern: re.Pattern[str] | None) -> Iterator[Item]:
    path = Path(expand(source))
    if path.suffix.lower() == ".csv":
        return _list_manifest(path, conditions, pattern)
    if not path.exists():
        raise BadInput(f"{source} does not exist; check the path given with --audio.")
    if not path.is_dir():
        raise BadInput(f"{source} is neither a folder nor a manifest (.csv); give the folder that contains it.")
    # Silently keeping all of a folder would let recordings of any licence through.
    if any(condition.of_licences for condition in conditions):
        raise BadInput(f"{source} is a folder, which says no licences; give a manifest (.csv) with a column licence.")
    return _list_folder(path, pattern)


def _list_folder(root: Path, pattern: re.Pattern[str] | None) -> Iterator[Item]:
    """List the audio files below a folder, with the file's folder as label and the folders above that as source."""
    root = root.resolve()
    for directory, folders, names in os.walk(root):
        folders.sort()
        relative = Path(directory).relative_to(root)
        source = relative.parent.as_posix() if len(relative.parts) > 1 else root.name
        label = relative.name or root.name
        for name in sorted(names):
            # On foreign disks, macOS writes "._name.wav" next to name.wav, which is not audio.
            if Path(name).suffix.lower() not in AUDIO_SUFFIXES or name.startswith("."):
                continue
            path = (relative / name).as_posix()
            yield Item(
                str(Path(directory) / name), _printable(path), source, _match(pattern, path) or label, _bpm(name)
            )


def _list_manifest(
    manifest: Path, conditions: tuple[Condition, ...], pattern: re.Pattern[str] | None
) -> Iterator[Item]:
    """List the rows of a CSV with the column `path`, relative to the CSV, and optionally label, source, bpm, group,
    subclass, tags (with | between them), split, and any columns to filter by.
    """
    try:
        with open(manifest, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(
            f"{manifest} cannot be read as a CSV in UTF-8 ({error}); check the path and the file."
        ) from error
    for column in ["path", *(name for condition in conditions for name in condition.columns)]:
        if column not in columns:
            raise BadInput(f"{manifest} has no column {column!r}; it has {', '.join(columns) or 'none'}.")
    for number, row in enumerate(rows, start=2):
        if not all(condition.met_by(row) for condition in conditions):
            continue
        path = row["path"]
        if not path:
            raise BadInput(f"{manifest} line {number} has an empty path; fill it in or remove the line.")
        folder = Path(path).parent
        yield Item(
            uri=str(manifest.parent / path),
            path=Path(path).as_posix(),
            source=row.get("source") or folder.parent.name or manifest.parent.name,
            label=row.get("label") or _match(pattern, path) or folder.name or manifest.parent.name,
            bpm=_number(row.get("bpm"), manifest, number) or _bpm(Path(path).name),
            group=row.get("group") or "",
            subclass=row.get("subclass") or "",
            tags=tuple(tag for tag in (row.get("tags") or "").split("|") if tag),
            split=row.get("split") or "",
        )


def _list_synthetic(source: str) -> Iterator[Item]:
    address, _, query = source.partition("?")
    kind = address.removeprefix("synthetic:")
    kinds = {"drums": {"count": 600, "seed": 0}, "bars": {"count": 200, "seed": 0, "bars": 1, "bpm": 0}}
    if kind not in kinds:
        raise BadInput(f"{source} is not a procedural set; there are synthetic:drums and synthetic:bars.")
    options, genres = _options(source, query, kinds[kind])
    count, seed = options["count"], options["seed"]
    if kind == "drums":
        for index in range(count):
            voice = list(synthetic.VOICES)[index % len(synthetic.VOICES)]
            path = f"{voice}/{index // len(synthetic.VOICES):06d}"
            yield Item(f"synthetic:drums/{path}?seed={seed}", path, "synthetic", voice, group=path)
        return
    for index in range(count):
        genre = genres[index % len(genres)]
        bpm = sequencing.tempo_of(index, seed, options["bpm"])
        uri = f"synthetic:bars/{index:06d}?" + urlencode(
            {"seed": seed, "bars": options["bars"], "bpm": bpm, "genre": genre}
        )
        path = f"{genre}/{index:06d}"
        yield Item(uri, path, "synthetic", genre, bpm, group=path)


def _read_synthetic(uri: str) -> Audio:
    address, _, query = uri.partition("?")
    options = dict(parse_qsl(query))
    kind, *name = address.removeprefix("synthetic:").split("/")
    seed = int(options["seed"])
    if kind == "drums":
        samples = synthetic.one_shot(name[0], int(name[1]), seed)
    else:
        bpm = float(options["bpm"])
        samples, _ = synthetic.bars(int(name[0]), seed, int(options["bars"]), bpm, options["genre"])
    return Audio(samples[:, None], synthetic.SAMPLE_RATE)


def _list_sequenced(source: str, conditions: tuple[Condition, ...], pattern: re.Pattern[str] | None) -> Iterator[Item]:
    """List bars over genres and libraries in turn; a bar uses the sounds of one library, which is its source."""
    path, _, query = source.removeprefix("sequenced:").partition("?")
    options, genres = _options(source, query, {"count": 3000, "seed": 0, "bars": 1, "bpm": 120})
    seed = options["seed"]
    listing = {
        "where": tuple(condition.text for condition in conditions),
        "label_pattern": pattern.pattern if pattern else "",
    }
    _libraries.cache_clear()  # The folder may have changed since it was last listed.
    libraries = list(_libraries(path, **listing))
    for index in range(options["count"]):
        genre, library = genres[index % len(genres)], libraries[index // len(genres) % len(libraries)]
        bpm = sequencing.tempo_of(index, seed, options["bpm"])
        bar = {"library": library, "genre": genre, "index": index, "seed": seed, "bars": options["bars"], "bpm": bpm}
        name = f"{library}/{genre}/{index:06d}"
        uri = f"sequenced:{quote(path)}?{urlencode({**bar, **listing}, doseq=True)}"
        yield Item(uri, name, library, genre, bpm, group=name)


def _read_sequenced(uri: str) -> Audio:
    path, _, query = uri.removeprefix("sequenced:").partition("?")
    options = parse_qs(query)
    libraries = _libraries(unquote(path), tuple(options.get("where", ())), options.get("label_pattern", [""])[0])
    library, genre, index, seed, bars, bpm = (
        options[name][0] for name in ("library", "genre", "index", "seed", "bars", "bpm")
    )
    rng = np.random.default_rng([int(seed), int(index)])
    samples = sequencing.play(genre, kits.draw(libraries[library], rng), rng, int(bars), float(bpm))
    return Audio(samples[:, None], sequencing.SAMPLE_RATE)


# Cached, because each worker process lists the libraries again.
@functools.lru_cache(maxsize=8)
def _libraries(path: str, where: tuple[str, ...], label_pattern: str) -> dict[str, kits.Library]:
    """The libraries of a folder or manifest that have a complete kit, by name."""
    libraries: dict[str, dict[str, list[str]]] = {}
    for item in _list_files(path, parse_conditions(where), _compile(label_pattern)):
        if voice := kits.voice_of(item.label, item.subclass or Path(item.path).stem):
            libraries.setdefault(item.source, {}).setdefault(voice, []).append(item.uri)
    return kits.whole(dict(sorted(libraries.items())), path)


def _options(source: str, query: str, defaults: dict[str, int]) -> tuple[dict[str, int], tuple[str, ...]]:
    """The options of a source, and its genres if it plays bars."""
    options, genres = dict(defaults), tuple(sequencing.GENRES)
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key == "genres" and "bars" in defaults:
            genres = _genres(source, value)
        elif key not in options:
            known = [*options, "genres"] if "bars" in options else [*options]
            raise BadInput(f"{source} has no option {key!r}; there are {', '.join(known)}.")
        elif not value.isdecimal():
            raise BadInput(f"{source}: {key} is {value!r}; it must be a whole number.")
        else:
            options[key] = int(value)
    if options["count"] < 1 or options.get("bars", 1) < 1:
        raise BadInput(f"{source}: count and bars must be 1 or more.")
    lowest, highest = sequencing.MIN_TEMPO, sequencing.MAX_TEMPO
    if options.get("bpm") and not lowest <= options["bpm"] <= highest:
        raise BadInput(
            f"{source}: bpm is {options['bpm']}; it must be from {lowest} to {highest}, or 0 to draw one for each bar."
        )
    return options, genres


def _genres(source: str, value: str) -> tuple[str, ...]:
    # In a query, a plus sign between names stands for a space.
    names = tuple(dict.fromkeys(value.split()))
    unknown = [repr(name) for name in names if name not in sequencing.GENRES]
    if unknown or not names:
        wrong = " and ".join(unknown) or "no names"
        raise BadInput(f"{source}: genres has {wrong}; give some of {'+'.join(sequencing.GENRES)}.")
    return names


def _list_tfds(source: str) -> Iterator[Item]:
    """List the records of all splits of a prepared TFDS data set with the feature `audio`, and optionally `label`."""
    directory, info = _open_tfds(source.removeprefix("tfds:"))
    names = getattr(info.features["label"], "names", None) if "label" in info.features else None
    for split in sorted(info.splits):
        records = _records(str(directory), split)
        for index in range(len(records)):
            label = info.name
            if names:
                label = names[int(info.features.deserialize_example_np(records[index])["label"])]
            yield Item(f"tfds:{directory}#{split}/{index}", f"{split}/{index:08d}", info.name, label)


def _read_tfds(uri: str) -> Audio:
    directory, _, record = uri.removeprefix("tfds:").rpartition("#")
    split, index = record.split("/")
    _, info = _open_tfds(directory)
    example = info.features.deserialize_example_np(_records(directory, split)[int(index)])
    samples, rate = np.asarray(example["audio"]), info.features["audio"].sample_rate
    if samples.ndim == 1:
        samples = samples[:, None]
    if np.issubdtype(samples.dtype, np.integer):
        samples = samples / np.float32(2**15)  # TFDS decodes to 16-bit integers.
    samples = samples.astype(np.float32)
    if not samples.size or not np.isfinite(samples).all():
        raise BadInput(f"{uri} is empty or holds NaN or infinite samples.")
    return Audio(samples, int(rate))


@functools.lru_cache(maxsize=8)
def _open_tfds(name: str) -> tuple[Path, Any]:
    """Version directory and DatasetInfo of a prepared TFDS data set, given by name or directory."""
    import tensorflow_datasets as tfds

    try:
        path = Path(expand(name))
        builder = tfds.builder_from_directory(path) if path.is_dir() else tfds.builder(name)
        ready = bool(builder.info.splits)
    except Exception as error:  # TFDS raises many types of exceptions here, all for the same problem.
        raise BadInput(
            f"tfds:{name} cannot be opened ({type(error).__name__}); give a name or a directory that TFDS has prepared."
        ) from error
    if not ready:
        raise BadInput(f"tfds:{name} is not prepared; run `tfds build {name}` first.")
    if "audio" not in builder.info.features:
        raise BadInput(f"tfds:{name} has no feature 'audio'; it has {', '.join(builder.info.features)}.")
    if not getattr(builder.info.features["audio"], "sample_rate", None):
        raise BadInput(f"tfds:{name} has audio without a sample rate; export it to files.")
    return Path(builder.data_path), builder.info


@functools.lru_cache(maxsize=8)
def _records(directory: str, split: str) -> Any:
    from drumgan_jax.data.records import RecordSource

    return RecordSource(directory, split)


def _compile(pattern: str) -> re.Pattern[str] | None:
    if not pattern:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadInput(
            f"config.preparation.label_pattern {pattern!r} is not a valid regular expression ({error}); correct it."
        ) from error
    if compiled.groups < 1:
        raise BadInput(f"config.preparation.label_pattern {pattern!r} has no group; put the label in parentheses.")
    return compiled


def _match(pattern: re.Pattern[str] | None, path: str) -> str | None:
    match = pattern.search(path) if pattern else None
    return match[1].lower() if match and match[1] else None


def _bpm(name: str) -> float | None:
    match = _BPM_IN_NAME.search(name)
    bpm = float(match[1] or match[2]) if match else 0.0
    return bpm if 30 <= bpm <= 300 else None


def _number(text: str | None, manifest: Path, line: int) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise BadInput(f"{manifest} line {line}: bpm is {text!r}; it must be a number or empty.") from None
    return number if 30 <= number <= 300 else None


def _printable(path: str) -> str:
    """The path as valid UTF-8, with question marks for invalid bytes, as in names from old disks."""
    return path.encode("utf-8", "replace").decode("utf-8")
