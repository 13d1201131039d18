"""The embedding metrics by name, and a suite that measures several of them in one pass over the sounds."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jax.sharding import NamedSharding

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.parts import Representation
from drumgan_jax.evaluation import collecting
from drumgan_jax.evaluation.arithmetic import HOST, Arithmetic, arithmetic_of
from drumgan_jax.evaluation.collecting import EMBEDDINGS, LOGITS, MOMENTS, Embeddings, Stream
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.embedders import OF_EXAMPLES, build_embedder
from drumgan_jax.evaluation.frechet import frechet_figure, frechet_infinity
from drumgan_jax.evaluation.inception_score import inception_score
from drumgan_jax.evaluation.intervals import Figure
from drumgan_jax.evaluation.kernel import kernel_distance
from drumgan_jax.evaluation.neighbours import neighbour_metrics
from drumgan_jax.weights import store

__all__ = ["Results", "Suite"]

# The published implementations' subset size. The estimate is unbiased at any size, but its variance depends on it.
KERNEL_SUBSET = 1000
# Parts that the Inception Score's samples are split into.
SPLITS = 10
# Sounds of a class below which an Inception Score depends on chance: five in each part.
ENOUGH_OF_A_CLASS = 50
_NAMED_CLASSES = 5

# What has the same weight in a mean over sounds or their windows.
SOUNDS, WINDOWS = "sounds", "windows"


@dataclasses.dataclass(frozen=True)
class Measured:
    """The results of one metric.

    Attributes:
        figures: figures by name, without the embedder's name.
        warnings: sentences on why a figure is doubtful.
        details: further numbers, by the name of their figure.
    """

    figures: Mapping[str, Figure]
    warnings: Sequence[str] = ()
    details: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class How:
    """What a metric knows beside the embeddings.

    Attributes:
        embedder: what made them.
        by_sound: whether every sound has the same weight in a mean, else every window.
        arithmetic: what computes the sums.
    """

    embedder: Embedder
    by_sound: bool
    arithmetic: Arithmetic


@dataclasses.dataclass(frozen=True)
class Metric:
    """An entry of METRICS.

    Attributes:
        needs: the parts of `Embeddings` that it reads on both sides: MOMENTS, EMBEDDINGS or LOGITS.
        embedders: default embedders in order of preference; the first whose weights are installed is used.
        measure: computes it from the reference side and the measured side.
    """

    needs: Collection[str]
    embedders: Sequence[str]
    measure: Callable[[How, Embeddings, Embeddings], Measured]


def _frechet(name: str, how: How, real: Embeddings, fake: Embeddings) -> Measured:
    figure = frechet_figure(real.total, fake.moments or (), distances=how.arithmetic.distances)
    dimensions = len(real.total.mean)
    sides = (("measured", fake.rows), ("reference", real.rows))
    short = " and ".join(f"{rows} of the {side}" for side, rows in sides if rows <= dimensions)
    warning = (
        f"{name}: too few embeddings ({short} side) for their {dimensions} dimensions, so the covariance is not of "
        "full rank and the figure is mostly bias; measure more sounds."
    )
    return Measured({name: figure}, [warning] if short else ())


def _frechet_infinity(name: str, how: How, real: Embeddings, fake: Embeddings) -> Measured:
    assert fake.embeddings is not None
    figure, slope, r2 = frechet_infinity(
        real.total,
        fake.embeddings,
        sounds=fake.sound_of_row,
        distances=how.arithmetic.distances,
        moments=how.arithmetic.moments,
    )
    warning = (
        f"{name}: sounds with several windows are extrapolated over windows, so the bias of a small number of sounds "
        "remains; compare it only between sets with the same number of sounds."
    )
    return Measured({name: figure}, [warning] if fake.rows > fake.sounds else (), {name: {"slope": slope, "r2": r2}})


def _kernel(how: How, real: Embeddings, fake: Embeddings) -> Measured:
    assert real.embeddings is not None
    assert fake.embeddings is not None
    size = min(KERNEL_SUBSET, real.rows, fake.rows)
    warning = (
        f"kid: subsets of {size} instead of {KERNEL_SUBSET}, because one side has only {size} embeddings; measure more "
        "sounds."
    )
    figure = kernel_distance(
        real.embeddings,
        fake.embeddings,
        subset_size=size,
        real_sounds=real.sound_of_row,
        fake_sounds=fake.sound_of_row,
        over_subsets=how.arithmetic.over_subsets,
        within_sounds=how.arithmetic.within_sounds,
    )
    return Measured({"kid": figure}, [warning] if size < KERNEL_SUBSET else (), {"kid": {"subset_size": size}})


def _inception(how: How, real: Embeddings, fake: Embeddings) -> Measured:
    assert real.logits is not None
    assert fake.logits is not None
    # The reference's own score is reported too if it has enough sounds.
    scores = how.arithmetic.scores
    reference = {}
    if real.rows >= SPLITS:
        reference["reference_value"] = inception_score(real.logits, SPLITS, scores=scores).value
    figure = inception_score(fake.logits, SPLITS, sounds=fake.sound_of_row, scores=scores)
    return Measured({"is": figure}, _class_warnings(fake, how.embedder), {"is": reference})


def _class_warnings(side: Embeddings, embedder: Embedder) -> list[str]:
    """A sentence if classes have too few sounds for an Inception Score."""
    assert side.logits is not None
    assert side.sound_of_row is not None
    of_sounds = np.zeros((side.sounds, side.logits.shape[1]))
    # Numbers of sounds have gaps where silent ones were left out.
    np.add.at(of_sounds, np.unique(side.sound_of_row, return_inverse=True)[1], side.logits)
    counts = np.bincount(of_sounds.argmax(axis=1), minlength=of_sounds.shape[1])
    names = embedder.classes or tuple(f"class {number}" for number in range(len(counts)))
    if counts.max() == side.sounds:
        return [
            f"is: all {side.sounds} sounds of the measured side are of one class ({names[counts.argmax()]}), of which"
            " the score is 1 whatever they are; measure sounds of more classes."
        ]
    few = np.flatnonzero(counts < ENOUGH_OF_A_CLASS)
    if not len(few):
        return []
    named = ", ".join(f"{names[one]} {counts[one]}" for one in few[:_NAMED_CLASSES])
    others = f" and {len(few) - _NAMED_CLASSES} other classes" if len(few) > _NAMED_CLASSES else ""
    return [
        f"is: fewer than {ENOUGH_OF_A_CLASS} sounds of the measured side are of {named}{others}, so the score depends"
        " on chance; measure more sounds."
    ]


def _neighbours(how: How, real: Embeddings, fake: Embeddings) -> Measured:
    assert real.embeddings is not None
    assert fake.embeddings is not None
    figures, warnings = neighbour_metrics(
        real.embeddings,
        fake.embeddings,
        real_sounds=real.sound_of_row,
        fake_sounds=fake.sound_of_row,
        by_sound=how.by_sound,
        find=how.arithmetic.neighbourhoods,
    )
    return Measured(figures, [f"prdc: {warning}" for warning in warnings])


METRICS = {
    "fid": Metric({MOMENTS}, ("inception", "drums"), functools.partial(_frechet, "fid")),
    "fad": Metric({MOMENTS}, ("vggish", "drums"), functools.partial(_frechet, "fad")),
    "fad_inf": Metric({MOMENTS, EMBEDDINGS}, ("vggish", "drums"), functools.partial(_frechet_infinity, "fad_inf")),
    "kid": Metric({EMBEDDINGS}, ("drums",), _kernel),
    "is": Metric({LOGITS}, ("drums",), _inception),
    "prdc": Metric({EMBEDDINGS}, ("vgg16",), _neighbours),
}
# Metrics that read only the moments of their reference.
FROM_MOMENTS = frozenset({"fid", "fad", "fad_inf"})


@dataclasses.dataclass(frozen=True)
class Results:
    """Results of a suite: value, interval, counts, weights and warnings by the figure's name, ready for JSON."""

    figures: dict[str, dict[str, Any]]

    @property
    def scores(self) -> dict[str, float]:
        """Values of the figures by name."""
        return {name: figure["value"] for name, figure in self.figures.items()}

    @property
    def warnings(self) -> list[str]:
        """Warnings of all figures, without repetitions."""
        return list(dict.fromkeys(warning for figure in self.figures.values() for warning in figure["warnings"]))


