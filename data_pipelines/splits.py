"""Assignment of recordings to the splits "train", "validation" and "test"."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from drumgan_jax.core.errors import BadInput, brief, listed, shown
from drumgan_jax.data_pipelines.conditioning import Preparation
from drumgan_jax.data_pipelines.sources import Item

# Words for the layers of one hit: velocities, round robins, microphones, articulations.
_LAYER = re.compile(
    r"\b(?:vl|vel|velocity|v|rr|lev|level|hit|take|mic|top|bottom|btm|oh|overhead|room|front|back|close|far|mid|low|high"
    r"|soft(?:er|est)?|med(?:ium)?|hard(?:er|est)?|loud|quiet|left|right|l|r|sn|ks|mono|stereo)\b"
)


def group_of(item: Item) -> str:
    """The item's group of near duplicates: as given by its source, else its source, folder and name without numbers and
    layer words.

    `kit/snare/SD_top_vl3_rr2.flac` and `kit/snare/SD_oh_vl1_rr1.flac` are in one group. A name with no other words is
    grouped by its folder. Groups are too wide rather than too narrow, because a hit in both splits would make the test
    results too good.
    """
    if item.group:
        return item.group
    path = PurePosixPath(item.path)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", path.stem).lower()
    name = _LAYER.sub(" ", re.sub(r"[^a-z\u0080-\U0010ffff]+", " ", name))
    return "/".join([item.source, str(path.parent), " ".join(name.split())])


def assign_splits(items: Sequence[Item], preparation: Preparation) -> dict[str, list[Item]]:
    """Items of "train" and, if requested, "validation" and "test", in their original order.

    Whole groups go to "test" in the order of their hashes until the fraction is reached, and never beyond 1.5 times the
    fraction, so the split depends neither on the order of the files nor on chance; then the following ones likewise to
    "validation". A group with more than half of the recordings of a class stays in "train", and so does the last group
    of a class. If the preparation names `test_sources`, they alone are the split "test", and its `validation_sources`
    the split "validation".

    Raises:
        BadInput: there are too few groups to hold any out, a named source has no recordings, or the manifest has no
            split of a recording.
    """
    if preparation.test_sources:
        return _by_name(items, preparation)
    if preparation.split_by == "manifest":
        return _as_given(items)
    fractions = {"test": preparation.test_fraction, "validation": preparation.validation_fraction}
    keys = [item.source if preparation.split_by == "source" else group_of(item) for item in items]
    sizes = Counter(keys)
    classes = Counter(item.label for item in items)
    of_class = Counter((key, item.label) for key, item in zip(keys, items, strict=True))
    kept = {key for (key, label), count in of_class.items() if count > classes[label] / 2}
    split_of: dict[str, str] = {}
    for split, fraction in fractions.items():
        if not fraction:
            continue
        taken, most = 0, max(1.5 * fraction * len(items), 1)
        for key in sorted(set(sizes) - kept - set(split_of), key=_hash):
            labels = {label: of_class[key, label] for label in classes if of_class[key, label]}
            some_stay = all(classes[label] > count for label, count in labels.items())
            if some_stay and taken < fraction * len(items) and taken + sizes[key] <= most:
                split_of[key] = split
                taken += sizes[key]
                classes.subtract(labels)
        if not taken:
            raise BadInput(_no_split(split, fraction, len(sizes), preparation))
    held_out = [split for split in ("validation", "test") if fractions[split]]
    return {
        split: [item for item, key in zip(items, keys, strict=True) if split_of.get(key, "train") == split]
        for split in ("train", *held_out)
    }


def _no_split(split: str, fraction: float, groups: int, preparation: Preparation) -> str:
    """Why no group could be held out, and what to do."""
    units, why = "sources", ""
    if preparation.split_by != "source":
        units = "groups of names"
        why = " (names that differ in digits only, such as kick_01 and kick_02, may be takes of one sound)"
    return (
        f"no {split} split of {fraction:g} can be made from {groups} {units} without dividing one{why}; give "
        f"the recordings names of their own, or set config.preparation.split_by, or {split}_fraction=0 for no {split}"
        " split."
    )


def _as_given(items: Sequence[Item]) -> dict[str, list[Item]]:
    """The splits of the manifest's column."""
    splits: dict[str, list[Item]] = {"train": [], "validation": [], "test": []}
    for item in items:
        if item.split not in splits:
            raise BadInput(
                f"{item.path} has the split {shown(item.split)}; config.preparation.split_by=manifest needs a column"
                f" split with one of {', '.join(splits)} in each row."
            )
        splits[item.split].append(item)
    return {split: members for split, members in splits.items() if members or split == "train"}


def _by_name(items: Sequence[Item], preparation: Preparation) -> dict[str, list[Item]]:
    named = {"validation": set(preparation.validation_sources), "test": set(preparation.test_sources)}
    sources = {item.source for item in items}
    held_out = named["validation"] | named["test"]
    known = listed(sorted(sources))
    for split, of_split in named.items():
        if absent := sorted(of_split - sources):
            raise BadInput(
                f"config.preparation.{split}_sources names {shown(absent[0])}, which has no recordings; the sources"
                f" are {known}."
            )
    if held_out == sources:
        raise BadInput(f"config.preparation.test_sources names all sources ({known}); leave some to train on.")
    trained = {item.label for item in items if item.source not in held_out}
    if lost := [label for label in preparation.labels if label not in trained]:
        raise BadInput(
            f"config.preparation.test_sources leaves no {brief(lost[0])} to train on; leave a source that has some,"
            " or remove it from config.preparation.labels."
        )
    splits = {"train": [item for item in items if item.source not in held_out]}
    for split, of_split in named.items():
        if of_split:
            splits[split] = [item for item in items if item.source in of_split]
    return splits


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()
