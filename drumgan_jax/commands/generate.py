"""drumgan generate --run=RUN --out=FOLDER [--count=16] [--seed=0] [--truncation=0.8] [--label=kick] ...

Makes sounds with a trained run: one WAV or FLAC file each, a spectrogram grid, and the latents of all of them as JSON.
`drumgan generate --run=RUN --latents=FOLDER/latents.json --out=ELSEWHERE` makes the same sounds again.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from drumgan_jax.atomic import replacing
from drumgan_jax.audio.files import write_audio
from drumgan_jax.errors import BadInput
from drumgan_jax.instrument import Instrument, Latents, Sounds, load
from drumgan_jax.training.pictures import save_grid

RUN = flags.DEFINE_string("run", None, "the run directory to play.", required=True)
OUT = flags.DEFINE_string(
    "out", None, "folder for the sounds, grid.png and latents.json; made if absent.", required=True
)
STEP = flags.DEFINE_string("step", "last", "the checkpoint: a step's number, last, or best by evaluation.metric.")
COUNT = flags.DEFINE_integer("count", 16, "how many sounds.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "the first sound's seed; the next one's is one more.", lower_bound=0)
TRUNCATION = flags.DEFINE_float("truncation", 1.0, "1 is the whole variety, towards 0 the average sound.")
LABEL = flags.DEFINE_string(
    "label", None, "a class, or weights as kick=0.7,snare=0.3; drawn from the seed if not given."
)
NOISE = flags.DEFINE_bool("noise", True, "draw the layers' noise from the seed, or leave it out.")
FORMAT = flags.DEFINE_enum("format", "wav", ["wav", "flac"], "the files' format.")
LATENTS = flags.DEFINE_string("latents", None, "a latents.json whose sounds to make again.")


def main(argv: Sequence[str]) -> None:
    """Generate; see the module's docstring."""
    del argv
    instrument = load(RUN.value, STEP.value)
    if LATENTS.value:
        latents, how = read_latents(LATENTS.value, instrument)
    else:
        seeds = range(SEED.value, SEED.value + COUNT.value)
        latents = instrument.draw(seeds, parse_label(LABEL.value))
        how = {"truncation": TRUNCATION.value, "noise": NOISE.value}
    sounds = instrument.render(latents, instrument.map(latents, how["truncation"]), how["noise"])
    write_sounds(Path(OUT.value), sounds, instrument, how, FORMAT.value)
    print(f"{len(latents)} sounds, grid.png and latents.json are in {OUT.value}.")


def parse_label(text: str | None) -> str | dict[str, float] | None:
    """Class weights of "kick" or "kick=0.7,snare=0.3".

    Raises:
        BadInput: a weight is no number.
    """
    if text is None or "=" not in text:
        return text
    weights = {}
    for item in text.split(","):
        name, _, weight = item.partition("=")
        try:
            weights[name.strip()] = float(weight)
        except ValueError as problem:
            raise BadInput(f"--label has {item!r}; write weights as kick=0.7,snare=0.3.") from problem
    return weights


def write_sounds(folder: Path, sounds: Sounds, instrument: Instrument, how: Mapping[str, Any], suffix: str) -> None:
    """Write one audio file a sound, `grid.png`, and `latents.json`, from which the sounds can be made again."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for index, waveform in enumerate(sounds.waveforms):
        name = f"sound_{index:04d}.{suffix}"
        write_audio(folder / name, waveform, sounds.sample_rate)
        rows.append(
            {
                "file": name,
                "seed": int(sounds.latents.seeds[index]),
                "labels": dict(zip(instrument.label_names, sounds.latents.labels[index].tolist(), strict=True)),
                "z": sounds.latents.z[index].tolist(),
            }
        )
    save_grid(folder / "grid.png", sounds.waveforms[:64])
    with replacing(folder / "latents.json") as path:
        path.write_text(json.dumps({"step": instrument.step, **how, "sounds": rows}, indent=1))


def read_latents(path: str, instrument: Instrument) -> tuple[Latents, dict[str, Any]]:
    """The latents of a latents.json, and how its sounds were rendered (truncation, noise).

    Raises:
        BadInput: the file cannot be read, or is of a run with other latents or another step.
    """
    try:
        saved = json.loads(Path(path).read_text())
        rows = saved["sounds"]
        latents = Latents(
            np.asarray([row["seed"] for row in rows], np.uint32),
            np.asarray([row["z"] for row in rows], np.float32),
            np.asarray([[row["labels"][name] for name in instrument.label_names] for row in rows], np.float32),
        )
        how = {"truncation": float(saved["truncation"]), "noise": bool(saved["noise"])}
        step = int(saved["step"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise BadInput(
            f"{path} is not a latents.json of this run ({problem}); give one that drumgan generate wrote."
        ) from problem
    if latents.z.shape[1:] != (instrument.gan.generator.z_dim,):
        raise BadInput(f"{path} has latents of another size than this run's; give the run that made them.")
    if step != instrument.step:
        raise BadInput(f"{path} is of step {step}, the checkpoint of step {instrument.step}; add --step={step}.")
    return latents, how
