"""Audio sources for `--audio`: listing and reading their recordings.

A source is a folder (searched recursively), an audio file, a manifest (a table, .csv or .tsv), a TFDS data set of audio
(`tfds:NAME` or `tfds:DIRECTORY`), the procedural drum set (`synthetic:drums?count=600&seed=0`,
`synthetic:bars?count=100&bars=2&bpm=120`), or bars played on the one-shots of a folder or manifest
(`sequenced:FOLDER?count=3000&seed=0&bpm=120&bars=1&genres=house+breakbeat`).
"""

import dataclasses
import functools
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode

import numpy as np

from drumgan_jax.audio.files import Audio, read_audio
from drumgan_jax.audio.listing import AUDIO_SUFFIXES, FORMATS, Found, walk
from drumgan_jax.audio.recordings import Recording, held, open_recording
from drumgan_jax.core.errors import BadInput, first_line, shown
from drumgan_jax.core.paths import expand
from drumgan_jax.core.printable import printable
from drumgan_jax.core.regular_files import irregular
from drumgan_jax.data import patterns as sequencing
from drumgan_jax.data_pipelines import kits, manifests, synthetic, tfds_records
from drumgan_jax.data_pipelines.conditions import Condition, parse_conditions

_NO_FILES = ("synthetic:", "sequenced:", "tfds:")


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One recording, before it is read.

    Attributes:
        uri: address for `read_item`: a file's path, or an address in a `synthetic:`, `sequenced:` or `tfds:` source.
        path: name in the data set and the report, relative to the source, with forward slashes.
        source: library or folder of the recording.
        label: class of the recording.
        bpm: tempo from the manifest, or of a procedural or sequenced bar; data_pipelines.tempo finds it elsewhere.
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


@dataclasses.dataclass(frozen=True, slots=True)
class LeftOut:
    """A recording, or a folder, that is there and is not taken, and why."""

    item: Item
    reason: str


@dataclasses.dataclass(frozen=True)
class Listing:
    """What sources hold.

    Attributes:
        items: the recordings.
        left_out: recordings, folders and rows of manifests that are not taken.
        no_audio: number of other files in the folders, by ending.
    """

    items: list[Item]
    left_out: list[LeftOut]
    no_audio: Counter[str]


# What the listing of a source yields; of a file that is no audio, the kind.
_Listed = Iterator[Item | LeftOut | str]


def list_sources(sources: Sequence[str], where: Sequence[str] = (), label_pattern: str = "") -> Listing:
    """List all sources in a stable order; a recording that is in several is listed once.

    Args:
        sources: the sources, as given by --audio.
        where: conditions that the rows of manifests must all meet; see data_pipelines.conditions.
        label_pattern: see Preparation.

    Raises:
        BadInput: a source does not exist, is of an unknown kind or is empty.
    """
    conditions = parse_conditions(where)
    pattern = _compile(label_pattern)
    listing = Listing([], [], Counter())
    seen: set[str] = set()
    for source in sources:
        count, before = 0, len(listing.left_out)
        for one in _list_source(source, conditions, pattern):
            if isinstance(one, str):
                listing.no_audio[one] += 1
            elif isinstance(one, LeftOut):
                listing.left_out.append(LeftOut(_named(one.item), printable(one.reason)))
            else:
                count += 1
                if (address := os.path.normpath(one.uri)) in seen:
                    listing.left_out.append(LeftOut(_named(one), "listed before; it is used once"))
                else:
                    seen.add(address)
                    listing.items.append(_named(one))
        if not count:
            raise BadInput(_no_audio(source, listing.left_out[before:]))
    if not listing.items:
        raise BadInput("no audio was given; name a folder or another source with --audio.")
    return listing


def list_items(sources: Sequence[str], where: Sequence[str] = (), label_pattern: str = "") -> list[Item]:
    """The recordings alone; see `list_sources`."""
    return list_sources(sources, where, label_pattern).items


def _no_audio(source: str, left_out: Sequence[LeftOut]) -> str:
    if not left_out:
        return f"{source} has no audio; give a folder with {FORMATS} files, or a manifest with rows that meet --where."
    first, rest = left_out[0], len(left_out) - 1
    more = f", and {rest} more are left out" if rest else ""
    return f"{source} has no audio that can be used: {first.item.path}: {first.reason}{more}."


