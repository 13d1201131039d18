"""drumgan interpolate --a=SEED_OR_FILE --b=SEED_OR_FILE --out=FOLDER [--run=RUN] [--count=9] [--space=w] ...

Makes sounds along the way from one to another: one file each, a spectrogram grid in one row, and latents.json. An end
is a seed, an audio file, which is encoded, or a sound of a latents.json: its first, or another, as latents.json:3. With
--layers=0:4 only these layers go along and the others stay as in a. Noise is as strong as a latents.json says, else 1.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from drumgan_jax.audio.files import read_audio
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.commands.sounds import (
    Noise,
    check_editable,
    check_encoder,
    cuts,
    naming,
    open_instrument,
    parse_label,
    parse_layers,
    read_latents,
    write_sounds,
)
from drumgan_jax.core.errors import BadInput
from drumgan_jax.play.instrument import Instrument, Latents

RUN = define_path("run", None, "the run directory or packed instrument to play; the packaged one if not given.")
STEP = flags.DEFINE_string("step", "last", "the checkpoint: a step's number, last, or best by evaluation.metric.")
VOCODER = define_path(
    "vocoder", None, "a vocoder's run or file, in place of the one that the run's config names; empty for none."
)
A = define_path("a", None, "where the way begins: a seed, an audio file, or a latents.json.", required=True)
B = define_path("b", None, "where it ends.", required=True)
LABEL_A = flags.DEFINE_string("label_a", None, "the class, or weights, of a seed a; drawn from it if not given.")
LABEL_B = flags.DEFINE_string("label_b", None, "likewise of b.")
OUT = define_path("out", None, "folder for what is made; made if absent.", required=True)
COUNT = flags.DEFINE_integer("count", 9, "how many sounds, the two ends included.", lower_bound=2)
SPACE = flags.DEFINE_enum("space", "w", ["w", "z"], "the latents that the way is in.")
HOW = flags.DEFINE_enum("how", "linear", ["linear", "spherical"], "a straight way, or one on a sphere.")
LAYERS = flags.DEFINE_string("layers", None, "the layers that go along, as 0:4; all if not given.")

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
            f"a was made with the noise {noise_a} and b with {noise_b}; make one of them again as the other."
        )
    noise = next((one for one in (noise_a, noise_b) if one is not None), True)
    latents = instrument.interpolate(a, b, COUNT.value, SPACE.value, HOW.value, layers)
    how = {"noise": noise, "a": A.value, "b": B.value, "space": SPACE.value, "how": HOW.value, "layers": layers}
    write_sounds(Path(OUT.value), instrument.render(latents, noise), instrument, how, columns=COUNT.value)
    print(f"{len(latents)} sounds from {A.value} to {B.value}, grid.png and latents.json are in {OUT.value}.")


def _end(instrument: Instrument, flag: str, text: str, label: str | None) -> tuple[Latents, Noise | None]:
    """The latents of a seed, of an audio file, or of a sound of a latents.json, and the latter's noise setting."""
    if text.isdecimal():
        return instrument.draw([int(text)], parse_label(label)), None
    if label is not None:
        raise BadInput(f"--label_{flag} is for a seed, and --{flag} is {text!r}; leave it out.")
    path, _, number = text.rpartition(":") if _LATENTS.search(text) else (text, "", "0")
    if path.endswith(".json"):
        latents, how = read_latents(path, instrument)
        if int(number) >= len(latents):
            raise BadInput(f"{path} has {len(latents)} sounds, numbered from 0, and no {number}.")
        return latents[int(number)], how["noise"]
    if not Path(path).is_file():
        raise BadInput(f"--{flag} is {text!r}, neither a seed (a whole number from 0 up) nor a file.")
    check_encoder(instrument)
    audio = read_audio(path)
    with naming(Path(path)), cuts() as told:
        latents = instrument.encode(*audio)
    for note in told:
        print(f"note: {path}: {note}")
    return latents, None
