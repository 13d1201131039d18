"""Drum kits: assignment of a library's one-shots to voices, and loading of their sounds."""

import functools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from drumgan_jax.audio.one_shot import OneShot
from drumgan_jax.audio.recordings import open_recording
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data import patterns as sequencing
from drumgan_jax.data_pipelines.conditioning import to_mono

# The files of each voice in a library.
Library = Mapping[str, Sequence[str]]

_ONSET = OneShot(onset_db=-34.0, pre_roll=0.001, fade_in=0.0005, fade_out=0.01)
_HATS = ("closed_hat", "open_hat")
# A complete kit needs one voice from each of these.
_NEEDED = {"a kick": ("kick",), "a snare or clap": ("snare", "clap"), "a cymbal or hat": (*_HATS, "ride", "crash")}
_CLASSES = {"kick", "snare", "clap", "rim", "tom", "percussion"}
# Tried in this order; "hh", "oh" and the like are abbreviations of drum machines and mappings.
_CYMBALS = (
    ("ride", re.compile(r"ride")),
    ("crash", re.compile(r"crash|splash|china")),
    ("open_hat", re.compile(r"open|half|loose|(?<![a-z])(?:oh|ohh|hho|ho)(?![a-z])")),
    ("closed_hat", re.compile(r"hat|clos|pedal|(?<![a-z])(?:hh|ch|chh|hhc|hc)(?![a-z])")),
)

# Classes of the voices of cymbals; rides and crashes alone are too few to learn.
CYMBAL_CLASSES = {"closed_hat": "closed_hat", "open_hat": "open_hat", "ride": "cymbal", "crash": "cymbal"}


def voice_of(label: str, name: str) -> str | None:
    """The voice of a one-shot, or None if its class is not part of any kit.

    Args:
        label: class of the one-shot, in singular or plural.
        name: the file's name or a finer class, which distinguishes hats and cymbals.
    """
    label = label.lower().removesuffix("s")
    if label in _CLASSES:
        return label
    if label in ("hat", "hihat", "hi-hat", "cymbal"):
        # In the class "hat", a sound without further description is a closed hat.
        words = name.lower() + (" hat" if label != "cymbal" else "")
        return next((voice for voice, pattern in _CYMBALS if pattern.search(words)), "crash")
    return None


def whole(libraries: Mapping[str, Library], origin: str) -> dict[str, Library]:
    """The libraries with a complete kit: a kick, a snare or clap, and a cymbal or hat.

    Raises:
        BadInput: no library has one; the message names the most complete library and what it lacks.
    """
    missing = {
        name: [part for part, voices in _NEEDED.items() if not any(voice in library for voice in voices)]
        for name, library in libraries.items()
    }
    if complete := {name: libraries[name] for name, parts in missing.items() if not parts}:
        return complete
    if not libraries:
        raise BadInput(
            f"{origin} has no one-shots of the classes kick, snare, clap, cymbal, hat, tom, rim or percussion; name a"
            " folder with a folder for each class, or a manifest with the column label."
        )
    nearest = min(missing, key=lambda name: (len(missing[name]), name))
    raise BadInput(
        f"{origin} has no library with a complete kit; add {' and '.join(missing[nearest])} to {nearest}, the nearest."
    )


def draw(library: Library, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw a kit: one sound for each voice in the library, by voice.

    Raises:
        BadInput: a file cannot be read or is silent.
    """
    names = {voice: files[int(rng.integers(len(files)))] for voice, files in sorted(library.items())}
    return {voice: _sound(name, sequencing.VOICES[voice].seconds) for voice, name in names.items()}


# Cached, because thousands of bars share a few hundred sounds of at most two seconds, about 100 MB.
@functools.lru_cache(maxsize=1024)
def _sound(path: str, seconds: float) -> np.ndarray:
    """A one-shot from its onset on, mono at the sequencer's sample rate, of at most `seconds`."""
    mono = to_mono(open_recording(path), "mix", sequencing.SAMPLE_RATE)
    start = _ONSET.start(mono, sequencing.SAMPLE_RATE)
    if start is None:
        raise BadInput(f"{path} is silent; take it out of the library.")
    # One sample more than is kept, by which it is seen to be longer.
    longest = round(seconds * sequencing.SAMPLE_RATE) + 1
    sound = sequencing.faded(mono[start : start + longest], seconds)
    return _ONSET.cut(sound, sequencing.SAMPLE_RATE, len(sound))
