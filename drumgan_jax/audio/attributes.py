"""Attributes: descriptors that condition a generator, and the scale from what is measured to 0..1."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from drumgan_jax.audio import descriptors
from drumgan_jax.core.errors import BadInput, first_line, listed, shown
from drumgan_jax.core.settings import numbers_of

Array = jax.Array

# Points of a scale, and recordings of each class that stand for its typical attributes.
_POINTS, _TYPICAL = 129, 64
# Rank of a normal deviate of -2, and what is added to the variance of a deviate that is regressed on.
_END, _RIDGE = 0.02275, 0.05
# A peak below this (-80 dB of full scale) is silence, of which nothing can be measured.
_SILENCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Attribute:
    """A descriptor that a generator can be asked for.

    Attributes:
        unit: of what is measured; empty for a ratio.
        measure: from waveforms [batch, samples], their power spectra [batch, bins] and the sample rate to [batch].
    """

    unit: str
    measure: Callable[[Array, Array, int], Array]


# Definitions and sources are in `descriptors`.
ATTRIBUTES: dict[str, Attribute] = {
    "brightness": Attribute("Hz", lambda waveform, power, rate: descriptors.brightness(power, rate)),
    "depth": Attribute("", lambda waveform, power, rate: descriptors.depth(power, rate)),
    "boominess": Attribute("", lambda waveform, power, rate: descriptors.boominess(power, rate)),
    "hardness": Attribute("octaves", lambda waveform, power, rate: descriptors.hardness(waveform, rate)),
    "noisiness": Attribute("", lambda waveform, power, rate: descriptors.noisiness(power)),
    "decay": Attribute("s", lambda waveform, power, rate: descriptors.decay(waveform, rate)),
    "pitch": Attribute("Hz", lambda waveform, power, rate: descriptors.pitch(power, rate)[0]),
}


def check_attributes(names: Sequence[str], where: str) -> None:
    """Raise BadInput if a name is no attribute; `where` is the setting, for the message."""
    if unknown := [name for name in names if name not in ATTRIBUTES]:
        raise BadInput(f"{where} has {shown(unknown[0])}, which is no attribute; there are {', '.join(ATTRIBUTES)}.")


def measure_attributes(waveforms: np.ndarray, sample_rate: int, names: Sequence[str]) -> np.ndarray:
    """Attributes [batch, attributes] float32 of waveforms [batch, samples], in their units.

    Raises:
        BadInput: a waveform is silent, so that nothing can be measured.
    """
    measured = heard_attributes(waveforms, sample_rate, names)
    if not np.isfinite(measured).all():
        raise BadInput(f"{', '.join(names)} cannot be measured on silence; leave silent sounds out.")
    return measured


def heard_attributes(waveforms: np.ndarray, sample_rate: int, names: Sequence[str]) -> np.ndarray:
    """As `measure_attributes`, NaN for a silent waveform."""
    waveforms = np.asarray(waveforms, np.float32)
    measured = np.array(_measured(jnp.asarray(waveforms), sample_rate, tuple(names)))
    measured[np.abs(waveforms).max(axis=1) < _SILENCE] = np.nan
    return measured


@functools.partial(jax.jit, static_argnums=(1, 2))
def _measured(waveforms: Array, sample_rate: int, names: tuple[str, ...]) -> Array:
    power = descriptors.power_spectrum(waveforms, sample_rate)
    return jnp.stack([ATTRIBUTES[name].measure(waveforms, power, sample_rate) for name in names], axis=1)


def _deviates(ranks: np.ndarray) -> np.ndarray:
    """Normal deviates, from -2 to 2, of ranks from 0 to 1 of any shape."""
    return special.ndtri(_END + (1.0 - 2.0 * _END) * ranks)


@dataclasses.dataclass(frozen=True, eq=False)
class AttributeScale:
    """What attributes from 0 to 1 mean: ranks among the training recordings of a data set.

    Attributes:
        names: of the attributes, in the order of all columns.
        quantiles: measured values [attributes, points], evenly spaced in rank from 0 to 1.
        typical: ranks of recordings of each class [classes, recordings, attributes]; one class for data without.
    """

    names: tuple[str, ...]
    quantiles: np.ndarray
    typical: np.ndarray

    @classmethod
    def fit(cls, names: Sequence[str], values: np.ndarray, classes: np.ndarray, num_classes: int) -> Self:
        """The scale of recordings.

        Args:
            names: of the attributes.
            values: measured [recordings, attributes].
            classes: number of each recording's class [recordings].
            num_classes: a class without recordings has those of all.
        """
        quantiles = np.quantile(np.asarray(values, np.float64), np.linspace(0.0, 1.0, _POINTS), axis=0).T
        scale = cls(tuple(names), quantiles, np.zeros((1, 1, len(names))))
        ranks, rng = scale.ranks(values), np.random.default_rng(0)
        typical = []
        for number in range(max(num_classes, 1)):
            of_class = ranks[classes == number]
            of_class = of_class if len(of_class) else ranks
            # Each once before any is taken again.
            typical.append(np.resize(of_class[rng.permutation(len(of_class))], (_TYPICAL, len(names))))
        return dataclasses.replace(scale, typical=np.round(np.stack(typical), 4))

    def ranks(self, values: np.ndarray) -> np.ndarray:
        """Ranks [..., attributes] float32 of measured values [..., attributes]; NaN stays NaN."""
        columns = [
            np.interp(np.asarray(values)[..., column], points, np.linspace(0.0, 1.0, len(points)))
            for column, points in enumerate(self.quantiles)
        ]
        shape = (*np.shape(values)[:-1], len(self.names))
        return np.stack(columns, axis=-1).astype(np.float32) if columns else np.zeros(shape, np.float32)

    def completed(self, asked: np.ndarray, shares: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Attributes [sounds, attributes] of which some are asked for; the others go with them as in recordings.

        The others are those of a recording of the class, moved by how they depend on what is asked in that class: a
        sound that is asked to be brighter than the recording is also less deep.

        Args:
            asked: ranks [sounds, attributes], NaN where none is asked for.
            shares: of the classes [sounds, classes], which sum to 1.
            items: the recording of each sound [sounds], below that of `typical`.
        """
        rows = _deviates(self.typical)
        deviating = rows - rows.mean(axis=1, keepdims=True)
        covariances = np.einsum("cra,crb->cab", deviating, deviating) / rows.shape[1]
        wanted, found = _deviates(asked), np.empty(asked.shape)
        for sound, item in enumerate(items):
            known = np.isfinite(asked[sound])
            own = rows[:, item]
            for number, covariance in enumerate(covariances if known.any() else ()):
                within = covariance[np.ix_(known, known)] + _RIDGE * np.eye(known.sum())
                step = np.linalg.solve(within, wanted[sound, known] - own[number, known])
                own[number] = own[number] + covariance[:, known] @ step
            mixed = shares[sound] @ np.clip(special.ndtr(own), 0.0, 1.0)
            found[sound] = np.where(known, asked[sound], mixed)
        return found

    def only(self, names: Sequence[str]) -> Self:
        """The same scale of some of its attributes, in the order given.

        Raises:
            BadInput: it has no such attribute.
        """
        if unknown := [name for name in names if name not in self.names]:
            raise BadInput(
                f"the data set has no attribute {shown(unknown[0])}; it has {listed(self.names) or 'none'}: prepare it "
                "with config.preparation.attributes."
            )
        columns = self.columns(names)
        return dataclasses.replace(
            self, names=tuple(names), quantiles=self.quantiles[columns], typical=self.typical[..., columns]
        )

    def of_all_classes(self) -> Self:
        """The same scale, with the recordings of all classes in one."""
        return dataclasses.replace(self, typical=self.typical.reshape(1, -1, len(self.names)))

    def columns(self, names: Sequence[str]) -> list[int]:
        """Columns of some of its attributes."""
        return [self.names.index(name) for name in names]

    def to_json(self) -> dict[str, Any]:
        """For JSON; see `of_json`."""
        quantiles = [[float(f"{value:.7g}") for value in points] for points in self.quantiles.tolist()]
        return {"names": list(self.names), "quantiles": quantiles, "typical": self.typical.tolist()}

    @classmethod
    def of_json(cls, saved: Mapping[str, Any]) -> Self:
        """The scale that `to_json` wrote.

        Raises:
            BadInput: it is damaged.
        """
        try:
            names = tuple(saved["names"])
            if any(name not in ATTRIBUTES for name in names) or len(set(names)) < len(names):
                raise ValueError(f"its names are not different ones of {', '.join(ATTRIBUTES)}")
            quantiles, typical = (numbers_of(saved[name]) for name in ("quantiles", "typical"))
            fits = quantiles.ndim == 2 and typical.ndim == 3 and len(quantiles) == typical.shape[2] == len(names)
            fits = fits and quantiles.size > 0 and typical.size > 0
            if not fits or not np.isfinite(quantiles).all() or (np.diff(quantiles) < 0).any():
                raise ValueError("its numbers do not fit its names")
            if not (typical >= 0.0).all() or not (typical <= 1.0).all():
                raise ValueError("its ranks are not from 0 to 1")
        except (ArithmeticError, KeyError, TypeError, ValueError) as problem:
            raise BadInput(
                f"the scale of attributes is damaged ({first_line(problem)}); prepare the data set again."
            ) from problem
        return cls(names, quantiles, typical)


def _numbers(saved: Any) -> np.ndarray:
    """The numbers in nested lists [...] float64; a truth value is none."""
    if any(isinstance(one, bool) for one in np.asarray(saved, object).flat):
        raise ValueError("a truth value is no number")
    return np.asarray(saved, np.float64)


NO_ATTRIBUTES = AttributeScale((), np.zeros((0, _POINTS)), np.zeros((1, 1, 0)))
