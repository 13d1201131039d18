"""Whether a generator is measured by the very network that labelled its training data."""

import os
from collections.abc import Mapping
from typing import Any

from drumgan_jax.data.soft_labels import has_soft_labels, read_soft_labels
from drumgan_jax.evaluation.embedder import Embedder
from drumgan_jax.evaluation.suite import Suite

# The classifier of the recipes, and of the packaged instrument, whose file does not say which it was.
_RECIPES = "drums"
_INDEPENDENT = "musicnn"


def labeller_notes(
    config: Mapping[str, Any], suite: Suite, directory: str | os.PathLike[str] | None = None
) -> list[str]:
    """A sentence on each embedder of a suite that also labelled the training data; such figures are too good.

    Args:
        config: of the generator's run; only with `task.soft_labels` has a classifier labelled its data.
        suite: the metrics.
        directory: of the data set whose soft labels say which classifier it was; None, or one without soft labels, for
            the packaged classifier.

    Raises:
        BadInput: the soft labels cannot be read.
    """
    if not config["task"].get("soft_labels"):
        return []
    known = directory is not None and has_soft_labels(directory)
    labeller = read_soft_labels(directory).classifier if directory is not None and known else _RECIPES
    figures: dict[str, list[str]] = {}
    for metric, embedder in suite.requests:
        if _is(embedder, labeller):
            figures.setdefault(embedder.name, []).append(metric)
    return [
        f"{', '.join(f'{metric}/{name}' for metric in metrics)}: this embedder also labelled the training data;"
        f" {metrics[0]}/{_INDEPENDENT} judges independently."
        for name, metrics in figures.items()
    ]


def _is(embedder: Embedder, labeller: str) -> bool:
    """Whether an embedder is the classifier of a name, which may end with the start of its weights' hash."""
    _, _, start = labeller.partition("@")
    return embedder.name == labeller or (bool(start) and embedder.weights_hash.startswith(start))
