"""Principal components of log magnitudes and a Gaussian per class: the baseline that a generator has to beat.

An example is x = mean + (deviations * w) directions, and w given the class weights y is normal: its mean and its
Cholesky factor are those of the classes, weighed by y. It is fitted in closed form.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.representations import transform
from drumgan_jax.audio.spectrograms import LogMagnitude
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Representation
from drumgan_jax.core.settings import real, text, whole
from drumgan_jax.core.weight_file import variables_digest

Array = jax.Array

# Of the log magnitudes of all examples, in bytes of float32.
_MEMORY = 2**29
# Least deviation of a direction as a share of the strongest one's: the rest is lost in float32 products of examples.
_LEAST_DEVIATION = 1e-3
# And as a share of the mean's length: the rest is rounding.
_ROUNDING = 1e-6
# Rounded to half precision when they are fitted, so that a packed file holds exactly what the run has.
IN_HALF = ("mean", "directions")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PcaGaussianSettings:
    """Section `task` of a config of this kind.

    Attributes:
        kind: "pca_gaussian".
        components: number of principal components.
        ridge: added to the variances of w within a class, in units of its variance over all examples.
        examples: number of examples of the data set to fit, at most.
    """

    kind: str = text(choices=("pca_gaussian",))
    components: int = whole(1, 64)
    ridge: float = real(0.0, 1.0, 1e-3, above=True)
    examples: int = whole(2, 2_000)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class PcaGaussian:
    """The fitted arrays; `classes` is 1 for data without labels.

    Attributes:
        mean: mean example, flattened [features].
        directions: orthonormal components, the strongest first [components, features].
        deviations: standard deviation along each [components].
        class_means: mean of w of each class [classes, components].
        class_factors: Cholesky factor of the covariance of w of each class [classes, components, components].
    """

    mean: Any
    directions: Any
    deviations: Any
    class_means: Any
    class_factors: Any

    @property
    def digest(self) -> str:
        """SHA-256 of all arrays, in hex."""
        return variables_digest({"params": self.arrays()})

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name, from which `of_arrays` builds them again."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Build it from the arrays that `arrays` returns, in any precision.

        Raises:
            BadInput: one is missing, of another type, not finite, or does not fit the others.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if missing := [name for name in names if name not in arrays]:
            raise BadInput(f"its arrays lack {', '.join(missing)}; fit it again.")
        if odd := [name for name in names if not np.issubdtype(arrays[name].dtype, np.floating)]:
            raise BadInput(f"its {odd[0]} is {arrays[odd[0]].dtype}, not of floating-point numbers; fit it again.")
        found = cls(**{name: np.asarray(arrays[name], np.float32) for name in names})
        features, components, classes = found.mean.size, found.deviations.size, len(np.atleast_1d(found.class_means))
        shapes = [
            (features,),
            (components, features),
            (components,),
            (classes, components),
            (classes, components, components),
        ]
        if [getattr(found, name).shape for name in names] != shapes:
            raise BadInput("its arrays do not fit each other; fit it again.")
        if not all(np.isfinite(array).all() for array in found.arrays().values()):
            raise BadInput("its arrays hold NaN or infinite values; fit it again.")
        return found

    def map(self, z: np.ndarray, labels: np.ndarray, truncation: float = 1.0) -> np.ndarray:
        """Scores w [batch, components] of normal z [batch, components] and class weights [batch, classes].

        Truncation pulls w towards the mean of its class.
        """
        weights = labels if labels.shape[1] else np.ones((len(z), 1), np.float32)
        spread = np.einsum("bc,cij,bj->bi", weights, self.class_factors, z)
        return (weights @ self.class_means + truncation * spread).astype(np.float32)

    def synthesize(self, w: Array) -> Array:
        """Examples [batch, features] of scores w [batch, components]."""
        return self.mean + jnp.matmul(w * self.deviations, self.directions, precision=jax.lax.Precision.HIGHEST)

    def project(self, x: Array) -> Array:
        """Scores w [batch, components] of examples [batch, features]: the best ones in the least-squares sense."""
        scores = jnp.matmul(x - self.mean, self.directions.T, precision=jax.lax.Precision.HIGHEST)
        return scores / self.deviations


def fit_pca_gaussian(
    batches: Iterable[np.ndarray], labels: np.ndarray, representation: LogMagnitude, settings: PcaGaussianSettings
) -> tuple[PcaGaussian, LogMagnitude]:
    """Fit components to waveforms, and a Gaussian to the scores of each class.

    Args:
        batches: waveforms [batch, samples] of the representation's length.
        labels: class weights of all waveforms [sounds, classes]; of width 0 for data without labels.
        representation: of the examples; its statistics are fitted here.
        settings: of the fit.

    Returns:
        The arrays, and the representation with its statistics.

    Raises:
        BadInput: there are fewer examples than components and one more, or a class has no example.
    """
    rows = np.concatenate([np.asarray(transform(representation, jnp.asarray(batch))) for batch in batches])
    fitted = representation.with_normalization(rows.mean(dtype=np.float64), rows.std(dtype=np.float64))
    examples = np.asarray(fitted.normalize(jnp.asarray(rows))).reshape(len(rows), -1)
    return fit_components(examples, labels, settings), fitted


def fit_components(
    examples: np.ndarray, labels: np.ndarray, settings: PcaGaussianSettings, setting: str = "config.task.components"
) -> PcaGaussian:
    """Fit components to flattened examples [sounds, features], and a Gaussian to the scores of each class.

    Args:
        examples: as networks take them.
        labels: class weights [sounds, classes]; of width 0 for data without labels.
        settings: of the fit.
        setting: what sets the number of components, for messages.

    Raises:
        BadInput: there are fewer examples than components and one more, they differ in fewer directions, or a class has
            no example.
    """
    if len(examples) <= settings.components:
        raise BadInput(
            f"{settings.components} components need {settings.components + 1} examples or more, not {len(examples)}; "
            f"give more recordings or lower {setting}."
        )
    weights = labels if labels.shape[1] else np.ones((len(examples), 1), np.float32)
    if empty := np.flatnonzero(weights.sum(axis=0) == 0.0).tolist():
        raise BadInput(f"class {empty[0]} (counted from 0) has no example; leave it out of the data set's labels.")
    exact = examples.mean(axis=0)
    directions, deviations = _components(examples - exact, float(np.linalg.norm(exact)), settings.components, setting)
    mean, directions = _rounded(exact), _rounded(directions)
    scores = ((examples - mean) @ directions.T / deviations).astype(np.float64)
    means, factors = zip(*(_gaussian(scores, weight, settings.ridge) for weight in weights.T), strict=True)
    arrays = (mean, directions, deviations, np.stack(means), np.stack(factors))
    return PcaGaussian(*(np.asarray(array, np.float32) for array in arrays))


def most_examples(representation: Representation) -> int:
    """Number of examples whose log magnitudes fit the memory that a fit may take."""
    return max(2, _MEMORY // (4 * int(np.prod(representation.shape))))


def _rounded(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16).astype(np.float32)


def _components(deviating: np.ndarray, size: float, count: int, setting: str) -> tuple[np.ndarray, np.ndarray]:
    """The strongest directions [count, features] and deviations [count] of rows with mean zero [examples, features].

    `size` is the length of the mean, beside which a deviation is rounding or not.
    """
    # There are far fewer examples than features, so the eigenvectors come from the products of examples.
    values, vectors = np.linalg.eigh((deviating @ deviating.T).astype(np.float64))
    values, vectors = values[::-1][:count], vectors[:, ::-1][:, :count]
    deviations = np.sqrt(np.maximum(values, 0.0) / (len(deviating) - 1))
    if deviations[-1] <= max(_LEAST_DEVIATION * deviations[0], _ROUNDING * size):
        raise BadInput(f"the recordings differ in fewer directions than the {count} of {setting}; lower it.")
    return (vectors.T @ deviating) / (deviations * np.sqrt(len(deviating) - 1))[:, None], deviations


def _gaussian(scores: np.ndarray, weight: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Mean [components] and Cholesky factor [components, components] of weighed scores [examples, components]."""
    share = weight.astype(np.float64) / weight.sum(dtype=np.float64)
    mean = share @ scores
    deviating = scores - mean
    covariance = (deviating * share[:, None]).T @ deviating
    return mean, np.linalg.cholesky(covariance + ridge * np.eye(len(mean)))
