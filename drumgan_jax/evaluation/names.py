"""Names of figures: "fid/drums" is the metric "fid" with the embedder "drums", "test/mse" the "mse" on test sounds."""

HIGHER_IS_BETTER = frozenset({"is", "precision", "recall", "density", "coverage", "accuracy", "cosine", "snr_db"})


def is_higher_better(figure: str) -> bool:
    """Whether a higher value of a figure, such as "is/drums", is better; for all other figures lower is better."""
    return not HIGHER_IS_BETTER.isdisjoint(figure.split("/"))
