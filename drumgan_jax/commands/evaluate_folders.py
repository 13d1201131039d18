"""`drumgan evaluate` of folders: one against another or against statistics, sound by sound, or file by file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.commands.progress import progress
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.paths import expand

RECONSTRUCTION = "reconstruction"
# Metrics that --per_song gives for each file.
FRECHET = ("fid", "fad")


@dataclasses.dataclass(frozen=True)
class FolderRequest:
    """What the command line asks of a folder.

    Attributes:
        wavs: the folder.
        reference: a folder, a file of statistics, or the name of statistics; None to save the folder's own.
        metrics: metrics by name, with or without embedders.
        samples: the most sounds on each side.
        out: path of a JSON file, or None.
        per_song: rank the files by their own distance to the reference.
        strict: fail if any file was left out.
        statistics: file or name to save the folder's statistics under, or None.
        weigh: what weighs the same in precision, recall, density and coverage.
        same_mix: leave out files, so that both folders have one mix of classes.
    """

    wavs: str
    reference: str | None
    metrics: Sequence[str]
    samples: int
    out: str | None = None
    per_song: bool = False
    strict: bool = False
    statistics: str | None = None
    weigh: str = "sounds"
    same_mix: bool = False


def evaluate(request: FolderRequest) -> None:
    """Do what is asked of a folder.

    Raises:
        BadInput: as the parts do, or the request is strict and a file was left out; then the figures are printed and
            written before.
    """
    if request.out:
        from drumgan_jax.evaluation.report import check_writable

        check_writable(request.out)
    if RECONSTRUCTION in request.metrics:
        left_out = evaluate_pairs(request)
    elif request.reference is None:
        left_out = save_statistics(request)
    else:
        left_out = evaluate_folders(request)
    if request.strict and left_out:
        raise BadInput(
            f"{left_out} files were left out (see the notes), which --strict does not allow; repair or remove them."
        )


def evaluate_folders(request: FolderRequest) -> int:
    """Measure a folder of audio against another or against statistics; returns the number of files left out."""
    import jax

    from drumgan_jax.core.mesh import batch_sharding, make_mesh
    from drumgan_jax.evaluation.collecting import EMBEDDINGS
    from drumgan_jax.evaluation.folders import at_one_mix, open_folder
    from drumgan_jax.evaluation.report import save_json

    assert request.reference is not None
    suite = suite_of(request.metrics, batch_sharding(make_mesh()), request.weigh)
    if request.per_song and not any(metric in FRECHET for metric, _ in suite.requests):
        raise BadInput(f"--per_song is a distance of each file; name {' or '.join(FRECHET)} in --metrics.")
    remarks: list[str] = []
    folders = [open_folder(request.wavs)]
    if Path(request.reference).is_dir():
        folders.insert(0, open_folder(request.reference))
        there = len(folders[1].files)
        folders[1] = at_one_mix(folders[0], folders[1], request.samples, request.same_mix)
        if request.same_mix:
            kept = len(folders[1].files)
            remarks.append(f"{kept} of the {there} files of {request.wavs} have the mix; the others were left out.")
        real = _embedded(suite, folders[0], request.samples, "reference")
    else:
        real = reference_statistics(request.reference, suite)
    fake = _embedded(suite, folders[-1], request.samples, "measured", [EMBEDDINGS] if request.per_song else [])
    results = suite.compare(real, fake)
    rankings, of_ranking = _rankings(suite, folders[-1], real, fake) if request.per_song else ({}, [])
    notes = [*suite.notes, *_notes(suite, folders), *remarks, *of_ranking]
    if jax.process_index() == 0:
        print_figures(results.figures, [*notes, *results.warnings])
        _print_rankings(rankings)
        if request.out:
            save_json(request.out, _report(request, folders, results.figures, rankings, notes))
    silent = [max(one.silent_sounds for one in side.values()) for side in (real, fake)]
    return sum(len(folder.unreadable) for folder in folders) + sum(silent)


def evaluate_pairs(request: FolderRequest) -> int:
    """Measure files against the reference's files of the same name; returns the number of files left out."""
    from drumgan_jax.evaluation.pairs import as_json, compare_pairs, means_table
    from drumgan_jax.evaluation.report import save_json

    if list(request.metrics) != [RECONSTRUCTION]:
        raise BadInput("reconstruction cannot be combined with other metrics; give --metrics=reconstruction.")
    if request.reference is None or request.per_song:
        raise BadInput("reconstruction compares files with files; give --wavs and --reference, without --per_song.")
    with progress("pairs", None) as on_progress:
        result = compare_pairs(request.reference, request.wavs, request.samples, on_progress)
    print(means_table(result))
    for note in result.notes:
        print(f"note: {note}")
    if request.out:
        save_json(request.out, {"wavs": request.wavs, "reference": request.reference, **as_json(result)})
    return result.left_out