@dataclasses.dataclass(frozen=True)
class Suite:
    """Metrics that are measured together.

    Attributes:
        requests: pairs of metric and embedder.
        sharding: how batches of windows are split over the devices; None for one device.
        notes: sentences on how the embedders were chosen.
        weigh: what has the same weight in precision, recall, density and coverage: SOUNDS or WINDOWS.
        arithmetic: what computes the figures from the embeddings.
    """

    requests: tuple[tuple[str, Embedder], ...]
    sharding: NamedSharding | None
    notes: tuple[str, ...] = ()
    weigh: str = SOUNDS
    arithmetic: Arithmetic = HOST

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        sharding: NamedSharding | None = None,
        weigh: str = SOUNDS,
        representation: Representation | None = None,
    ) -> "Suite":
        """Build a suite from names such as "fid", or "fid:drums" with an embedder's name or a classifier file.

        Args:
            names: of the metrics.
            sharding: see Suite.
            weigh: see Suite.
            representation: of the data set that is measured against, for embedders of its examples; None without one.

        Raises:
            BadInput: a name is unknown, the weights of a requested embedder are not installed, or `weigh` is neither
                SOUNDS nor WINDOWS.
        """
        if weigh not in (SOUNDS, WINDOWS):
            raise BadInput(f"means cannot weigh {shown(weigh)}; give {SOUNDS} or {WINDOWS}.")
        requests, notes = [], []
        for name in names:
            metric, _, choice = name.partition(":")
            if metric not in METRICS:
                raise BadInput(f"there is no metric {shown(metric)}; there are {', '.join(METRICS)}.")
            embedder, note = (_chosen(choice, representation), None) if choice else _preferred(metric)
            if LOGITS in METRICS[metric].needs and not embedder.num_classes:
                raise BadInput(f"{name} needs an embedder with class logits; {embedder.name} has none, use drums.")
            requests.append((metric, embedder))
            notes += [note] if note else []
        if not requests:
            raise BadInput(f"no metric was given; there are {', '.join(METRICS)}.")
        return cls(tuple(requests), sharding, tuple(notes), weigh, arithmetic_of(sharding))

    @property
    def embedders(self) -> tuple[Embedder, ...]:
        """The embedders of all requests, each once."""
        return tuple({embedder.name: embedder for _, embedder in self.requests}.values())

    @property
    def needs(self) -> dict[str, frozenset[str]]:
        """Parts of `Embeddings` that the metrics need, by the embedder's name."""
        return {
            one.name: frozenset().union(*(METRICS[metric].needs for metric, e in self.requests if e.name == one.name))
            for one in self.embedders
        }

    def embed(
        self,
        stream: Stream,
        progress: Callable[[int], None] | None = None,
        *,
        also: Collection[str] = (),
        keep_silent_sounds: bool = False,
        embedders: Sequence[Embedder] | None = None,
    ) -> dict[str, Embeddings]:
        """Embed a stream by `collecting.embed` for what the metrics need and the parts in `also`.

        Args:
            stream: the sounds, or examples laid out flat for embedders of those (`DeviceEmbedder.on_examples`).
            progress, keep_silent_sounds: see `collecting.embed`.
            also: parts to keep besides.
            embedders: forms of some of the suite's embedders; None for all as they are.
        """
        needs = {name: parts.union(also) for name, parts in self.needs.items()}
        chosen = self.embedders if embedders is None else embedders
        return collecting.embed(stream, chosen, needs, self.sharding, progress, keep_silent_sounds=keep_silent_sounds)

    def compare(self, real: Mapping[str, Embeddings], fake: Mapping[str, Embeddings]) -> Results:
        """Compute every metric from both sides' embeddings by embedder.

        Raises:
            BadInput: there are too few sounds for a metric; two on each side are the least.
        """
        figures: dict[str, dict[str, Any]] = {}
        for metric, embedder in self.requests:
            reference, measured = real[embedder.name], fake[embedder.name]
            for side, embeddings in (("reference", reference), ("measured", measured)):
                if embeddings.sounds < 2:
                    raise BadInput(f"{metric} compares sets, and the {side} side is one sound; give it more sounds.")
            how = How(embedder, self.weigh == SOUNDS, self.arithmetic)
            result = METRICS[metric].measure(how, reference, measured)
            for name, figure in result.figures.items():
                figures[f"{name}/{embedder.name}"] = {
                    **dataclasses.asdict(figure),
                    **result.details.get(name, {}),
                    "samples": measured.sounds,
                    "embeddings": measured.rows,
                    "reference_samples": reference.sounds,
                    "reference_embeddings": reference.rows,
                    "silent_sounds": measured.silent_sounds,
                    "silent_windows": measured.silent_windows,
                    "reference_silent_sounds": reference.silent_sounds,
                    "reference_silent_windows": reference.silent_windows,
                    "embedder": embedder.name,
                    "weights": embedder.weights_hash,
                    "warnings": [*result.warnings, *_silence(embedder, reference, measured)],
                }
        return Results(figures)


