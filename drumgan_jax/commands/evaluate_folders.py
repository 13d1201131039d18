"""`drumgan evaluate` of folders: one against another, or file by file."""

from collections.abc import Sequence
from typing import Any

from drumgan_jax.commands.progress import progress
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.paths import expand

RECONSTRUCTION = "reconstruction"


def evaluate_folders(wavs: str, reference: str, metrics: Sequence[str], samples: int, out: str | None) -> None:
    """Measure one folder of audio against another."""
    import jax

    from drumgan_jax.core.mesh import batch_sharding, make_mesh
    from drumgan_jax.evaluation.folders import open_folder
    from drumgan_jax.evaluation.report import save_json

    folders = [open_folder(reference), open_folder(wavs)]
    suite = suite_of(metrics, batch_sharding(make_mesh()))
    sides = []
    for name, folder in zip(("reference", "measured"), folders, strict=True):
        stream = folder.stream(samples)
        with progress(name, stream.count) as on_progress:
            sides.append(suite.embed(stream, on_progress))
    results = suite.compare(*sides)
    rates = sorted({embedder.sample_rate for embedder in suite.embedders})
    notes = [note for folder in folders for note in folder.notes(rates)]
    if jax.process_index() == 0:
        print_figures(results.figures, [*suite.notes, *notes, *results.warnings])
        if out:
            how = {"wavs": wavs, "reference": reference}
            save_json(out, {**how, "figures": results.figures, "notes": [*suite.notes, *notes]})


def evaluate_pairs(wavs: str, reference: str, metrics: Sequence[str], samples: int, out: str | None) -> None:
    """Measure files against the reference's files of the same name."""
    from drumgan_jax.evaluation.pairs import as_json, compare_pairs, means_table
    from drumgan_jax.evaluation.report import save_json

    if list(metrics) != [RECONSTRUCTION]:
        raise BadInput("reconstruction cannot be combined with other metrics; give --metrics=reconstruction.")
    with progress("pairs", None) as on_progress:
        result = compare_pairs(reference, wavs, samples, on_progress)
    print(means_table(result))
    for note in result.notes:
        print(f"note: {note}")
    if out:
        save_json(out, {"wavs": wavs, "reference": reference, **as_json(result)})


def suite_of(metrics: Sequence[str], sharding: Any) -> Any:
    """The suite of the metrics named by a flag, whose classifier files may begin with ~."""
    from drumgan_jax.evaluation.suite import Suite

    return Suite.of([expand(name) for name in metrics], sharding)


def print_figures(figures: dict[str, dict[str, Any]], notes: Sequence[str]) -> None:
    """Print a table of figures, and the notes on them."""
    from drumgan_jax.evaluation.report import figures_table

    print(figures_table(figures))
    for note in notes:
        print(f"note: {note}")
