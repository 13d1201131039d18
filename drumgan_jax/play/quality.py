"""The whole table of quality of a playable: beside baselines, against recordings that it was not trained on."""

import dataclasses
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np

from drumgan_jax.core.errors import BadInput, listed
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.evaluation.class_mix import classes_at_mix, mix_of
from drumgan_jax.evaluation.quality import SOUNDS
from drumgan_jax.evaluation.quality.judge import Judge
from drumgan_jax.evaluation.quality.round_trip import ROUND_TRIP, RoundTrip, nearest_sounds, round_trip
from drumgan_jax.evaluation.quality.sets import MeasuredSet, SoundSet, embedded_by, load_set, measure
from drumgan_jax.evaluation.quality.table import QualityTable, check_same_length, compare_sets
from drumgan_jax.evaluation.quality.thumbnails import thumbnails
from drumgan_jax.evaluation.report import number, table
from drumgan_jax.evaluation.suite import Suite
from drumgan_jax.play.baselines import (
    HELD_OUT,
    OTHERS,
    PCA,
    TRAINING,
    Form,
    at_mix,
    fit_baseline,
    noise_bursts,
    pca_set,
    procedural,
    recorded,
)
from drumgan_jax.play.coarser import fit_classes
from drumgan_jax.play.control import (
    ASKED,
    Followed,
    Moved,
    Slider,
    attribute_figures,
    component_figures,
    slider_figures,
)
from drumgan_jax.play.load import PACKAGED, load
from drumgan_jax.play.pca_gaussian import PcaInstrument
from drumgan_jax.play.playable import CanEdit, CanEncode, HasAttributes, Playable

# Recordings of the reference, and of the training that are looked at, at most.
_MOST, _MOST_TRAINING = 1_000, 5_000
# Recordings that are encoded and decoded, at most.
_ENCODED = 200


@dataclasses.dataclass(frozen=True)
class Ground:
    """Recordings at hand, for the encoder.

    Attributes:
        held_out: that are encoded and decoded.
        training: that the nearest and a random one are taken from.
        pca: principal components of the training recordings.
    """

    held_out: SoundSet
    training: SoundSet
    pca: PcaInstrument