def _silence(embedder: Embedder, reference: Embeddings, measured: Embeddings) -> list[str]:
    """Sentences on the silence that was left out of either side."""
    sentences = []
    for name, side in (("measured", measured), ("reference", reference)):
        sounds, windows = side.silent_sounds, side.silent_windows
        all_sounds = f"{side.sounds + sounds} {name} sounds"
        silent = [f"{sounds} of {all_sounds}"] if sounds else []
        silent += [f"{windows} windows of {'the others' if sounds else f'the {all_sounds}'}"] if windows else []
        if silent:
            sentences.append(
                f"{' and '.join(silent)} are silent (peak below -80 dB of full scale); {embedder.name} leaves them out."
            )
    return sentences


def _chosen(name: str, representation: Any) -> Embedder:
    """The embedder of a name; for the others than those of examples, the same whatever the representation."""
    return build_embedder(name, representation) if name in OF_EXAMPLES else build_embedder(name)


def _preferred(metric: str) -> tuple[Embedder, str | None]:
    """The first of a metric's embedders whose weights are installed, and a note if it is not its first choice."""
    candidates = METRICS[metric].embedders
    note = None
    for name in candidates[:-1]:
        try:
            store.find(name)
        except BadInput as problem:
            note = f"{metric} is measured with {candidates[-1]} instead of {name}: {problem}"
        else:
            return build_embedder(name), None
    return build_embedder(candidates[-1]), note
