"""drumgan generate --out=FOLDER [--run=RUN] [--count=16] [--seed=0] [--truncation=0.8] [--label=kick=0.7,snare=0.3]
                 [--attributes=brightness=0.8] ...

Makes sounds with a trained run, or with the model that comes with the package. It writes one WAV or FLAC file per
sound, a spectrogram grid, and the latents of all sounds as JSON.
`drumgan generate --run=RUN --latents=FOLDER/latents.json --out=ELSEWHERE` makes the same sounds again, if desired with
another --noise_gain.
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from drumgan_jax.commands.latents_file import read_latents
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.commands.sounds import (
    Noise,
    open_instrument,
    parse_labels,
    parse_numbers,
    write_sounds,
)
from drumgan_jax.core.errors import BadInput

RUN = define_path(
    "run",
    None,
    "the run directory or packed instrument, also gs:// or hf://, or loops; the packaged one-shots if not given.",
    bucket=True,
    hub=True,
)
OUT = define_path("out", None, "folder for the sounds, grid.png and latents.json; created if absent.", required=True)
STEP = flags.DEFINE_string("step", "last", "the checkpoint: last, best, a step, or images such as 800kimg.")
VOCODER = define_path(
    "vocoder", None, "a vocoder's run or file, instead of the one in the run's config; empty for none.", bucket=True
)
COUNT = flags.DEFINE_integer("count", 16, "number of sounds.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "the first sound's seed; each further sound adds 1.", lower_bound=0)
TRUNCATION = flags.DEFINE_float("truncation", 1.0, "1 for full variety; values towards 0 give the average sound.")
LABEL = flags.DEFINE_string(
    "label", None, "a class, or weights as kick=0.7,snare=0.3; drawn from the seed if not given."
)
ATTRIBUTES = flags.DEFINE_string(
    "attributes", None, "values from 0 to 1, as brightness=0.8,decay=0.2; others are drawn from the seed."
)
NOISE = flags.DEFINE_bool("noise", True, "draw the layers' noise from the seed, or leave it out.")
NOISE_GAIN = flags.DEFINE_list("noise_gain", [], "gain of the noise: one number, or one per layer; 1 is unchanged.")
FORMAT = flags.DEFINE_enum("format", "wav", ["wav", "flac"], "the format of the files.")
LATENTS = define_path("latents", None, "a latents.json whose sounds are made again.")


def main(argv: Sequence[str]) -> None:
    """Generate; see the module's docstring."""
    del argv
    noise = _noise(NOISE.value, parse_numbers(NOISE_GAIN.value, "noise_gain"))
    drawn = [
        f"--{name}" for name in ("label", "attributes", "truncation", "seed", "count") if flags.FLAGS[name].present
    ]
    if LATENTS.value and drawn:
        raise BadInput(f"--latents already determines the sounds; leave out {', '.join(drawn)}.")
    instrument = open_instrument(RUN.value, STEP.value, VOCODER.value)
    if LATENTS.value:
        latents, how = read_latents(LATENTS.value, instrument)
        if flags.FLAGS["noise"].present or flags.FLAGS["noise_gain"].present:
            how["noise"] = noise
    else:
        seeds = range(SEED.value, SEED.value + COUNT.value)
        latents = instrument.draw(seeds, parse_labels(LABEL.value, ATTRIBUTES.value), TRUNCATION.value)
        how = {"truncation": TRUNCATION.value, "noise": noise}
    sounds = instrument.render(latents, how["noise"])
    write_sounds(Path(OUT.value), sounds, instrument, how, FORMAT.value)
    print(f"{len(latents)} sounds, grid.png and latents.json are in {OUT.value}.")


def _noise(on: bool, gains: list[float]) -> Noise:
    if gains and not on:
        raise BadInput("--nonoise leaves the noise out, so --noise_gain has no effect; give only one of them.")
    if len(gains) == 1:
        return gains[0]
    return gains or on
