"""drumgan label --data_dir=DATA --classifier=drums|FILE.npz|RUN [--step=best] [--overwrite]
drumgan label --data_dir=DATA --train=drum_classifier[:VARIANT] --workdir=RUN [--overwrite]

Writes a trained classifier's probabilities for every example of a data set beside its shards. The classifier is the
packaged one of drums, a file written by `drumgan pack`, or a run. Configs whose task uses soft labels train with them.
If the classifier has more classes than the data set, the probabilities are conditional on the data set's classes; a
data set without classes takes the classifier's. With --train, a classifier is trained on the classes of the data set's
own recordings first, as the run RUN, and its best checkpoint labels.
"""

from collections.abc import Sequence
from typing import Any

from absl import flags

from drumgan_jax.commands import config_files
from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.commands.progress import progress
from drumgan_jax.core.errors import BadInput

DATA_DIR = define_path("data_dir", None, "the data set to label.", required=True, bucket=True)
CLASSIFIER = define_path(
    "classifier", None, "drums, a file written by drumgan pack, or a classifier's run directory.", bucket=True
)
TRAIN = flags.DEFINE_string(
    "train", None, "a classifier's config, as drum_classifier:small, to train on the data set instead of --classifier."
)
WORKDIR = define_path("workdir", None, "the run directory of --train, to create or resume.", bucket=True)
STEP = flags.DEFINE_string("step", "best", "a run's checkpoint: last, best, a step, or images such as 800kimg.")
OVERWRITE = flags.DEFINE_bool("overwrite", False, "Replace the soft labels of another classifier.")


def main(argv: Sequence[str]) -> None:
    """Label; see the module's docstring."""
    del argv
    from drumgan_jax.core.compilation import enable_compilation_cache
    from drumgan_jax.core.mesh import batch_sharding, make_mesh
    from drumgan_jax.core.write_lock import only_writer
    from drumgan_jax.data.dataset import open_dataset
    from drumgan_jax.data.labelling import check_replaceable, label_dataset, summary
    from drumgan_jax.data.soft_labels import write_soft_labels
    from drumgan_jax.runs.load import open_classifier

    ready, config, run = CLASSIFIER.value, TRAIN.value, WORKDIR.value
    labeller = ready if config is None else run
    if labeller is None or (config is None) == (ready is None) or (config is None) != (run is None):
        raise BadInput("give --classifier=CLASSIFIER, or --train=CONFIG with --workdir=RUN.")
    enable_compilation_cache()
    dataset = open_dataset(DATA_DIR.value)
    if config is not None:
        train_classifier(config, dataset, labeller)
    classifier = open_classifier(labeller, STEP.value)
    # The folder that `drumgan prepare` holds while it replaces the data set.
    with only_writer(dataset.directory.parent, "drumgan label", "label another data set"):
        check_replaceable(dataset, classifier, OVERWRITE.value)
        with progress("label", sum(map(dataset.num_examples, dataset.splits))) as on_progress:
            labels = label_dataset(dataset, classifier, batch_sharding(make_mesh()), on_progress)
        report = summary(dataset, labels)
        path = write_soft_labels(dataset.directory, labels)
    print(describe(report))
    others = [name for name in classifier.classes if name not in labels.names]
    if others:
        print(f"{classifier.name} also knows {', '.join(others)}: the probabilities exclude these classes.")
    print(f"Labelled by {classifier.name}, in {path}.")


def train_classifier(name: str, dataset: Any, workdir: str) -> None:
    """Train a classifier's config on a data set, whatever its representation: a classifier hears the waveforms.

    Raises:
        BadInput: the config is of another task, the data set has no classes or no split "test", or the training was
            stopped before its end.
    """
    from drumgan_jax.audio.representations import settings_of
    from drumgan_jax.training.loop import train

    config = config_files.load(name)
    if config.get("task", {}).get("kind") != "classifier":
        raise BadInput(f"--train={name} is no classifier's config; give one such as drum_classifier:small.")
    if not dataset.has_labels:
        raise BadInput(f"{dataset.directory} has no classes to train on; give --classifier instead.")
    with config.unlocked():
        config.representation = settings_of(dataset.representation)
        config.data.dir = str(dataset.directory)
    if train(config, workdir).stopped == "preempted":
        raise BadInput("the training was stopped before its end; give the same command again to go on.")


def describe(report: dict[str, Any]) -> str:
    """A summary of soft labels as lines for a terminal."""
    from drumgan_jax.evaluation.report import number, table

    classes = report["classes"]
    first = f"{report['count']:,} examples, mean entropy {number(report['entropy'])} nats"
    header, rows = ["class", "mean probability", "most probable"], []
    if "agreement" in report:
        first += f"; the most probable class is the example's own in {100 * report['agreement']:.1f} %"
        header += ["examples", "agreement"]
    for name, one in classes.items():
        row = [name, number(one["mean"]), f"{one['most']:,}"]
        if "agreement" in report:
            share = one["agreement"]
            row += [f"{one['examples']:,}", "" if share is None else f"{100 * share:.1f} %"]
        rows.append(row)
    return f"{first}.\n{table(header, rows)}"
