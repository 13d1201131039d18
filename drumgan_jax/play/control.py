"""Whether an instrument's controls do what they say: class sliders, attributes and components, judged from outside."""

import dataclasses
import itertools
from typing import Any, cast

import numpy as np

from drumgan_jax.audio import loop_descriptors
from drumgan_jax.audio.attributes import heard_attributes
from drumgan_jax.audio.descriptors import describe
from drumgan_jax.evaluation.correlation import spearman
from drumgan_jax.evaluation.intervals import Figure, bootstrap
from drumgan_jax.evaluation.quality.judge import Judge, judge_waveforms
from drumgan_jax.latents.latents import Latents
from drumgan_jax.play.playable import HasAttributes, Playable

# Positions of a class slider, and amounts of a component in standard deviations.
STEPS = 9
AMOUNTS = (-2.0, -1.0, 0.0, 1.0, 2.0)
# Values that attributes are asked for.
ASKED = (0.0, 0.25, 0.5, 0.75, 1.0)
# What a component may move in a one-shot, of which few have a pitch; in a loop, all of loop_descriptors.
MOVED = ("brightness", "level", "decay", "confidence", "noisiness")
_SHUFFLES = 200
# Quantile of what shuffled amounts give above which a component does something.
_CHANCE = 0.99


@dataclasses.dataclass(frozen=True)
class Slider:
    """A slider from one class to another.

    Attributes:
        first: class at 0.
        second: class at 1.
        carried: share of sounds in which the judge's probability of the second class goes from below to above 0.5.
        correlation: mean over sounds of Spearman's correlation of that probability with the slider.
    """

    first: str
    second: str
    carried: Figure
    correlation: float


@dataclasses.dataclass(frozen=True)
class Followed:
    """How sounds follow an attribute.

    Attributes:
        attribute: its name.
        correlation: Spearman's correlation of asked and heard over all sounds, whatever their classes.
        within: mean over sounds of that of one sound whose attribute alone changes.
        heard: mean rank that is heard for each of ASKED; None if nothing is.
    """

    attribute: str
    correlation: float
    within: float
    heard: tuple[float | None, ...]


@dataclasses.dataclass(frozen=True)
class Moved:
    """What a component moves.

    Attributes:
        component: number, the strongest first.
        share: of the variance of w.
        correlations: mean over sounds of Spearman's correlation with the amount, by descriptor.
        chance: largest magnitude among the descriptors that shuffled amounts give, but for 1 in 100.
    """

    component: int
    share: float
    correlations: dict[str, float]
    chance: float

    @property
    def strongest(self) -> str:
        """The descriptor that it moves most."""
        return max(self.correlations, key=lambda name: abs(self.correlations[name]))

    @property
    def does_nothing(self) -> bool:
        """Whether no descriptor follows it more than chance."""
        return abs(self.correlations[self.strongest]) <= self.chance


def slider_figures(playable: Playable, judge: Judge, sounds: int = 100) -> list[Slider]:
    """Every pair of classes: what the slider between them does to the sounds of the first seeds."""
    figures = []
    for first, second in itertools.combinations(playable.label_names, 2):
        heard = np.stack(
            [
                _probability(playable, judge, sounds, {first: 1.0 - position, second: position}, second)
                for position in np.linspace(0.0, 1.0, STEPS).tolist()
            ],
            axis=1,
        )
        carried = (heard[:, 0] < 0.5) & (heard[:, -1] > 0.5)
        # A sound that the slider does not change at all has no order: it does not follow.
        rho = np.nan_to_num(spearman(np.linspace(0.0, 1.0, STEPS), heard))
        figures.append(Slider(first, second, bootstrap(carried.astype(float)), float(rho.mean())))
    return figures


def attribute_figures(playable: HasAttributes, sounds: int = 100) -> list[Followed]:
    """Every attribute of a playable: how the sounds of the first seeds follow it, all else being drawn from the seed.

    A sound that is silent for any value is left out.
    """
    scale, player = playable.attributes, cast(Playable, playable)
    figures = []
    for column, name in enumerate(scale.names):
        made = [player.render(player.draw(range(sounds), {name: value})).waveforms for value in ASKED]
        measured = [heard_attributes(one, player.sample_rate, scale.names) for one in made]
        heard = np.stack([scale.ranks(one)[:, column] for one in measured], axis=1)
        heard = heard[np.isfinite(heard).all(axis=1)]
        if not len(heard):
            figures.append(Followed(name, 0.0, 0.0, (None,) * len(ASKED)))
            continue
        asked = np.broadcast_to(np.asarray(ASKED), heard.shape)
        over_all = float(np.nan_to_num(spearman(asked.ravel(), heard.ravel())))
        means = tuple(float(one) for one in heard.mean(axis=0))
        figures.append(Followed(name, over_all, _follows(heard, np.asarray(ASKED)), means))
    return figures


def component_figures(playable: Any, sounds: int = 16, count: int = 8) -> list[Moved]:
    """The strongest components of a playable that CanEdit: what each moves in the sounds of the first seeds.

    Loops have descriptors of their own, so that a component is named by what it does to a loop.
    """
    latents = playable.draw(range(sounds))
    components = playable.components()
    shares = np.asarray(components.explained_variance_ratio)[:count].tolist()
    rng = np.random.default_rng(0)
    figures = []
    for component, share in enumerate(shares):
        edited = Latents.join([playable.edit(latents, component, amount) for amount in AMOUNTS])
        described = _described(playable, playable.render(edited).waveforms)
        values = {name: one.reshape(len(AMOUNTS), sounds).T for name, one in described.items()}
        correlations = {name: _follows(one, np.asarray(AMOUNTS)) for name, one in values.items()}
        shuffled = [
            max(abs(_follows(rng.permuted(one, axis=1), np.asarray(AMOUNTS))) for one in values.values())
            for _ in range(_SHUFFLES)
        ]
        figures.append(Moved(component, share, correlations, float(np.quantile(shuffled, _CHANCE))))
    return figures


def _described(playable: Playable, waveforms: np.ndarray) -> dict[str, np.ndarray]:
    """What a component may move, by name [sounds], in waveforms [sounds, samples]."""
    from drumgan_jax.data_pipelines.slicing import Bar, OneShot, build_slicing

    slicing = build_slicing(playable.config.get("slicing", {"kind": "one_shot"}))
    if not isinstance(slicing, OneShot):
        bar = slicing.beats * 60 / slicing.tempo if isinstance(slicing, Bar) else None
        return loop_descriptors.describe_loops(waveforms, playable.sample_rate, bar)
    described = describe(waveforms, playable.sample_rate)
    return {name: np.asarray(described[name]) for name in MOVED}


def _probability(playable: Playable, judge: Judge, sounds: int, labels: dict[str, float], name: str) -> np.ndarray:
    waveforms = playable.render(playable.draw(range(sounds), labels)).waveforms
    return judge_waveforms(judge, waveforms, playable.sample_rate)[:, judge.classes.index(name)]


def _follows(values: np.ndarray, amounts: np.ndarray) -> float:
    """Mean over sounds of the rank correlation of values [sounds, amounts] with the amounts; constant ones count 0."""
    return float(np.nan_to_num(spearman(amounts, values)).mean())
