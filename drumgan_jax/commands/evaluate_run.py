"""`drumgan evaluate --run`: a playable against a data set, and the table of quality beside baselines."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drumgan_jax.commands.evaluate_folders import RECONSTRUCTION, print_figures, reference_statistics, suite_of
from drumgan_jax.commands.progress import progress
from drumgan_jax.core.errors import BadInput, listed

# Sounds that every metric of a table can do with.
_LEAST = 12


@dataclasses.dataclass(frozen=True)
class RunRequest:
    """What the command line asks of a run.

    Attributes:
        run: a run directory, a packed instrument, or the name of a packaged one.
        step: its checkpoint.
        vocoder: instead of the run's; None for the run's own.
        data: the data set; None for the run's own.
        split: of the data set.
        reference: file or name of statistics to measure against, instead of the data set.
        metrics: by name, with or without embedders.
        weigh: what weighs the same in precision, recall, density and coverage.
        samples: the most sounds on each side.
        seed: of the first generated sound.
        truncation: 1 for the whole variety.
        out: path of a JSON file, or None.
        sounds: in each row of the table of quality; 0 for no table.
        others: a data set of recordings of other sources, for a row of the table; None without.
        judge: a judge's file; None for the packaged one.
        table_metrics: metrics of the table.
        needs_data: flags that were given and mean nothing without a data set.
    """

    run: str
    step: str
    vocoder: str | None
    data: str | None
    split: str
    reference: str | None
    metrics: Sequence[str]
    weigh: str
    samples: int
    seed: int
    truncation: float
    out: str | None
    sounds: int
    others: str | None
    judge: str | None
    table_metrics: Sequence[str]
    needs_data: Sequence[str] = ()


def evaluate_run(request: RunRequest) -> None:
    """Measure a run's checkpoint against its data set, print the table of quality, and write both as JSON.

    A packed instrument without a data set has the table only, against the recordings that come with this package.
    """
    import jax

    from drumgan_jax.core.mesh import batch_sharding, make_mesh
    from drumgan_jax.evaluation.report import check_writable, save_json, write_report
    from drumgan_jax.play.load import load, path_of

    if RECONSTRUCTION in request.metrics:
        raise BadInput("reconstruction compares files with files: give --wavs and --reference.")
    sharding = batch_sharding(make_mesh())
    path = path_of(request.run)
    packed = path.is_file()
    if request.out:
        check_writable(request.out)
    if packed and not request.data and request.needs_data:
        raise BadInput(
            f"{', '.join(request.needs_data)} need a data set, and {request.run} names none; give one with --data, or "
            "leave them out for the table of quality alone."
        )
    if 0 < request.sounds < _LEAST:
        raise BadInput(f"--sounds is {request.sounds}; the table of quality needs {_LEAST} or more, 0 leaves it out.")
    instrument = load(request.run, request.step, request.vocoder).on_devices(sharding)
    dataset = None if packed and not request.data else _dataset(request, instrument)
    if dataset is None and request.sounds == 0:
        raise BadInput(f"{request.run} is a packed instrument, which does not name its data; give --data.")
    # Read first: a file that cannot be used is told before minutes of measuring.
    judge, others = _judge(request), _others(request)
    report: dict[str, Any] = {}
    if dataset is not None:
        report |= _figures(request, instrument, dataset, sharding)
    if request.sounds:
        report |= _quality(request, instrument, dataset, judge, others, sharding)
    if jax.process_index() == 0:
        if not packed:
            written = write_report(path, instrument.step, report, request.truncation)
            scores = {name: figure["value"] for name, figure in report.get("figures", {}).items()}
            _write_events(path, instrument.step, scores)
            print(f"step {instrument.step} of {request.run}; the full report is {written}.")
        if request.out:
            save_json(request.out, {"run": request.run, "step": instrument.step, **report})


def _dataset(request: RunRequest, instrument: Any) -> Any:
    """The data set to measure against: its sounds have the instrument's rate and length."""
    from drumgan_jax.data.dataset import open_dataset

    dataset = open_dataset(request.data or instrument.config["data"]["dir"])
    for name, unit in (("sample_rate", "Hz"), ("num_samples", "samples")):
        there, own = getattr(dataset.representation, name), getattr(instrument, name)
        if there != own:
            raise BadInput(
                f"{dataset.directory} has sounds of {there} {unit} and the run makes {own} {unit}; give the data set "
                "of the run, or one prepared with its config."
            )
    return dataset


