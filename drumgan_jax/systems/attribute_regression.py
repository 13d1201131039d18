"""What attributes say of principal components: a Gaussian of w and attributes together, for each class."""

import numpy as np


def attribute_regression(
    scores: np.ndarray, attributes: np.ndarray, weights: np.ndarray, ridge: float
) -> dict[str, np.ndarray]:
    """Regress w on attributes in each class; what is left is normal (Bishop 2006, eq. 2.81 and 2.82).

    Args:
        scores: w of recordings [recordings, components].
        attributes: their normal deviates [recordings, attributes].
        weights: weight of each recording in each class [recordings, classes].
        ridge: added to the variances of w and of attributes within a class.

    Returns:
        `attribute_means` and `attribute_deviations` [classes, attributes]; `attribute_slopes` [classes, attributes,
        components], by which w moves with an attribute; `class_factors` [classes, components, components], Cholesky
        factors of w's covariance given the attributes.
    """
    names = ("attribute_means", "attribute_deviations", "attribute_slopes", "class_factors")
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    components, count = scores.shape[1], attributes.shape[1]
    joint = np.concatenate([scores, attributes], axis=1).astype(np.float64)
    for weight in weights.T.astype(np.float64):
        share = weight / weight.sum()
        mean = share @ joint
        deviating = joint - mean
        covariance = (deviating * share[:, None]).T @ deviating
        within = covariance[components:, components:] + ridge * np.eye(count)
        across = covariance[components:, :components]
        slopes = np.linalg.solve(within, across)
        left = covariance[:components, :components] - across.T @ slopes + ridge * np.eye(components)
        found["attribute_means"].append(mean[components:])
        found["attribute_deviations"].append(np.sqrt(np.diagonal(covariance[components:, components:])))
        found["attribute_slopes"].append(slopes)
        found["class_factors"].append(np.linalg.cholesky(left))
    return {name: np.stack(arrays).astype(np.float32) for name, arrays in found.items()}