def save_statistics(request: FolderRequest) -> int:
    """Write the statistics of a folder for every embedder of the metrics; returns the number of files left out."""
    import jax

    from drumgan_jax.core.mesh import batch_sharding, make_mesh
    from drumgan_jax.evaluation import statistics
    from drumgan_jax.evaluation.collecting import MOMENTS
    from drumgan_jax.evaluation.folders import open_folder

    assert request.statistics is not None
    if request.per_song or request.out:
        raise BadInput("--save_statistics measures nothing: give --per_song and --out with --reference.")
    path = statistics.path_of(request.statistics)
    folder = open_folder(request.wavs)
    suite = suite_of(request.metrics, batch_sharding(make_mesh()), request.weigh)
    side = _embedded(suite, folder, request.samples, "sounds", [MOMENTS])
    if jax.process_index() == 0:
        statistics.write_statistics(path, suite.embedders, side)
        for note in [*suite.notes, *_notes(suite, [folder])]:
            print(f"note: {note}")
        counts = ", ".join(f"{one.sounds} sounds by {name}" for name, one in side.items())
        print(f"{path} holds the statistics of {counts}.")
    return len(folder.unreadable) + max(one.silent_sounds for one in side.values())


def reference_statistics(reference: str, suite: Any) -> Any:
    """The moments of a reference that is a file of statistics, or the name of one, by embedder."""
    from drumgan_jax.evaluation.statistics import find, read_statistics

    if Path(reference).is_dir():
        raise BadInput(
            f"{reference} is a folder, and a run is measured against statistics or its data set; write the folder's "
            f"with `drumgan evaluate --wavs={reference} --save_statistics=FILE.npz`."
        )
    return read_statistics(find(reference), suite)


def suite_of(metrics: Sequence[str], sharding: Any, weigh: str = "sounds", representation: Any = None) -> Any:
    """The suite of the metrics named by a flag, whose classifier files may begin with ~."""
    from drumgan_jax.evaluation.suite import Suite

    return Suite.of([expand(name) for name in metrics], sharding, weigh, representation)


def print_figures(figures: dict[str, dict[str, Any]], notes: Sequence[str]) -> None:
    """Print a table of figures, and the notes on them."""
    from drumgan_jax.evaluation.report import figures_table

    print(figures_table(figures))
    for note in notes:
        print(f"note: {note}")


def _embedded(suite: Any, folder: Any, samples: int, label: str, also: Sequence[str] = ()) -> Any:
    """Embed a folder: what the metrics need, and the parts in `also`."""
    stream = folder.stream(samples)
    with progress(label, stream.count) as on_progress:
        return suite.embed(stream, on_progress, also=also)


def _notes(suite: Any, folders: Sequence[Any]) -> list[str]:
    rates = sorted({embedder.sample_rate for embedder in suite.embedders})
    return [note for folder in folders for note in folder.notes(rates)]


def _rankings(suite: Any, folder: Any, real: Any, fake: Any) -> tuple[dict[str, Any], list[str]]:
    """The files ranked by each Fréchet distance that was asked for, and sentences on the rankings."""
    from drumgan_jax.evaluation.per_song import per_song, single_embeddings

    names = [path.relative_to(folder.path).as_posix() for path in folder.read]
    rankings, remarks = {}, []
    for metric, embedder in suite.requests:
        if metric in FRECHET:
            total = real[embedder.name].total
            figure = f"{metric}/{embedder.name}"
            rankings[figure] = per_song(total, fake[embedder.name], names)
            remarks += single_embeddings(figure, rankings[figure], total)
    return rankings, remarks


def _print_rankings(rankings: dict[str, Any]) -> None:
    from drumgan_jax.evaluation.per_song import ranking_table

    for name, ranked in rankings.items():
        print(f"\n{name} of each file\n{ranking_table(ranked)}")


def _report(
    request: FolderRequest, folders: Sequence[Any], figures: Any, rankings: dict[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    from drumgan_jax.evaluation.per_song import as_json

    return {
        "wavs": request.wavs,
        "reference": request.reference,
        "figures": figures,
        "notes": list(notes),
        "left_out": [sentence for folder in folders for sentence in folder.unreadable],
        **({"per_song": {name: as_json(ranked) for name, ranked in rankings.items()}} if rankings else {}),
    }