def _figures(request: RunRequest, instrument: Any, dataset: Any, sharding: Any) -> dict[str, Any]:
    """Measure and print the figures of all metrics against a split of the data set; for the report."""
    import jax

    from drumgan_jax.data.reference import dataset_side
    from drumgan_jax.play.coarser import fit_classes
    from drumgan_jax.play.labeller import labeller_notes
    from drumgan_jax.play.measure import embed_generated, reference_labels

    suite = suite_of(request.metrics, sharding, request.weigh, dataset.representation)
    notes = [*suite.notes, *labeller_notes(instrument.config, suite, dataset.directory)]
    playable = fit_classes(instrument, dataset.label_names, {})
    labels = reference_labels(dataset, playable.label_names, instrument.config, request.split, request.samples)
    with progress("reference", min(request.samples, dataset.num_examples(request.split))) as on_progress:
        if request.reference:
            real = reference_statistics(request.reference, suite)
        else:
            real = dataset_side(suite, dataset, request.samples, request.split, on_progress)
    with progress("generated", request.samples) as on_progress:
        fake = embed_generated(playable, suite, labels, request.samples, request.seed, request.truncation, on_progress)
    results = suite.compare(real, fake)
    how = {
        "data": request.reference or str(dataset.directory),
        "split": None if request.reference else request.split,
        "seed": request.seed,
        "truncation": request.truncation,
        "vocoder": instrument.decoder_digest,
    }
    if jax.process_index() == 0:
        print_figures(results.figures, [*notes, *results.warnings])
    return {"figures": {name: {**one, **how} for name, one in results.figures.items()}, "notes": notes}


def _judge(request: RunRequest) -> Any:
    from drumgan_jax.evaluation.quality.judge import load_judge, packaged_judge

    return load_judge(request.judge) if request.judge else packaged_judge()


def _others(request: RunRequest) -> Any:
    from drumgan_jax.data.dataset import open_dataset

    return open_dataset(request.others) if request.others else None


def _quality(
    request: RunRequest, instrument: Any, dataset: Any, judge: Any, others: Any, sharding: Any
) -> dict[str, Any]:
    """Measure and print the table of quality; for the report. Where none can be made, a note says why."""
    import jax

    from drumgan_jax.play.labeller import labeller_notes
    from drumgan_jax.play.quality import dataset_yardstick, packaged_yardstick, quality

    representation = None if dataset is None else dataset.representation
    suite = suite_of(request.table_metrics, sharding, request.weigh, representation)
    try:
        if dataset is None:
            yardstick = packaged_yardstick(suite, judge, request.sounds)
        else:
            yardstick = dataset_yardstick(suite, dataset, judge, request.sounds, others)
        if request.judge and yardstick.judge is None:
            raise BadInput(
                f"{request.judge} knows the classes {listed(judge.classes)}, and the recordings have "
                f"{listed(yardstick.form.label_names) or 'none'}; fit a judge to recordings of these."
            )
        found = quality(instrument, yardstick, request.run, request.seed, request.truncation)
        directory = None if dataset is None else dataset.directory
        marked = labeller_notes(instrument.config, yardstick.suite, directory)
        found = dataclasses.replace(found, notes=[*found.notes, *marked])
    except BadInput as problem:
        # The figures against the data set are worth having without it; what was asked for by name is not left out.
        if dataset is None or request.judge or request.others:
            raise
        if jax.process_index() == 0:
            print(f"note: no table of quality: {problem}")
        return {}
    if jax.process_index() == 0:
        print_quality(found, request.run)
    return {"quality": {**found.as_json(), "seed": request.seed, "truncation": request.truncation}}


def print_quality(found: Any, name: str) -> None:
    """Print all tables of a Quality, and its notes."""
    from drumgan_jax.evaluation.quality.table import quality_text, sound_text
    from drumgan_jax.play.quality import attributes_text, components_text, encoder_text, sliders_text

    tables = [quality_text(found.table, name), sound_text(found.table, name)]
    tables += [sliders_text(found.sliders)] if found.sliders else []
    tables += [attributes_text(found.attributes)] if found.attributes else []
    tables += [components_text(found.components)] if found.components else []
    tables += [encoder_text(found.encoder)] if found.encoder else []
    print("\n" + "\n\n".join(tables))
    for note in found.notes:
        print(f"note: {note}")


def _write_events(run_dir: Path, step: int, scores: Mapping[str, float]) -> None:
    from drumgan_jax.training.writers import open_events

    if scores and (events := open_events(run_dir)):
        events.write_scalars(step, {f"evaluate/{name}": value for name, value in scores.items()})
        events.close()