def _named(item: Item) -> Item:
    """The item with names that files of the data set can hold, which have a class on each line."""
    return dataclasses.replace(
        item,
        path=printable(item.path),
        source=_name(item.source),
        label=_name(item.label),
        group=printable(item.group),
        subclass=_name(item.subclass),
        tags=tuple(map(_name, item.tags)),
        split=printable(item.split),
    )


def _name(text: str) -> str:
    return printable(text).strip() or "unnamed" if text else ""


def paths_of(sources: Sequence[str]) -> tuple[str, ...]:
    """The folders and files of sources that exist on this machine, from the root on."""
    paths = []
    for source in sources:
        kind = next((kind for kind in _NO_FILES if source.startswith(kind)), "")
        name = source.removeprefix(kind)
        paths.append(os.path.abspath(expand(name.partition("?")[0] if kind == "sequenced:" else name)))
    return tuple(path for path in paths if os.path.exists(path))


def class_of(item: Item) -> str:
    """The label, with cymbals as closed_hat, open_hat or cymbal."""
    voice = kits.voice_of(item.label, item.subclass or Path(item.path).stem)
    return kits.CYMBAL_CLASSES.get(voice or "", item.label)


def is_file(item: Item) -> bool:
    """Whether the recording is a file of its own, with a name that people gave it."""
    return not item.uri.startswith(_NO_FILES)


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
        return tfds_records.read_record(item.uri)
    return read_audio(item.uri)


def open_item(item: Item) -> Recording:
    """The recording of an item, to be read in blocks if it is long.

    Raises:
        BadInput: it cannot be read, or is damaged anywhere; the message gives the reason.
    """
    return open_recording(item.uri) if is_file(item) else held(read_item(item))


def _list_source(source: str, conditions: tuple[Condition, ...], pattern: re.Pattern[str] | None) -> _Listed:
    if source.startswith("synthetic:"):
        return _list_synthetic(source)
    if source.startswith("tfds:"):
        return (Item(*record) for record in tfds_records.list_records(source))
    if source.startswith("sequenced:"):
        return _list_sequenced(source, conditions, pattern)
    return _list_files(source, conditions, pattern)


def _list_files(source: str, conditions: tuple[Condition, ...], pattern: re.Pattern[str] | None) -> _Listed:
    path = Path(expand(source))
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        raise BadInput(f"{source} does not exist; check the path given with --audio.") from None
    except OSError as error:
        raise BadInput(f"{source} cannot be opened ({error.strerror}); check the path given with --audio.") from error
    if path.suffix.lower() in manifests.SUFFIXES and not path.is_dir():
        return _list_manifest(path, conditions, pattern)
    if not path.is_dir():
        if other := irregular(mode):
            raise BadInput(f"{source} is no regular file ({other}); give a file, or the folder that contains it.")
        if path.suffix.lower() not in AUDIO_SUFFIXES:
            raise BadInput(
                f"{source} is neither a folder, a manifest (.csv) nor a {FORMATS} file, by its ending; convert it, or "
                "give the folder that contains it."
            )
    # Silently keeping all of a folder would let recordings of any licence through.
    if any(condition.of_licences for condition in conditions):
        kind = "folder" if path.is_dir() else "file"
        raise BadInput(f"{source} is a {kind}, which says no licences; give a manifest (.csv) with a column licence.")
    root = path.resolve()
    if root.is_dir():
        return _list_found(root, walk(root), pattern)
    return _list_found(root.parent, [Found(str(root), (root.name,))], pattern)


def _list_found(root: Path, files: Iterable[Found], pattern: re.Pattern[str] | None) -> _Listed:
    """List files below a folder, with the file's folder as label and the folders above that as source."""
    for found in files:
        if found.no_audio:
            yield found.no_audio
            continue
        *folders, name = found.parts or (root.name,)
        path = "/".join([*folders, name])
        source, label = "/".join(folders[:-1]) or root.name, folders[-1] if folders else root.name
        item = Item(found.path, path, source, _match(pattern, path) or label)
        yield LeftOut(item, found.left_out) if found.left_out else item


