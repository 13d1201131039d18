"""drumgan explore --out=FOLDER [--run=RUN] [--components=8] [--amounts=-3,-1.5,0,1.5,3] [--seed=0] [--label=kick] ...

Shows how the principal components of the latent space change a sound. It writes a grid of components by amounts (in
standard deviations) as audio files and as one picture of spectrograms, and index.json, and prints a table of the
Spearman correlations between each component and each descriptor of the sound, averaged over --num_seeds sounds.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from drumgan_jax.audio.descriptors import UNITS, describe
from drumgan_jax.audio.files import write_audio
from drumgan_jax.audio.pictures import spectrogram_grid
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.commands.sounds import (
    check_editable,
    make_folder,
    open_instrument,
    parse_label,
    parse_layers,
    parse_numbers,
)
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.correlation import spearman
from drumgan_jax.evaluation.report import save_json, table
from drumgan_jax.latents.latents import Latents
from drumgan_jax.play.playable import condition_names

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
OUT = define_path("out", None, "output folder; created if absent.", required=True)
COMPONENTS = flags.DEFINE_integer("components", 8, "number of components, the strongest first.", lower_bound=1)
AMOUNTS = flags.DEFINE_list("amounts", ["-3", "-1.5", "0", "1.5", "3"], "amounts, in standard deviations.")
SEED = flags.DEFINE_integer("seed", 0, "the sound in the grid, and the first sound of the table.", lower_bound=0)
NUM_SEEDS = flags.DEFINE_integer("num_seeds", 8, "number of sounds for the table.", lower_bound=1)
LABEL = flags.DEFINE_string("label", None, "a class, or weights as kick=0.7,snare=0.3; drawn from seeds if not given.")
LAYERS = flags.DEFINE_string("layers", None, "the layers to edit, as 0:4; all if not given.")

# A tone with a smaller share of the sound's power is not heard as its pitch.
_TRUSTED = 0.1
DESCRIPTORS = tuple(name for name in UNITS if name != "confidence")


def main(argv: Sequence[str]) -> None:
    """Explore; see the module's docstring."""
    del argv
    amounts, layers = parse_numbers(AMOUNTS.value, "amounts"), parse_layers(LAYERS.value)
    if len(amounts) < 2 or len(set(amounts)) < len(amounts):
        raise BadInput(f"--amounts is {','.join(AMOUNTS.value)}; give two or more different numbers.")
    instrument = open_instrument(RUN.value, STEP.value, VOCODER.value)
    check_editable(instrument)
    latents = instrument.draw(range(SEED.value, SEED.value + NUM_SEEDS.value), parse_label(LABEL.value))
    components = instrument.components(COMPONENTS.value)
    shares = np.asarray(components.explained_variance_ratio)[: COMPONENTS.value]
    folder = Path(OUT.value)
    make_folder(folder)
    rows, pictures = [], []
    for component, share in enumerate(shares.tolist()):
        waveforms = edited(instrument, latents, component, amounts, layers)
        files = [f"component_{component:02d}_{amount:+g}.wav" for amount in amounts]
        for file, waveform in zip(files, waveforms[0], strict=True):
            write_audio(folder / file, waveform, instrument.sample_rate)
        pictures.append(waveforms[0])
        correlations = descriptor_correlations(waveforms, amounts, instrument.sample_rate)
        rows.append({"component": component, "share": share, "files": files, "correlations": correlations})
    save_picture(folder / "grid.png", np.stack(pictures), shares, amounts)
    labels = (
        None
        if latents.labels is None
        else dict(zip(condition_names(instrument), latents.labels[0].tolist(), strict=True))
    )
    about = {"model": latents.model, "step": instrument.step, "seed": SEED.value, "labels": labels, "layers": layers}
    save_json(folder / "index.json", {**about, "num_seeds": NUM_SEEDS.value, "amounts": amounts, "components": rows})
    print(correlation_table(rows))
    print(f"{len(rows)} components by {len(amounts)} amounts, grid.png and index.json are in {OUT.value}.")


def edited(
    instrument: Any, latents: Latents, component: int, amounts: Sequence[float], layers: tuple[int, int] | None
) -> np.ndarray:
    """Edit sounds along a component by each amount: waveforms [sounds, amounts, samples]."""
    moved = Latents.join([instrument.edit(latents, component, amount, layers) for amount in amounts])
    waveforms = instrument.render(moved).waveforms
    return np.swapaxes(waveforms.reshape(len(amounts), len(latents), -1), 0, 1)


def descriptor_correlations(
    waveforms: np.ndarray, amounts: Sequence[float], sample_rate: int
) -> dict[str, float | None]:
    """Spearman correlation between each descriptor and the amount, per sound, averaged over sounds.

    Sounds on which a descriptor is constant are not counted, nor, for the pitch, sounds without a reliable pitch.

    Args:
        waveforms: [sounds, amounts, samples].
        amounts: amounts of the edits [amounts].
        sample_rate: in Hz.

    Returns:
        Correlations from -1 to 1 by descriptor; None if no sound counts.
    """
    flat = describe(waveforms.reshape(-1, waveforms.shape[-1]), sample_rate)
    values = {name: np.asarray(one).reshape(waveforms.shape[:2]) for name, one in flat.items()}
    found: dict[str, float | None] = {}
    for name in DESCRIPTORS:
        rho = spearman(np.asarray(amounts), values[name])
        counted = np.isfinite(rho)
        if name == "pitch":
            counted &= values["confidence"].min(axis=1) >= _TRUSTED
        found[name] = float(rho[counted].mean()) if counted.any() else None
    return found


def correlation_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Correlations of components (rows) with descriptors (columns), as a table for a terminal."""
    lines = []
    for row in rows:
        values = [row["correlations"][name] for name in DESCRIPTORS]
        cells = ["" if value is None else f"{value:+.2f}" for value in values]
        lines.append([str(row["component"]), f"{100 * row['share']:.1f} %", *cells])
    return table(["component", "variance", *DESCRIPTORS], lines)


def save_picture(path: Path, waveforms: np.ndarray, shares: np.ndarray, amounts: Sequence[float]) -> None:
    """Save the grid [components, amounts, samples] as spectrograms with labelled rows and columns, atomically."""
    from matplotlib.figure import Figure

    count, columns = waveforms.shape[:2]
    cells = spectrogram_grid(waveforms.reshape(count * columns, -1), columns)
    figure = Figure(figsize=(1.4 + 1.8 * columns, 0.8 + 1.2 * count), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(cells, extent=(0.0, columns, count, 0.0), aspect="auto", interpolation="nearest")
    axes.set_xticks(np.arange(columns) + 0.5, [f"{amount:+g}" for amount in amounts])
    axes.set_yticks(np.arange(count) + 0.5, [f"{i} ({100 * share:.1f} %)" for i, share in enumerate(shares)])
    axes.set_xlabel("amount, in standard deviations")
    axes.set_ylabel("component (share of the variance)")
    axes.tick_params(length=0)
    with replacing(path) as temporary:
        figure.savefig(temporary)
