"""The audio files below a folder, and all that is there and is left out."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from drumgan_jax.core.regular_files import irregular

# Endings of the formats that are read (drumgan_jax.audio.files). Files are decoded by content, so a wrong ending does
# no harm.
AUDIO_SUFFIXES = frozenset(
    {".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".mp3", ".mp2", ".ogg", ".oga", ".opus"}
    | {".aif", ".aiff", ".aifc", ".caf", ".au", ".snd"}
)
# Endings of other formats of sounds and of banks of sounds.
FOREIGN_SUFFIXES = frozenset(
    {".m4a", ".m4b", ".mp4", ".aac", ".alac", ".wma", ".ape", ".wv", ".tta", ".tak", ".mka", ".webm", ".ac3", ".amr"}
    | {".3gp", ".ra", ".mpc", ".dsf", ".dff", ".spx", ".shn", ".voc", ".8svx", ".iff", ".sds", ".sph", ".sd2", ".xi"}
    | {".rx2", ".rex", ".rcy", ".ncw", ".nkx", ".sf2", ".gig", ".exs"}
)
FORMATS = "WAV, RF64, W64, FLAC, MP3, OGG, Opus, AIFF, CAF or AU"


class Found(NamedTuple):
    """A file or folder that was found.

    Attributes:
        path: where it is, below the folder that was searched.
        parts: the names of the folders above it, and its own.
        left_out: why it is not taken, if it is not.
        no_audio: the kind of file that it is, by its name, if it is none of audio: its ending, "hidden" or "no ending".
    """

    path: str
    parts: tuple[str, ...]
    left_out: str = ""
    no_audio: str = ""


def walk(root: Path) -> Iterator[Found]:
    """Yield all files below a folder, and the folders that cannot be opened, in a stable order.

    Links to folders are followed when all other folders have been, so that a folder that is there under a name of its
    own is listed under that name; each folder is listed once.
    """
    seen: set[tuple[int, int]] = set()
    links: list[Found] = []
    folders = [Found(str(root), ())]
    while folders or links:
        folder = folders.pop() if folders else links.pop(0)
        if why := _not_entered(folder, seen):
            yield folder._replace(left_out=why)
            continue
        try:
            with os.scandir(folder.path) as entries:
                inside = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            yield folder._replace(left_out=_closed(error))
            continue
        below = []
        for entry in inside:
            found = Found(entry.path, (*folder.parts, entry.name))
            try:
                if not entry.is_dir():
                    yield _judged(found, entry)
                elif entry.is_symlink():
                    links.append(found)
                else:
                    below.append(found)
            except OSError as error:
                yield found._replace(left_out=f"it cannot be opened ({error.strerror})")
        folders += reversed(below)


def _not_entered(folder: Found, seen: set[tuple[int, int]]) -> str:
    """Why a folder is not entered, which is then seen; empty if it is."""
    try:
        status = os.stat(folder.path)
    except OSError as error:
        return _closed(error)
    if os.path.islink(folder.path):
        real, inside = os.path.realpath(folder.path), os.path.realpath(os.path.dirname(folder.path))
        if os.path.commonpath([inside, real]) == real:
            return "a link to a folder that it is in itself"
    identity = (status.st_dev, status.st_ino)
    if identity in seen:
        return "a link to a folder that is listed under another name"
    seen.add(identity)
    return ""


def _closed(error: OSError) -> str:
    return f"this folder cannot be opened ({error.strerror}), nor what is in it"


def _judged(found: Found, entry: os.DirEntry[str]) -> Found:
    """A file, with why it is left out, if it is."""
    name = found.parts[-1]
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("._") or (name.startswith(".") and suffix not in AUDIO_SUFFIXES | FOREIGN_SUFFIXES):
        # On foreign disks, macOS writes "._name.wav" next to name.wav, which is not audio.
        return found._replace(no_audio="hidden")
    if suffix in FOREIGN_SUFFIXES:
        return found._replace(left_out=f"{suffix} is not a format that is read here; convert it to WAV or FLAC")
    regular = entry.is_file()
    if suffix not in AUDIO_SUFFIXES:
        # It may have led to a folder.
        nowhere = not regular and entry.is_symlink() and not os.path.exists(found.path)
        lost = "a link that leads nowhere"
        return found._replace(left_out=lost) if nowhere else found._replace(no_audio=suffix or "no ending")
    if name.startswith("."):
        return found._replace(left_out="its name begins with a dot; rename it to use it")
    # Whatever else is wrong is told when it is read.
    if not regular and os.path.exists(found.path):
        return found._replace(left_out=f"no regular file ({irregular(os.stat(found.path).st_mode)})")
    return found