def _list_manifest(path: Path, conditions: tuple[Condition, ...], pattern: re.Pattern[str] | None) -> _Listed:
    """List the rows of a table with the column `path`, relative to the table, and optionally label, source, bpm, group,
    subclass, tags (with | between them), split, and any columns to filter by.
    """
    path = path.parent.resolve() / path.name
    manifest = manifests.read_manifest(path)
    for condition in conditions:
        for column in condition.columns:
            manifest.require(column)
    rows_of: dict[str, list[Item]] = defaultdict(list)
    for row in manifest.rows:
        if row.fault:
            line = f"{path.name} line {row.line}"
            yield LeftOut(Item(f"{path}:{row.line}", line, path.parent.name, row.cells.get("label", "")), row.fault)
        elif all(condition.met_by(row.cells) for condition in conditions):
            item = _manifest_item(path, row, pattern)
            rows_of[os.path.normpath(item.uri)].append(item)
    for items in rows_of.values():
        if len({(item.label, item.subclass, item.tags, item.split) for item in items}) > 1:
            why = "the manifest names it again with another label, subclass, tags or split; keep one of these rows"
            yield from (LeftOut(item, why) for item in items)
        else:
            yield from items


def _manifest_item(manifest: Path, row: manifests.Row, pattern: re.Pattern[str] | None) -> Item:
    cells, file = row.cells, manifests.file_of(manifest, row.path)
    path = file.relative_to(manifest.parent) if file.is_relative_to(manifest.parent) else file
    return Item(
        uri=str(file),
        path=path.as_posix(),
        source=cells.get("source") or path.parent.parent.name or manifest.parent.name,
        label=cells.get("label") or _match(pattern, path.as_posix()) or path.parent.name or manifest.parent.name,
        bpm=_number(cells.get("bpm"), manifest, row.line),
        group=cells.get("group", ""),
        subclass=cells.get("subclass", ""),
        tags=tuple(tag.strip() for tag in cells.get("tags", "").split("|") if tag.strip()),
        split=cells.get("split", ""),
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


def _list_sequenced(source: str, conditions: tuple[Condition, ...], pattern: re.Pattern[str] | None) -> _Listed:
    """List bars over genres and libraries in turn; a bar uses the sounds of one library, which is its source."""
    path, _, query = source.removeprefix("sequenced:").partition("?")
    options, genres = _options(source, query, {"count": 3000, "seed": 0, "bars": 1, "bpm": 120})
    seed = options["seed"]
    listing = {
        "where": tuple(condition.text for condition in conditions),
        "label_pattern": pattern.pattern if pattern else "",
    }
    yield from (one for one in _list_files(path, conditions, pattern) if not isinstance(one, Item))
    _libraries.cache_clear()  # The folder may have changed since it was last listed.
    libraries = list(_libraries(path, **listing))
    # A worker of an engine runs in a folder of its own.
    place = os.path.abspath(expand(path))
    for index in range(options["count"]):
        genre, library = genres[index % len(genres)], libraries[index // len(genres) % len(libraries)]
        bpm = sequencing.tempo_of(index, seed, options["bpm"])
        bar = {"library": library, "genre": genre, "index": index, "seed": seed, "bars": options["bars"], "bpm": bpm}
        name = f"{library}/{genre}/{index:06d}"
        uri = f"sequenced:{quote(place, errors='surrogateescape')}?{urlencode({**bar, **listing}, doseq=True)}"
        yield Item(uri, name, library, genre, bpm, group=name)


def _read_sequenced(uri: str) -> Audio:
    path, _, query = uri.removeprefix("sequenced:").partition("?")
    options = parse_qs(query)
    path = unquote(path, errors="surrogateescape")
    libraries = _libraries(path, tuple(options.get("where", ())), options.get("label_pattern", [""])[0])
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
    listed = _list_files(path, parse_conditions(where), _compile(label_pattern))
    for item in (_named(one) for one in listed if isinstance(one, Item)):
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
            raise BadInput(f"{source} has no option {shown(key)}; there are {', '.join(known)}.")
        elif not value.isdecimal():
            raise BadInput(f"{source}: {key} is {shown(value)}; it must be a whole number.")
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


def _compile(pattern: str) -> re.Pattern[str] | None:
    if not pattern:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise BadInput(
            f"config.preparation.label_pattern {shown(pattern)} is not a valid regular expression"
            f" ({first_line(error)}); correct it."
        ) from error
    if compiled.groups < 1:
        raise BadInput(f"config.preparation.label_pattern {shown(pattern)} has no group; put the label in parentheses.")
    return compiled


def _match(pattern: re.Pattern[str] | None, path: str) -> str | None:
    match = pattern.search(path) if pattern else None
    return match[1].lower() if match and match[1] else None


def _number(text: str | None, manifest: Path, line: int) -> float | None:
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        raise BadInput(f"{manifest} line {line}: bpm is {shown(text)}; it must be a number or empty.") from None
    return number if 30 <= number <= 300 else None
