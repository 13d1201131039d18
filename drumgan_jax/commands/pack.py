"""drumgan pack --run=RUN --out=FILE.npz [--step=best] [--precision=half] [--held_out=DATA_SET] [--vocoder=VOCODER]

Writes the EMA weights of a run to one file. `drumgan evaluate` takes a packed classifier or tagger as an embedder, and
`drumgan label` labels with a classifier; a GAN's config takes a packed vocoder. A packed GAN includes its principal
components and, if it has them, its encoder (RUN/encoder) and vocoder; all verbs that play take it as --run. By default,
the best evaluated checkpoint is packed. With --held_out, a classifier is measured on all of a data set that was not
used in training, and the figures are stored in the file's card.
"""

import contextlib
import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags

from drumgan_jax.commands.path_flags import define_path
from drumgan_jax.core.errors import BadInput, listed, shown
from drumgan_jax.core.places import is_remote, place, size_of

RUN = define_path("run", None, "the run directory of a classifier, a vocoder or a GAN.", required=True, bucket=True)
OUT = define_path("out", None, "the file to write, ending in .npz.", required=True, bucket=True)
STEP = flags.DEFINE_string("step", "best", "the checkpoint: last, best, a step, or images such as 800kimg.")
VOCODER = define_path(
    "vocoder",
    None,
    "for a GAN: a vocoder's run or file, instead of the one in its config; empty for none.",
    bucket=True,
)
PRECISION = flags.DEFINE_enum(
    "precision",
    "half",
    ["half", "bytes", "six_bits"],
    "for a GAN: of its weights; bytes make a file of about half the size, six_bits one of three quarters of that.",
)
HELD_OUT = define_path(
    "held_out", None, "a data set to measure a classifier on, with its representation and labels.", bucket=True
)

BATCH = 32


def main(argv: Sequence[str]) -> None:
    """Pack; see the module's docstring."""
    del argv
    path, card = pack(RUN.value, OUT.value, STEP.value, HELD_OUT.value, VOCODER.value, PRECISION.value)
    labels = ", ".join(card["labels"]) if card["labels"] else "no labels"
    print(f"{path}: {size_of(path):,} bytes, of step {card['step']}, {labels}.")
    for name in ("stopping", "held_out"):
        if name in card:
            print(f"\n{name}:\n{DESCRIPTIONS[card['config']['task']['kind']](card[name])}")


def pack(
    run_dir: str,
    out: str,
    step: str = "best",
    held_out: str | None = None,
    vocoder: str | None = None,
    precision: str = "half",
) -> tuple[Path, dict[str, Any]]:
    """Write a run as one file; see the module's docstring.

    Returns:
        The path, and the card. Every card has labels, step, images and config. A classifier's has the reports
        (drumgan_jax.evaluation.classification; a tagger's: tagging) `stopping`, on the split that chose the step, and
        `held_out`; the others have the `figures` of the step's evaluation; a GAN's tells whether it has an `encoder`
        and a `vocoder`, and the number of training recordings of each of their `sources` if the data set is at hand.

    Raises:
        BadInput: the run is of another task or has no such checkpoint, a flag belongs to another task, the data set
            does not fit, the run is being written, or the file cannot be written.
    """
    from drumgan_jax.core.weight_file import weight_path
    from drumgan_jax.runs.config import read_config

    weight_path(out)
    config = read_config(run_dir)
    kind = config.get("task", {}).get("kind")
    if held_out and kind in ("gan", "vocoder", "tagger"):
        raise BadInput(f"--held_out is for classifiers, and {run_dir} is of task {shown(kind)}; leave it out.")
    if vocoder is not None and kind in ("classifier", "tagger", "vocoder"):
        raise BadInput(f"--vocoder is for GANs, and {run_dir} is of task {shown(kind)}; leave it out.")
    with _held(run_dir):
        if kind == "vocoder":
            return place(out), _pack_vocoder(run_dir, out, step, config)
        if kind in ("classifier", "tagger"):
            return place(out), _pack_classifier(run_dir, out, step, held_out, config)
        from drumgan_jax.play.load import KINDS

        if kind not in KINDS:
            known = ", ".join(("classifier", "tagger", "vocoder", *KINDS))
            raise BadInput(f"{run_dir} is a run of task {shown(kind)}; give one of task {known}.")
        return place(out), _pack_instrument(run_dir, out, step, config, vocoder, precision)


def _held(run_dir: str) -> contextlib.AbstractContextManager[object]:
    """Holds a run against training, which deletes checkpoints; a run that is read-only is not trained."""
    from drumgan_jax.core.write_lock import only_writer

    if not is_remote(run_dir) and not os.access(run_dir, os.W_OK):
        return contextlib.nullcontext()
    return only_writer(run_dir, "drumgan pack", "pack a run that has ended")


def _pack_classifier(
    run_dir: str, out: str, step: str, held_out: str | None, config: Mapping[str, Any]
) -> dict[str, Any]:
    from drumgan_jax.runs.config import find_step
    from drumgan_jax.runs.load import load_network
    from drumgan_jax.systems.classifier import build_classifier, save_classifier

    variables, at = load_network(run_dir, config, find_step(run_dir, step))
    classifier = build_classifier(config, config["labels"])
    card, report = _card(run_dir, at, config["labels"], config)
    if report:
        card["stopping"] = {name: value for name, value in report.items() if name != "step"}
    if held_out:
        card["held_out"] = measure(classifier, variables, config, held_out)
    save_classifier(out, classifier, variables, card)
    return card


