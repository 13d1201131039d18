"""Kits: which one-shots of a library play which voice, and the sounds themselves."""

import functools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from drumgan_jax.audio.files import read_audio, resample
from drumgan_jax.audio.one_shot import OneShot
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data import patterns as sequencing

# A library: the files of each voice.
Library = Mapping[str, Sequence[str]]

_ONSET = OneShot(onset_db=-34.0, pre_roll=0.001, fade_in=0.0005, fade_out=0.01)
_HATS = ("closed_hat", "open_hat")
# What a whole kit needs: one of each of these.
_NEEDED = {"a kick": ("kick",), "a snare or clap": ("snare", "clap"), "a cymbal or hat": (*_HATS, "ride", "crash")}
_CLASSES = {"kick", "snare", "clap", "rim", "tom", "percussion"}
# Tried in this order; "hh" and "oh" and their like are how drum machines and mappings abbreviate.
_CYMBALS = (
    ("ride", re.compile(r"ride")),
    ("crash", re.compile(r"crash|splash|china")),
    ("open_hat", re.compile(r"open|half|loose|(?<![a-z])(?:oh|ohh|hho|ho)(?![a-z])")),
    ("closed_hat", re.compile(r"hat|clos|pedal|(?<![a-z])(?:hh|ch|chh|hhc|hc)(?![a-z])")),
)


def voice_of(label: str, name: str) -> str | None:
    """The voice that a one-shot of a class plays, or None of a class that no kit has.

    Args:
        label: its class, in singular or plural.
        name: what else is known: the file's name, or a finer class. Tells hats and cymbals apart.
    """
    label = label.lower().removesuffix("s")
    if label in _CLASSES:
        return label
    if label in ("hat", "hihat", "hi-hat", "cymbal"):
        # The class "hat" itself tells that an undescribed sound is none of the others.
        words = name.lower() + (" hat" if label != "cymbal" else "")
        return next((voice for voice, pattern in _CYMBALS if pattern.search(words)), "crash")
    return None


def whole(libraries: Mapping[str, Library], origin: str) -> dict[str, Library]:
    """The libraries that have a kick, a snare or clap, and a cymbal or hat.

    Raises:
        BadInput: none has; the message says what the nearest lacks.
    """
    lacking = {
        name: [what for what, voices in _NEEDED.items() if not any(voice in library for voice in voices)]
        for name, library in libraries.items()
    }
    if kept := {name: libraries[name] for name, lacks in lacking.items() if not lacks}:
        return kept
    if not libraries:
        raise BadInput(
            f"{origin} has no one-shots of the classes kick, snare, clap, cymbal, hat, tom, rim or percussion; name a"
            " folder with a folder for each class, or a manifest with the column label."
        )
    nearest = min(lacking, key=lambda name: (len(lacking[name]), name))
    raise BadInput(
        f"{origin} has no library with a whole kit; {nearest} comes nearest and lacks {' and '.join(lacking[nearest])}."
    )


def draw(library: Library, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A kit: one sound of each voice that the library has, by voice.

    Raises:
        BadInput: a file cannot be read or is silent.
    """
    names = {voice: files[int(rng.integers(len(files)))] for voice, files in sorted(library.items())}
    return {voice: _sound(name, sequencing.VOICES[voice].seconds) for voice, name in names.items()}


# Thousands of bars share some hundred sounds of at most two seconds: 100 MB or so.
@functools.lru_cache(maxsize=1024)
def _sound(path: str, seconds: float) -> np.ndarray:
    """A one-shot from its onset on, mono at the sequencer's rate, at most so long."""
    samples, rate = read_audio(path)
    mono = resample(np.ascontiguousarray(samples.mean(axis=1)), rate, sequencing.SAMPLE_RATE)
    start = _ONSET.start(mono, sequencing.SAMPLE_RATE)
    if start is None:
        raise BadInput(f"{path} is silent; take it out of the library.")
    sound = sequencing.faded(mono[start:], seconds)
    return _ONSET.cut(sound, sequencing.SAMPLE_RATE, len(sound))
