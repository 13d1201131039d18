"""Which recordings are held out as the split "test"."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.conditioning import Preparation
from drumgan_jax.data_pipelines.sources import Item

# Words that tell the layers of one hit apart: velocities, round robins, microphones, articulations.
_LAYER = re.compile(
    r"\b(?:vl|vel|velocity|v|rr|lev|level|hit|take|mic|top|bottom|btm|oh|overhead|room|front|back|close|far|mid|low|high"
    r"|soft(?:er|est)?|med(?:ium)?|hard(?:er|est)?|loud|quiet|left|right|l|r|sn|ks|mono|stereo)\b"
)


def group_of(item: Item) -> str:
    """The group of near duplicates an item belongs to: as its source says, else all of one source, folder and name, up
    to numbers and layer words.

    `kit/snare/SD_top_vl3_rr2.flac` and `kit/snare/SD_oh_vl1_rr1.flac` are of one group. A name of nothing but those
    leaves the folder. Rather too wide than too narrow: a hit in both splits would flatter the test.
    """
    if item.group:
        return item.group
    path = PurePosixPath(item.path)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path.stem).lower()
    name = _LAYER.sub(" ", re.sub(r"[^a-z\u0080-\U0010ffff]+", " ", name))
    return "/".join([item.source, str(path.parent), " ".join(name.split())])


def assign_splits(items: Sequence[Item], preparation: Preparation) -> dict[str, list[Item]]:
    """Items of "train" and, if asked, "test", in their order.

    Whole groups are taken for the test, in the order of their hashes, until the fraction is reached, never beyond
    half as much again; so the split depends neither on the files' order nor on chance. A group with more than half of
    the recordings of a class stays in "train", and so does the last group of a class. Sources that the preparation
    names as the test's are it, and no others.

    Raises:
        BadInput: there are too few groups to hold any out, or a source that is named is not there.
    """
    if preparation.test_sources:
        return _by_name(items, preparation)
    fraction = preparation.test_fraction
    if not fraction:
        return {"train": list(items)}
    keys = [item.source if preparation.split_by == "source" else group_of(item) for item in items]
    sizes = Counter(keys)
    classes = Counter(item.label for item in items)
    of_class = Counter((key, item.label) for key, item in zip(keys, items, strict=True))
    needed = {key for (key, label), count in of_class.items() if count > classes[label] / 2}
    held_out: set[str] = set()
    taken = 0
    for key in sorted(set(sizes) - needed, key=_hash):
        labels = {label: of_class[key, label] for label in classes if of_class[key, label]}
        some_stay = all(classes[label] > count for label, count in labels.items())
        if some_stay and taken < fraction * len(items) and taken + sizes[key] <= max(1.5 * fraction * len(items), 1):
            held_out.add(key)
            taken += sizes[key]
            classes.subtract(labels)
    if not held_out:
        what = "sources" if preparation.split_by == "source" else "groups of near-duplicate names"
        raise BadInput(
            f"no test split of {fraction:g} can be made of {len(sizes)} {what} without breaking one; "
            "set config.preparation.test_fraction or split_by."
        )
    return {
        "train": [item for item, key in zip(items, keys, strict=True) if key not in held_out],
        "test": [item for item, key in zip(items, keys, strict=True) if key in held_out],
    }


def _by_name(items: Sequence[Item], preparation: Preparation) -> dict[str, list[Item]]:
    test_sources, sources = set(preparation.test_sources), {item.source for item in items}
    known = ", ".join(sorted(sources))
    if absent := sorted(test_sources - sources):
        raise BadInput(
            f"config.preparation.test_sources names {absent[0]!r}, which has no recording; the sources are {known}."
        )
    if test_sources == sources:
        raise BadInput(f"config.preparation.test_sources names all sources ({known}); leave some to train on.")
    to_train_on = {item.label for item in items if item.source not in test_sources}
    if lost := [label for label in preparation.labels if label not in to_train_on]:
        raise BadInput(
            f"config.preparation.test_sources leaves no {lost[0]} to train on; leave a source that has some, or take "
            "it out of config.preparation.labels."
        )
    return {
        "train": [item for item in items if item.source not in test_sources],
        "test": [item for item in items if item.source in test_sources],
    }


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
