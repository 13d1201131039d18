"""Damaged audio containers: what is accepted has the sound that was written, or no more than its bytes can hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile_cases import SHARES, assert_none, faults, mutated_bytes
from riff_bytes import encoded, hit, wav

from drumgan_jax.audio.files import Audio, read_audio

SAMPLES = hit(3000)
# Kind and coding as libsndfile knows them, and the bytes of a sample, 0 of a compressed one.
KINDS = [
    ("WAV", "PCM_16", 2),
    ("WAVEX", "PCM_24", 3),
    ("RF64", "PCM_16", 2),
    ("W64", "PCM_16", 2),
    ("AIFF", "PCM_16", 2),
    ("CAF", "PCM_16", 2),
    ("CAF", "ALAC_16", 0),
    ("AU", "PCM_16", 2),
    ("FLAC", "PCM_16", 0),
    ("OGG", "VORBIS", 0),
    ("OGG", "OPUS", 0),
    ("MP3", None, 0),
]
# Whose pages or frames have sums, so that no other sound than the written one can come of them.
SUMMED = ("OGG", "FLAC")
# Whose headers tell the sample rate twice.
RATED = (*SUMMED, "WAV", "WAVEX", "RF64", "W64")
STREAMED = "WAV without a size"
EACH = 64
# A second of sound of a byte: more than any of these codings makes.
MOST_OF_A_BYTE = 5_000


def inputs() -> Iterator[tuple[str, tuple[str, int, bytes, bytes]]]:
    """Names, and kind, bytes of a sample, sound file and damaged file."""
    for seed, (kind, coding, width) in enumerate(KINDS):
        content = encoded(SAMPLES, kind, coding, 48000 if coding == "OPUS" else 44100)
        for name, damaged in mutated_bytes(content, EACH, seed):
            yield f"{kind} {coding} {name}", (kind, width, content, damaged)
    streamed = wav(SAMPLES, data_size=0, riff_size=0)
    for name, damaged in mutated_bytes(streamed, EACH, 99):
        # Without a size, an end is as good as another.
        yield f"streamed {name}", (STREAMED, 2, streamed, damaged)


@pytest.mark.parametrize("share", SHARES)
def test_damaged_audio(tmp_path: Path, share: int) -> None:
    path, whole = tmp_path / "sound", {}

    def read(given: Any) -> Audio:
        path.write_bytes(given[3])
        return read_audio(path)

    def wrong(given: Any, found: Audio) -> str:
        kind, width, content, damaged = given
        if content not in whole:
            path.write_bytes(content)
            whole[content] = read_audio(path)
        (expected, rate), samples = whole[content], found.samples
        if kind in RATED and found.sample_rate != rate:
            return f"{found.sample_rate} Hz in place of {rate} Hz"
        if samples.shape == expected.shape and np.array_equal(samples, expected):
            return ""
        if kind in SUMMED:
            return f"another sound, of {samples.shape}"
        most = len(damaged) // width if width else MOST_OF_A_BYTE * len(damaged)
        if samples.size > most:
            return f"{samples.size} samples of {len(damaged)} bytes"
        is_cut = kind != STREAMED and len(damaged) < len(content) and content.startswith(damaged)
        return f"{len(samples)} of {len(expected)} samples of a file that was cut" if is_cut else ""

    found, count = faults(inputs(), share, 1, read, wrong)
    assert count > (len(KINDS) + 1) * EACH // (2 * share)
    assert_none(found)
