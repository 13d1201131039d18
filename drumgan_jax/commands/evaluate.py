"""drumgan evaluate --run=RUN [--data=DIR] [--metrics=fid,fad,kid,is,prdc] [--samples=10000] [--step=best] ...

Measures a run's checkpoint against a data set, on all devices. It prints a table and writes JSON to RUN/evaluations and
scalars for TensorBoard. RUN may be a packed instrument; then --data is needed. --out writes the JSON elsewhere too.

`drumgan evaluate --wavs=FOLDER --reference=FOLDER` compares two folders of audio, without any model. With --per_song,
fid and fad are also given for each file, ranked. With --metrics=reconstruction, files of the same name are compared
pairwise: SNR, spectral distances, PEAQ. --strict ends with status 2 if any file was left out.

`drumgan evaluate --wavs=FOLDER --save_statistics=FILE.npz` (or a name) keeps mean and covariance of a folder's
embeddings; --reference=FILE.npz (or the name) measures a folder or a run against them by fid, fad or fad_inf.

A metric uses its default embedder unless --metrics=METRIC:EMBEDDER names one, such as fid:drums, fad:vggish,
prdc:vgg16, is:my_classifier.npz (from `drumgan pack`).
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from drumgan_jax.commands.evaluate_folders import (
    RECONSTRUCTION,
    FolderRequest,
    evaluate,
    print_figures,
    reference_statistics,
    suite_of,
)
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.commands.progress import progress
from drumgan_jax.core.errors import BadInput

RUN = define_path("run", None, "the run directory or packed instrument to measure.")
STEP = flags.DEFINE_string("step", "last", "its checkpoint: a step's number, last, or best by evaluation.metric.")
VOCODER = define_path(
    "vocoder", None, "a vocoder's run or file, instead of the one in the run's config; empty for none."
)
DATA = define_path("data", None, "the data set to measure against; the run's own if not given.")
SPLIT = flags.DEFINE_string("split", "train", "the data set's split.")
WAVS = define_path("wavs", None, "a folder of audio to measure, instead of a run.")
REFERENCE = define_path("reference", None, "the folder of audio to measure against, or a file or name of statistics.")
SAVE_STATISTICS = define_path(
    "save_statistics", None, "write the folder's statistics to this .npz, or under this name."
)
PER_SONG = flags.DEFINE_bool("per_song", False, "rank the folder's files by their own Fréchet distance.")
STRICT = flags.DEFINE_bool("strict", False, "end with status 2 if any file of a folder was left out.")
METRICS = flags.DEFINE_list(
    "metrics", ["fid", "fad", "kid", "is", "prdc"], "the metrics: fid, fad, fad_inf, kid, is, prdc, reconstruction."
)
SAMPLES = flags.DEFINE_integer("samples", 10_000, "maximum number of sounds on each side.", lower_bound=2)
SEED = flags.DEFINE_integer("seed", 0, "the first generated sound's seed.", lower_bound=0)
TRUNCATION = flags.DEFINE_float("truncation", 1.0, "1 for full variety; values towards 0 give the average sound.")
OUT = define_path("out", None, "a JSON file for the results; those of a run directory are also kept in it.")
DISTRIBUTED = flags.DEFINE_bool("distributed", False, "find the other processes, as TPU pods and Slurm allow.")


def main(argv: Sequence[str]) -> None:
    """Evaluate; see the module's docstring."""
    del argv
    run, wavs, reference, saved = RUN.value, WAVS.value, REFERENCE.value, SAVE_STATISTICS.value
    if bool(run) == bool(wavs) or (wavs and bool(reference) == bool(saved)):
        raise BadInput("give either --run, or --wavs with --reference or --save_statistics.")
    if run and (saved or PER_SONG.value or STRICT.value):
        raise BadInput("--save_statistics, --per_song and --strict are for folders: give --wavs.")
    from drumgan_jax.core import distributed
    from drumgan_jax.core.compilation import enable_compilation_cache

    distributed.join(automatic=DISTRIBUTED.value)
    enable_compilation_cache()
    if run:
        evaluate_run(run)
    elif wavs:
        options = (METRICS.value, SAMPLES.value, OUT.value, PER_SONG.value, STRICT.value)
        evaluate(FolderRequest(wavs, reference, *options, statistics=saved))


def evaluate_run(run: str) -> None:
    """Measure a run's checkpoint."""
    import jax

    from drumgan_jax.audio.representations import build_representation, differences
    from drumgan_jax.core.mesh import batch_sharding, make_mesh
    from drumgan_jax.data.dataset import open_dataset
    from drumgan_jax.data.reference import dataset_side
    from drumgan_jax.evaluation.report import save_json, write_report
    from drumgan_jax.play.load import load
    from drumgan_jax.play.measure import embed_generated, reference_labels
    from drumgan_jax.runs.config import read_config

    if RECONSTRUCTION in METRICS.value:
        raise BadInput("reconstruction compares files with files: give --wavs and --reference.")
    packed = Path(run).is_file()
    if packed and not DATA.value:
        raise BadInput(f"{run} is a packed instrument, which does not name its data; give a data set with --data.")
    config = load(run).config if packed else read_config(run)
    dataset = open_dataset(DATA.value or config["data"]["dir"])
    others = differences(build_representation(config["representation"]), dataset.representation)
    if others:
        raise BadInput(
            f"{dataset.directory} was prepared with another representation than the run's (they differ in "
            f"{', '.join(others)}); give the data set of the run, or one prepared with its config."
        )
    sharding = batch_sharding(make_mesh())
    suite = suite_of(METRICS.value, sharding)
    instrument = load(run, STEP.value, VOCODER.value).on_devices(sharding)
    labels = reference_labels(dataset, instrument.label_names, config, SPLIT.value, SAMPLES.value)
    with progress("reference", min(SAMPLES.value, dataset.num_examples(SPLIT.value))) as on_progress:
        if REFERENCE.value:
            real = reference_statistics(REFERENCE.value, suite)
        else:
            real = dataset_side(suite, dataset, SAMPLES.value, SPLIT.value, on_progress)
    with progress("generated", SAMPLES.value) as on_progress:
        fake = embed_generated(instrument, suite, labels, SAMPLES.value, SEED.value, TRUNCATION.value, on_progress)
    results = suite.compare(real, fake)
    if jax.process_index() == 0:
        how = {
            "data": REFERENCE.value or str(dataset.directory),
            "split": None if REFERENCE.value else SPLIT.value,
            "seed": SEED.value,
            "truncation": TRUNCATION.value,
            "vocoder": instrument.decoder_digest,
        }
        figures = {name: {**figure, **how} for name, figure in results.figures.items()}
        report = {"figures": figures, "notes": list(suite.notes)}
        print_figures(results.figures, [*suite.notes, *results.warnings])
        if not packed:
            path = write_report(run, instrument.step, report)
            _write_events(run, instrument.step, results.scores)
            print(f"step {instrument.step} of {run}; the full report is {path}.")
        if OUT.value:
            save_json(OUT.value, {"run": run, "step": instrument.step, **report})


def _write_events(run_dir: str, step: int, scores: dict[str, float]) -> None:
    from drumgan_jax.training.writers import open_events

    if events := open_events(Path(run_dir)):
        events.write_scalars(step, {f"evaluate/{name}": value for name, value in scores.items()})
        events.close()
