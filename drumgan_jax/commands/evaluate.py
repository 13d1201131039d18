"""drumgan evaluate --run=RUN [--data=DIR] [--metrics=fid,fad,kid,is,prdc] [--samples=10000] [--step=best] ...

Measures a run's checkpoint against a data set, on all devices, prints the figures, and then the table of quality: the
run beside noise, procedural drums, principal components and recordings, all against held-out recordings at one mix of
classes, with the sound, the class sliders, the components and the encoder. It writes JSON to RUN/evaluations and
scalars for TensorBoard. RUN may be a packed instrument, or `packaged`, the one that comes with this package; without
--data it has the table only, against the recordings of the package. --out writes the JSON elsewhere too.

`drumgan evaluate --wavs=FOLDER --reference=FOLDER` compares two folders of audio, without any model. With --per_song,
fid and fad are also given for each file, ranked. With --metrics=reconstruction, files of the same name are compared
pairwise: SNR, spectral distances, PEAQ. Folders of class folders are compared at one mix of classes: see --same_mix.
--strict ends with status 2 if any file was left out.

`drumgan evaluate --wavs=FOLDER --save_statistics=FILE.npz` (or a name) keeps mean and covariance of a folder's
embeddings; --reference=FILE.npz (or the name) measures a folder or a run against them by fid, fad or fad_inf.

A metric uses its default embedder unless --metrics=METRIC:EMBEDDER names one, such as fid:drums, fad:vggish,
prdc:vgg16, is:my_classifier.npz (from `drumgan pack`).
"""

from collections.abc import Sequence

from absl import flags

from drumgan_jax.commands.evaluate_folders import FolderRequest, evaluate
from drumgan_jax.commands.evaluate_run import RunRequest, evaluate_run
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation import quality

RUN = define_path("run", None, "the run directory or packed instrument to measure.", bucket=True)
STEP = flags.DEFINE_string("step", "last", "its checkpoint: last, best, a step, or images such as 800kimg.")
VOCODER = define_path(
    "vocoder", None, "a vocoder's run or file, instead of the one in the run's config; empty for none.", bucket=True
)
DATA = define_path("data", None, "the data set to measure against; the run's own if not given.", bucket=True)
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
OUT = define_path(
    "out", None, "a JSON file for the results; those of a run directory are also kept in it.", bucket=True
)
SAME_MIX = flags.DEFINE_bool(
    "same_mix", False, "leave out files of --wavs, so that it has the reference's mix of class folders."
)
WEIGH = flags.DEFINE_enum(
    "weigh", "sounds", ["sounds", "windows"], "what weighs the same in precision, recall, density and coverage."
)
SOUNDS = flags.DEFINE_integer(
    "sounds", quality.SOUNDS, "sounds in each row of the table of quality; 0 for none.", lower_bound=0
)
OTHERS = define_path("others", None, "a data set of recordings of other sources, for a row of the table.", bucket=True)
JUDGE = define_path(
    "judge", None, "a judge of classes, from drumgan fit --config=judge; the packaged one if not given."
)
TABLE_METRICS = flags.DEFINE_list(
    "table_metrics",
    list(quality.METRICS),
    "the metrics of the table of quality.",
)
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
        evaluate_run(_request(run))
    elif wavs:
        options = (METRICS.value, SAMPLES.value, OUT.value, PER_SONG.value, STRICT.value)
        evaluate(FolderRequest(wavs, reference, *options, statistics=saved, weigh=WEIGH.value, same_mix=SAME_MIX.value))


def _request(run: str) -> RunRequest:
    given = ("metrics", "samples", "split", "reference", "others")
    return RunRequest(
        needs_data=[f"--{name}" for name in given if flags.FLAGS[name].present],
        run=run,
        step=STEP.value,
        vocoder=VOCODER.value,
        data=DATA.value,
        split=SPLIT.value,
        reference=REFERENCE.value,
        metrics=METRICS.value,
        weigh=WEIGH.value,
        samples=SAMPLES.value,
        seed=SEED.value,
        truncation=TRUNCATION.value,
        out=OUT.value,
        sounds=SOUNDS.value,
        others=OTHERS.value,
        judge=JUDGE.value,
        table_metrics=TABLE_METRICS.value,
    )
