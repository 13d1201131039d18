"""Names of figures: "fid/drums" is the metric "fid" on the embedder "drums", "test/mse" the "mse" of "test" sounds."""

HIGHER_IS_BETTER = frozenset({"is", "precision", "recall", "density", "coverage", "accuracy", "cosine", "snr_db"})


def is_higher_better(figure: str) -> bool:
    """Whether more of a figure, such as "is/drums", is better; less is, of every other."""
    return not HIGHER_IS_BETTER.isdisjoint(figure.split("/"))