@dataclasses.dataclass(frozen=True)
class Yardstick:
    """What a playable is measured against.

    Attributes:
        suite: the metrics.
        reference: recordings that training did not see.
        baselines: sets at the reference's mix of classes; measured ones where no sounds are at hand.
        form: rate, length and classes of all sets.
        classes: class of each generated sound [sounds], at the reference's mix.
        training: thumbnails of the training sounds [sounds, time, freq]; None without.
        judge: of classes; None without.
        ground: recordings; None if only what was measured of them is at hand.
        notes: sentences on what is missing.
    """

    suite: Suite
    reference: MeasuredSet
    baselines: tuple[SoundSet | MeasuredSet, ...]
    form: Form
    classes: np.ndarray
    training: np.ndarray | None
    judge: Judge | None
    ground: Ground | None
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Quality:
    """All of a playable's figures.

    Attributes:
        table: it, beside the baselines.
        sliders: of every pair of classes; empty without classes or judge.
        components: what each moves; empty for a playable that cannot be edited.
        encoder: round trips by row, its own first; empty without encoder or recordings.
        notes: sentences on what is missing.
        attributes: how sounds follow each; empty for a playable without any.
    """

    table: QualityTable
    sliders: Sequence[Slider]
    components: Sequence[Moved]
    encoder: Mapping[str, RoundTrip]
    notes: Sequence[str]
    attributes: Sequence[Followed] = ()

    def as_json(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


def packaged_yardstick(suite: Suite, judge: Judge, sounds: int = SOUNDS) -> Yardstick:
    """The held-out recordings that come with the package, as they were measured, and its baselines."""
    folder = resources.files("drumgan_jax.evaluation.quality")
    measured = {}
    for name in ("held_out", "training", "others"):
        with resources.as_file(folder / f"{name}.npz") as path:
            measured[name] = load_set(path)
    reference = measured["held_out"]
    # Before anything is measured.
    embedded_by(reference, [embedder.name for embedder in suite.embedders])
    assert reference.classes is not None
    pca = load(PACKAGED["pca_gaussian"])
    form = Form(pca.sample_rate, pca.num_samples, reference.label_names)
    classes = classes_at_mix(mix_of(reference.classes, len(form.label_names)), sounds)
    with resources.as_file(folder / "training_thumbnails.npy") as path:
        training = np.load(path)
    baselines: list[SoundSet | MeasuredSet] = [*_synthetic(form, classes, pca)]
    baselines += [measured["others"], measured["training"]]
    notes = ("the encoder is measured on recordings; give a data set with --data.",)
    return Yardstick(suite, reference, tuple(baselines), form, classes, training, judge, None, notes)


def dataset_yardstick(
    suite: Suite, dataset: Dataset, judge: Judge | None, sounds: int = SOUNDS, others: Dataset | None = None
) -> Yardstick:
    """A data set's held-out recordings, and baselines fitted to its training recordings.

    Args:
        suite: the metrics.
        dataset: its split "test" is the reference; without one, half of its recordings are.
        judge: of classes; None without.
        sounds: in each row, at most.
        others: recordings of other sources, for a row of their own.

    Raises:
        BadInput: the data set is too small, or lacks a class.
    """
    notes = []
    training = recorded(dataset, "train", _MOST_TRAINING, TRAINING)
    if "test" in dataset.splits:
        held_out = recorded(dataset, "test", _MOST, HELD_OUT)
    else:
        notes.append(
            "the data set has no held-out recordings (split test): one half of it is the reference, on which the run "
            "may have been trained, and no baseline was."
        )
        half = len(training) // 2
        held_out = training.take(np.arange(half)[:_MOST], "one half of the data set")
        training = training.take(np.arange(half, len(training)))
    fingerprint = dataset.fingerprint(dataset.held_out, len(held_out))
    form = Form(held_out.sample_rate, held_out.waveforms.shape[1], held_out.label_names)
    shares = np.ones(1) if held_out.classes is None else mix_of(held_out.classes, len(form.label_names))
    classes = classes_at_mix(shares, sounds)
    pca = fit_baseline(training)
    baselines: list[SoundSet | MeasuredSet] = [*_synthetic(form, classes, pca)]
    if others is None:
        notes.append("a row of recordings of other sources needs a data set of them: --others=DATA.")
    else:
        elsewhere = recorded(others, "train", _MOST_TRAINING, OTHERS)
        baselines.append(at_mix(elsewhere, shares, sounds))
    baselines.append(at_mix(training, shares, sounds))
    return Yardstick(
        suite,
        measure(held_out, suite, {"data": dataset.directory.parent.name, "records": fingerprint}),
        tuple(baselines),
        form,
        classes,
        thumbnails(training.waveforms, training.sample_rate),
        None if judge is None else judge.in_order(form.label_names),
        Ground(held_out.take(np.arange(min(_ENCODED, len(held_out)))), training, pca),
        tuple(notes),
    )


def quality(playable: Playable, yardstick: Yardstick, name: str, seed: int = 0, truncation: float = 1.0) -> Quality:
    """Measure a playable.

    Args:
        playable: makes the sounds.
        yardstick: what it is measured against.
        name: of its row.
        seed: of its first sound.
        truncation: 1 for the whole variety.

    Raises:
        BadInput: its classes or the length of its sounds are not the reference's.
    """
    playable = fit_classes(playable, yardstick.form.label_names, yardstick.reference.about.get("finer", {}))
    sounds = [*yardstick.baselines, generated_set(playable, yardstick, name, seed, truncation)]
    sets = [one if isinstance(one, MeasuredSet) else measure(one, yardstick.suite) for one in sounds]
    found = compare_sets(yardstick.reference, sets, yardstick.suite, yardstick.judge, yardstick.training)
    judge = yardstick.judge if yardstick.judge and yardstick.judge.classes == playable.label_names else None
    encoder, left_out = encoder_rows(playable, yardstick.ground, name, judge)
    notes = [*yardstick.notes, *found.warnings, *left_out]
    return Quality(
        found,
        slider_figures(playable, judge) if judge else (),
        component_figures(playable) if can_edit(playable) else (),
        encoder,
        notes,
        attribute_figures(inner) if isinstance(inner := getattr(playable, "playable", playable), HasAttributes) else (),
    )


def generated_set(playable: Playable, yardstick: Yardstick, name: str, seed: int, truncation: float) -> SoundSet:
    """A playable's sounds at the reference's mix of classes.

    Raises:
        BadInput: it has other classes, or sounds of another length.
    """
    check_same_length(yardstick.reference, name, playable.num_samples / playable.sample_rate)
    names = yardstick.form.label_names
    if playable.label_names and playable.label_names != names:
        raise BadInput(
            f"{name} has the classes {listed(playable.label_names)} and the recordings "
            f"{listed(names) or 'none'}; give a data set of its classes with --data."
        )
    seeds = range(seed, seed + len(yardstick.classes))
    classes = yardstick.classes if playable.label_names else None
    labels = None if classes is None else np.eye(len(names), dtype=np.float32)[classes]
    waveforms = playable.render(playable.draw(seeds, labels, truncation)).waveforms
    return SoundSet(name, waveforms, playable.sample_rate, classes, playable.label_names)


def can_encode(playable: Any) -> bool:
    """Whether a playable has an encoder; a GAN may come without."""
    playable = getattr(playable, "playable", playable)
    return isinstance(playable, CanEncode) and getattr(playable, "encoding", playable) is not None


def can_edit(playable: Any) -> bool:
    """Whether a playable has components."""
    return isinstance(getattr(playable, "playable", playable), CanEdit)


def encoder_rows(
    playable: Any, ground: Ground | None, name: str, judge: Judge | None
) -> tuple[dict[str, RoundTrip], list[str]]:
    """`encoder_figures`, none without recordings or an encoder, and a note if there is one that cannot be used.

    It may be one that is only beginning to be trained; all else is worth having without it.
    """
    try:
        able = ground is not None and can_encode(playable)
    except BadInput as problem:
        return {}, [f"the encoder's rows are left out: {problem}"]
    return (encoder_figures(playable, ground, name, judge) if able and ground is not None else {}), []


def encoder_figures(playable: Any, ground: Ground, name: str, judge: Judge | None) -> dict[str, RoundTrip]:
    """Round trips of held-out recordings: by a playable's encoder, and by encoders that need no training.

    Raises:
        BadInput: the recordings have another rate or length than the playable's sounds.
    """
    held_out, training, rate = ground.held_out, ground.training, ground.held_out.sample_rate
    if (rate, held_out.waveforms.shape[1]) != (playable.sample_rate, playable.num_samples):
        raise BadInput(
            f"{name} makes {playable.num_samples} samples at {playable.sample_rate} Hz, and the recordings are "
            f"{held_out.waveforms.shape[1]} at {rate} Hz; give a data set that was prepared for it."
        )
    rng = np.random.default_rng(0)
    if held_out.classes is None or training.classes is None:
        alike = rng.integers(len(training), size=len(held_out))
    else:
        alike = np.asarray([rng.choice(np.flatnonzero(training.classes == one)) for one in held_out.classes])
    padded = np.pad(held_out.waveforms, ((0, 0), (0, ground.pca.num_samples - held_out.waveforms.shape[1])))
    projected = ground.pca.render(ground.pca.encode_waveforms(padded), finished=False).waveforms
    decoded = {
        name: playable.render(playable.encode_waveforms(held_out.waveforms), finished=False).waveforms,
        f"{PCA}: projection": projected[:, : held_out.waveforms.shape[1]],
        "nearest training recording": training.waveforms[nearest_sounds(held_out.waveforms, training.waveforms, rate)],
        "random recording of the class": training.waveforms[alike],
    }
    return {row: round_trip(held_out.waveforms, one, rate, judge) for row, one in decoded.items()}


def sliders_text(sliders: Sequence[Slider]) -> str:
    """Sliders as a table for a terminal."""
    rows = [
        [
            f"{one.first} to {one.second}",
            f"{100 * one.carried.value:.0f} %",
            f"{100 * one.carried.low:.0f}..{100 * one.carried.high:.0f}",
            f"{one.correlation:+.2f}",
        ]
        for one in sliders
    ]
    return table(["class slider", "carried over 0.5", "95 % interval", "Spearman"], rows)


def attributes_text(attributes: Sequence[Followed]) -> str:
    """Attributes as a table for a terminal."""
    rows = [
        [
            one.attribute,
            f"{one.correlation:+.2f}",
            f"{one.within:+.2f}",
            *("" if heard is None else f"{heard:.2f}" for heard in one.heard),
        ]
        for one in attributes
    ]
    return table(["attribute", "Spearman", "within a sound", *(f"heard at {value:g}" for value in ASKED)], rows)


def components_text(components: Sequence[Moved]) -> str:
    """Components as a table for a terminal."""
    rows = [
        [
            str(one.component),
            f"{100 * one.share:.1f} %",
            one.strongest,
            f"{one.correlations[one.strongest]:+.2f}",
            f"{one.chance:.2f}",
            "nothing" if one.does_nothing else "",
        ]
        for one in components
    ]
    return table(["component", "variance", "moves most", "Spearman", "chance", ""], rows)


def encoder_text(rows: Mapping[str, RoundTrip]) -> str:
    """Round trips as a table for a terminal."""
    lines = []
    for name, one in rows.items():
        figures = [getattr(one, figure) for figure in ROUND_TRIP]
        lines.append([name, *("" if figure is None else number(figure.value) for figure in figures)])
    return table(["encoded and decoded", *ROUND_TRIP], lines)


def _synthetic(form: Form, classes: np.ndarray, pca: PcaInstrument) -> list[SoundSet]:
    """The baselines that need no recordings at hand."""
    sets = (noise_bursts(form, classes), procedural(form, classes), pca_set(pca, form, classes))
    return [one for one in sets if one is not None]