def _pack_vocoder(run_dir: str, out: str, step: str, config: Mapping[str, Any]) -> dict[str, Any]:
    from drumgan_jax.runs.config import find_step
    from drumgan_jax.runs.load import load_network
    from drumgan_jax.systems.vocoder import TrainedVocoder, build_vocoder, save_vocoder

    variables, at = load_network(run_dir, config, find_step(run_dir, step))
    card, report = _card(run_dir, at, (), config)
    card["figures"] = {name: value for name, value in report.items() if name != "step"}
    save_vocoder(out, TrainedVocoder(build_vocoder(config), variables, card))
    return card


def _pack_instrument(
    run_dir: str, out: str, step: str, config: Mapping[str, Any], vocoder: str | None, precision: str
) -> dict[str, Any]:
    from drumgan_jax.commands.sounds import open_instrument
    from drumgan_jax.play.load import save_instrument

    instrument = open_instrument(run_dir, step, vocoder)
    card, report = _card(run_dir, instrument.step, instrument.label_names, config)
    card |= {
        "encoder": getattr(instrument, "encoding", None) is not None,
        "vocoder": instrument.decoder_digest is not None,
        # The data set's path is one of this machine; `sources` tells what it holds.
        "figures": {
            name: {key: value for key, value in figure.items() if key != "data"}
            for name, figure in report.get("figures", {}).items()
        },
        "sources": _sources(config),
    }
    save_instrument(out, instrument, card, precision)
    return card


def _card(
    run_dir: str, step: int, labels: Sequence[str], config: Mapping[str, Any]
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """The common part of every card, and the report of the step, empty if it was not evaluated."""
    from drumgan_jax.evaluation.report import read_reports
    from drumgan_jax.systems.formats import portable_config

    card = {
        "labels": list(labels),
        "step": step,
        "images": step * config.get("train", {}).get("batch_size", 0),
        "config": portable_config(config),
    }
    return card, read_reports(run_dir).get(step, {})


def _sources(config: Mapping[str, Any]) -> dict[str, int] | None:
    """Number of training recordings by source, so that test sets can be told apart from them; None if not known."""
    from drumgan_jax.data.dataset import open_dataset

    try:
        dataset = open_dataset(config["data"]["dir"])
        names, counts = np.unique(dataset.classes_and_sources("train")[1], return_counts=True)
    except (BadInput, KeyError):
        return None
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def measure(classifier: Any, variables: Mapping[str, Any], config: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Report a classifier's performance on all splits of a data set.

    Raises:
        BadInput: the data set has another representation or other labels.
    """
    from drumgan_jax.audio.representations import build_representation, differences
    from drumgan_jax.data.dataset import open_dataset
    from drumgan_jax.evaluation.classification import classification_report, tally

    dataset = open_dataset(path)
    if others := differences(build_representation(config["representation"]), dataset.representation):
        raise BadInput(f"{path} was prepared with another representation ({', '.join(others)}); use the run's config.")
    if dataset.label_names != classifier.label_names:
        raise BadInput(
            f"{path} has the labels {listed(dataset.label_names)} but the classifier has"
            f" {listed(classifier.label_names)}; prepare the data set with config.preparation.labels."
        )
    compiled = jax.jit(functools.partial(tally, classifier))
    confusion, loss = np.zeros((len(classifier.label_names),) * 2, np.int64), 0.0
    for batch in _everything(dataset):
        counts, nats = compiled(variables, batch["waveforms"], batch["labels"], batch["valid"])
        confusion += np.asarray(counts)
        loss += float(nats)
    return classification_report(confusion, loss / confusion.sum(), classifier.label_names)


def describe(report: Mapping[str, Any]) -> str:
    """A report as lines for a terminal: accuracy, loss, and the confusion matrix with each class's recall."""
    low, high = report["accuracy_interval"]
    first = (
        f"accuracy {report['accuracy']:.3f} (95 % interval {low:.3f} to {high:.3f}) on {report['count']} sounds, "
        f"balanced {report['balanced_accuracy']:.3f}, loss {report['loss']:.3f}"
    )
    names = report["labels"]
    width = max(len(name) for name in (*names, "predicted"))
    lines = [first, " ".join(name.rjust(width) for name in ("predicted", *names, "recall"))]
    for name, row in zip(names, report["confusion"], strict=True):
        recall = f"{report['recall'][name]['value']:.3f}" if name in report["recall"] else ""
        lines.append(" ".join(cell.rjust(width) for cell in (name, *map(str, row), recall)))
    return "\n".join(lines)


def describe_tags(report: Mapping[str, Any]) -> str:
    """A tagger's report as lines for a terminal: the means, and the areas of each tag."""
    first = (
        f"ROC-AUC {report['roc_auc']:.3f}, PR-AUC {report['pr_auc']:.3f} (means over {report['tags']} tags), loss"
        f" {report['loss']:.3f}, on {report['count']} sounds"
    )
    width = max((len(name) for name in report["by_tag"]), default=0)
    return "\n".join(
        [first]
        + [
            f"{name.rjust(width)} {one['roc_auc']:.3f} {one['pr_auc']:.3f} {one['count']}"
            for name, one in report["by_tag"].items()
        ]
    )


# By the task's kind.
DESCRIPTIONS = {"classifier": describe, "tagger": describe_tags}


def _everything(dataset: Any) -> Iterator[dict[str, np.ndarray]]:
    from drumgan_jax.training.tasks.classifier import whole_split

    for split in dataset.splits:
        yield from whole_split(dataset, split, BATCH, np.arange(BATCH))
