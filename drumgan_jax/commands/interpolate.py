"""drumgan interpolate --a=SEED_OR_FILE --b=SEED_OR_FILE --out=FOLDER [--run=RUN] [--count=9] [--space=w] ...

Makes sounds along a path from one sound to another: one file per sound, a spectrogram grid in one row, and
latents.json. Each end is a seed, an audio file, which is encoded, or a sound of a latents.json: the first, or another,
as latents.json:3. With --layers=0:4, only these layers are interpolated and the others stay as in a. The noise gain is
that of a latents.json, or 1.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from drumgan_jax.audio.files import read_audio
from drumgan_jax.commands.latents_file import read_latents
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.commands.sounds import (
    Noise,
    check_editable,
    check_encoder,
    cuts,
    open_instrument,
    parse_label,
    parse_layers,
    write_sounds,
)
from drumgan_jax.core.errors import BadInput, about, shown
from drumgan_jax.latents.latents import Latents

RUN = define_path(
    "run",
    None,
    "the run directory or packed instrument, also gs:// or hf://, or loops; the packaged one-shots if not given.",
    bucket=True,
    hub=True,
)
STEP = flags.DEFINE_string("step", "last", "the checkpoint: last, best, a step, or images such as 800kimg.")
VOCODER = define_path(
    "vocoder", None, "a vocoder's run or file, instead of the one in the run's config; empty for none.", bucket=True
)
A = define_path("a", None, "the first sound: a seed, an audio file, or a latents.json.", required=True)
B = define_path("b", None, "the last sound, given like a.", required=True)
LABEL_A = flags.DEFINE_string("label_a", None, "the class, or weights, of a seed a; drawn from it if not given.")
LABEL_B = flags.DEFINE_string("label_b", None, "the class, or weights, of a seed b; drawn from it if not given.")
OUT = define_path("out", None, "output folder; created if absent.", required=True)
COUNT = flags.DEFINE_integer("count", 9, "number of sounds, both ends included.", lower_bound=2)
SPACE = flags.DEFINE_enum("space", "w", ["w", "z"], "the latent space of the path.")
HOW = flags.DEFINE_enum("how", "linear", ["linear", "spherical"], "a straight path, or one on a sphere.")
LAYERS = flags.DEFINE_string("layers", None, "the layers to interpolate, as 0:4; all if not given.")

_LATENTS = re.compile(r"\.json:\d+$")


def main(argv: Sequence[str]) -> None:
    """Interpolate; see the module's docstring."""
    del argv
    layers = parse_layers(LAYERS.value)
    instrument = open_instrument(RUN.value, STEP.value, VOCODER.value)
    check_editable(instrument)
    a, noise_a = _end(instrument, "a", A.value, LABEL_A.value)
    b, noise_b = _end(instrument, "b", B.value, LABEL_B.value)
    if None not in (noise_a, noise_b) and noise_a != noise_b:
        raise BadInput(
            f"a was made with the noise {noise_a} and b with {noise_b}; make one again with the other's noise."
        )
    noise = next((one for one in (noise_a, noise_b) if one is not None), True)
    latents = instrument.interpolate(a, b, COUNT.value, SPACE.value, HOW.value, layers)
    how = {"noise": noise, "a": A.value, "b": B.value, "space": SPACE.value, "how": HOW.value, "layers": layers}
    write_sounds(Path(OUT.value), instrument.render(latents, noise), instrument, how, columns=COUNT.value)
    print(f"{len(latents)} sounds from {A.value} to {B.value}, grid.png and latents.json are in {OUT.value}.")


def _end(instrument: Any, flag: str, text: str, label: str | None) -> tuple[Latents, Noise | None]:
    """The latents of a seed, an audio file or a sound of a latents.json, and the noise setting of a latents.json."""
    if text.isdecimal():
        return instrument.draw([int(text)], parse_label(label)), None
    if label is not None:
        raise BadInput(f"--label_{flag} applies to seeds, but --{flag} is {shown(text)}; leave it out.")
    path, _, number = text.rpartition(":") if _LATENTS.search(text) else (text, "", "0")
    if path.endswith(".json"):
        latents, how = read_latents(path, instrument)
        if int(number) >= len(latents):
            raise BadInput(f"{path} has {len(latents)} sounds and no number {number}; give 0 to {len(latents) - 1}.")
        return latents[int(number)], how["noise"]
    if not Path(path).is_file():
        raise BadInput(f"--{flag} is {text!r}, neither a seed nor a file; give a whole number of 0 or more, or a file.")
    check_encoder(instrument)
    audio = read_audio(path)
    with about(Path(path)), cuts() as notes:
        latents = instrument.encode(*audio)
    for note in notes:
        print(f"note: {path}: {note}")
    return latents, None
