"""`drumgan encode --hits`: loops, hit by hit."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.audio.files import read_audio, write_audio
from drumgan_jax.commands.progress import progress
from drumgan_jax.commands.sounds import make_folder, write_sounds
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput, about
from drumgan_jax.evaluation.report import table
from drumgan_jax.play.hits import Agreement, Hits, agreement, encode_hits, find_hits, put_back

HITS_NAME = "hits.json"


def main(instrument: Any, files: Sequence[Path], out: Path, amount: float | None, directions: range) -> None:
    """Transform each file into a folder of its own; of several, those that have no hits are left out with a note.

    Args:
        instrument: one that encodes, and that varies if there is an amount.
        files: audio files.
        out: the folder of the folders.
        amount: of variation, or None for no variations.
        directions: one variation for each.

    Raises:
        BadInput: no file can be transformed, or a folder cannot be made.
    """
    done: dict[str, Agreement] = {}
    left_out: list[BadInput] = []
    with progress("encode", len(files)) as on_progress:
        for item, path in enumerate(files):
            if on_progress:
                on_progress(item)
            try:
                audio = read_audio(path)
                with about(path):
                    hits = find_hits(instrument, *audio)
            except BadInput as problem:
                left_out.append(problem)
                continue
            # Numbered, because files in different folders may have the same name.
            name = f"{item:04d}_{path.stem}"
            done[name] = write_loop(out / name, instrument, path, hits, amount, directions)
        if on_progress:
            on_progress(len(files))
    if not done:
        raise left_out[0]
    print(loops_table(done))
    if left_out:
        print(f"note: {len(left_out)} of {len(files)} files were left out; the first: {left_out[0]}")
    print(f"{len(done)} recordings, the loops made of them, and their hits are in {out}.")


def write_loop(
    folder: Path, instrument: Any, source: Path, hits: Hits, amount: float | None, directions: range
) -> Agreement:
    """Write the folder of one recording, see `drumgan encode --help`; returns how near the unvaried loop is to it."""
    latents = encode_hits(instrument, hits)
    sounds = instrument.render(latents)
    loop = put_back(hits, sounds)
    near = agreement(hits, loop)
    names = [f"hit_{number:04d}" for number in range(len(hits))]
    make_folder(folder / "original")
    write_audio(folder / "recording.wav", hits.recording, hits.sample_rate)
    write_audio(folder / "loop.wav", loop, hits.sample_rate)
    for name, sound in zip(names, hits.sounds, strict=True):
        write_audio(folder / "original" / f"{name}.wav", sound, hits.sample_rate)
    write_sounds(folder / "decoded", sounds, instrument, {"noise": True, "inverted": False}, names=names)
    variations = []
    if amount is not None:
        make_folder(folder / "variations")
        for direction in directions:
            file = f"variations/loop_{direction:04d}.wav"
            varied = put_back(hits, instrument.render(instrument.vary(latents, amount, direction)))
            write_audio(folder / file, varied, hits.sample_rate)
            how = {"file": file, "vary": amount, "direction": direction}
            variations.append({**how, "agreement": dataclasses.asdict(agreement(hits, varied))})
    rows = [
        {
            "time": float(time),
            "seconds": len(sound) / hits.sample_rate,
            "level_db": float(level),
            "original": f"original/{name}.wav",
            "decoded": f"decoded/{name}.wav",
        }
        for name, time, level, sound in zip(names, hits.times, hits.levels, hits.sounds, strict=True)
    ]
    made = {"recording": source.name, "sample_rate": hits.sample_rate, "samples": len(loop)}
    saved = {**made, "agreement": dataclasses.asdict(near), "hits": rows, "variations": variations}
    with replacing(folder / HITS_NAME) as path:
        path.write_text(json.dumps(saved, indent=1))
    return near


def loops_table(loops: dict[str, Agreement]) -> str:
    """How near each loop is to its recording, as a table for a terminal."""
    rows = [
        [
            name,
            str(one.hits),
            str(one.onsets),
            "" if one.error_ms is None else f"{one.error_ms:.1f}",
            f"{one.in_time:.3f}",
            "" if one.level_correlation is None else f"{one.level_correlation:.4f}",
        ]
        for name, one in loops.items()
    ]
    return table(["loop", "hits", "onsets of the loop", "error (ms)", "within 10 ms", "level correlation"], rows)
