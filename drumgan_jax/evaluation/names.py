"""Names of figures: "fid/drums" is the metric "fid" on the embedder "drums"."""

HIGHER_IS_BETTER = frozenset({"is", "precision", "recall", "density", "coverage", "accuracy"})


def is_higher_better(figure: str) -> bool:
    """Whether more of a figure, such as "is/drums", is better; less is, of every other."""
    return figure.split("/")[0] in HIGHER_IS_BETTER
