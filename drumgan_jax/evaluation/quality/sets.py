"""Sets of sounds, and all that is measured of a set once, whatever it is compared with."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from drumgan_jax.core.errors import BadInput, brief, listed
from drumgan_jax.core.settings import numbers_of
from drumgan_jax.core.weight_file import FileFormat, not_one, read_weights, write_weights
from drumgan_jax.evaluation.collecting import Embeddings, Sound, Stream
from drumgan_jax.evaluation.intervals import GROUPS
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.quality.sound import SoundFamily, sound_family
from drumgan_jax.evaluation.quality.thumbnails import thumbnails
from drumgan_jax.evaluation.suite import Suite

FORMAT = FileFormat("drumgan measured set", 1)
_COUNTS = ("sounds", "rows", "silent_sounds", "silent_windows")


@dataclasses.dataclass(frozen=True)
class SoundSet:
    """Sounds of one rate and length.

    Attributes:
        name: for tables.
        waveforms: [sounds, samples] float32.
        sample_rate: in Hz.
        classes: class number of each sound [sounds], known or asked for; None without.
        label_names: of the classes.
    """

    name: str
    waveforms: np.ndarray
    sample_rate: int
    classes: np.ndarray | None = None
    label_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.waveforms)

    def take(self, items: np.ndarray, name: str | None = None) -> "SoundSet":
        """The sounds of these numbers, as a set of its own."""
        classes = None if self.classes is None else self.classes[items]
        return dataclasses.replace(self, name=name or self.name, waveforms=self.waveforms[items], classes=classes)


@dataclasses.dataclass(frozen=True)
class MeasuredSet:
    """What is measured of a set.

    Attributes:
        name: for tables.
        seconds: length of its sounds.
        classes: see SoundSet.
        label_names: see SoundSet.
        embeddings: by embedder.
        sound: the sound family.
        thumbnails: [sounds, time, freq] uint8.
        about: where the sounds are from, for reports.
    """

    name: str
    seconds: float
    classes: np.ndarray | None
    label_names: tuple[str, ...]
    embeddings: Mapping[str, Embeddings]
    sound: SoundFamily
    thumbnails: np.ndarray
    about: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.thumbnails)

    @property
    def level(self) -> float:
        """Median RMS level of its sounds in dB relative to full scale."""
        return float(np.nanmedian(self.sound.descriptors["level"]))


def measure(sounds: SoundSet, suite: Suite, about: Mapping[str, Any] | None = None) -> MeasuredSet:
    """Measure a set.

    Args:
        sounds: the set.
        suite: embedders, and what the metrics need of them.
        about: kept with it.

    Raises:
        BadInput: there are fewer than two sounds, or all are silent.
    """
    stream = Stream(
        len(sounds),
        [Sound(one, sounds.sample_rate, f"sound {item} of {sounds.name}") for item, one in enumerate(sounds.waveforms)],
    )
    return MeasuredSet(
        sounds.name,
        sounds.waveforms.shape[1] / sounds.sample_rate,
        sounds.classes,
        sounds.label_names,
        # First: it refuses what cannot be measured before anything is embedded.
        sound=sound_family(sounds.waveforms, sounds.sample_rate),
        embeddings=suite.embed(stream),
        thumbnails=thumbnails(sounds.waveforms, sounds.sample_rate),
        about=about or {},
    )


def save_set(path: str | os.PathLike[str], measured: MeasuredSet) -> None:
    """Write a measured set as one .npz; embeddings in half precision. Whole or not at all."""
    arrays: dict[str, np.ndarray] = {"thumbnails": measured.thumbnails}
    if measured.classes is not None:
        arrays["classes"] = measured.classes.astype(np.uint8)
    arrays |= {f"sound/{name}": _narrow(array) for name, array in measured.sound.arrays().items()}
    counts = {}
    for name, embeddings in measured.embeddings.items():
        counts[name] = {part: getattr(embeddings, part) for part in _COUNTS}
        arrays |= {f"embeddings/{name}/{part}": array for part, array in _embedding_arrays(embeddings).items()}
    header = {
        "name": measured.name,
        "seconds": measured.seconds,
        "labels": list(measured.label_names),
        "embeddings": counts,
        "about": dict(measured.about),
    }
    write_weights(path, FORMAT, header, arrays)


def load_set(path: str | os.PathLike[str]) -> MeasuredSet:
    """Read what `save_set` wrote.

    Raises:
        BadInput: the file cannot be read, is damaged or of another kind.
    """
    _, header, arrays, _ = read_weights(path, FORMAT, "a measured set")
    try:
        embeddings = {
            name: _embeddings(counts, {part: arrays[f"embeddings/{name}/{part}"] for part in _parts(arrays, name)})
            for name, counts in header["embeddings"].items()
        }
        family = SoundFamily.of_arrays(
            {name.removeprefix("sound/"): array for name, array in arrays.items() if name.startswith("sound/")}
        )
        classes = arrays["classes"].astype(int) if "classes" in arrays else None
        return MeasuredSet(
            header["name"],
            float(numbers_of(header["seconds"])),
            classes,
            tuple(header["labels"]),
            embeddings,
            family,
            arrays["thumbnails"],
            header["about"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise not_one(path, "a measured set", error) from error


def embedded_by(measured: MeasuredSet, names: Sequence[str]) -> dict[str, Embeddings]:
    """The embeddings of a set by embedder.

    Raises:
        BadInput: the set was not embedded by one of them.
    """
    missing = [name for name in names if name not in measured.embeddings]
    if missing:
        raise BadInput(
            f"{measured.name} was not embedded by {brief(missing[0])}, only by {listed(measured.embeddings)}; give the "
            "recordings themselves, with --data."
        )
    return {name: measured.embeddings[name] for name in names}


def _narrow(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _parts(arrays: Mapping[str, np.ndarray], embedder: str) -> list[str]:
    prefix = f"embeddings/{embedder}/"
    return [name.removeprefix(prefix) for name in arrays if name.startswith(prefix)]


def _embedding_arrays(embeddings: Embeddings) -> dict[str, np.ndarray]:
    """The parts of embeddings that others do not follow from."""
    arrays: dict[str, np.ndarray] = {}
    if embeddings.embeddings is not None:
        assert embeddings.sound_of_row is not None
        arrays |= {"rows": embeddings.embeddings.astype(np.float16), "sound_of_row": embeddings.sound_of_row}
    elif embeddings.moments is not None:
        upper = np.triu_indices(len(embeddings.moments[0].mean))
        arrays |= {
            "counts": np.asarray([group.count for group in embeddings.moments]),
            "means": np.stack([group.mean for group in embeddings.moments]),
            "scatters": np.stack([group.scatter[upper] for group in embeddings.moments]).astype(np.float32),
        }
    if embeddings.logits is not None:
        assert embeddings.sound_of_row is not None
        arrays |= {"logits": embeddings.logits, "sound_of_row": embeddings.sound_of_row}
    return arrays


def _embeddings(counts: Mapping[str, int], arrays: Mapping[str, np.ndarray]) -> Embeddings:
    rows = arrays["rows"].astype(np.float32) if "rows" in arrays else None
    if rows is not None:
        # Numbers of sounds have gaps where silent ones were left out.
        index = np.unique(arrays["sound_of_row"], return_inverse=True)[1]
        groups = index * GROUPS // counts["sounds"]
        moments = tuple(Moments.of(rows[groups == group]) for group in np.unique(groups))
    else:
        size = arrays["means"].shape[1]
        moments = tuple(
            Moments(int(count), mean, _symmetric(upper.astype(np.float64), size))
            for count, mean, upper in zip(arrays["counts"], arrays["means"], arrays["scatters"], strict=True)
        )
    return Embeddings(
        moments=moments,
        embeddings=rows,
        logits=arrays.get("logits"),
        sound_of_row=arrays.get("sound_of_row"),
        **{part: counts[part] for part in _COUNTS},
    )


def _symmetric(upper: np.ndarray, size: int) -> np.ndarray:
    """The symmetric matrix [size, size] of its upper triangle."""
    matrix = np.zeros((size, size))
    matrix[np.triu_indices(size)] = upper
    return matrix + np.triu(matrix, 1).T
