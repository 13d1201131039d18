"""A playable whose hats and cymbals are one class, which a seed divides again."""

import types

import numpy as np

from drumgan_jax.play.coarser import Coarser, fit_classes

OWN = ("kick", "closed_hat", "open_hat", "cymbal", "tom")


def playable(own: tuple[str, ...] = OWN):
    """Its latents are the labels that it was asked for."""
    return types.SimpleNamespace(label_names=own, draw=lambda seeds, labels, truncation: labels)


def test_cymbals_are_divided_by_seed_at_their_shares() -> None:
    coarse = fit_classes(playable(), ("kick", "cymbal"), {"closed_hat": 3, "open_hat": 1, "cymbal": 4})
    assert coarse.label_names == ("kick", "cymbal")
    labels = coarse.draw(range(400), "cymbal")
    assert set(labels.sum(axis=1)) == {1.0}
    np.testing.assert_allclose(labels.mean(axis=0), [0.0, 3 / 8, 1 / 8, 4 / 8, 0.0], atol=0.01)
    np.testing.assert_array_equal(coarse.draw([7], "cymbal"), labels[7:8])
    # A slider leads to the same kind of cymbal at all of its places.
    half = coarse.draw(range(400), {"kick": 3.0, "cymbal": 1.0})
    np.testing.assert_allclose(half, 0.75 * np.eye(5)[0] + 0.25 * labels, atol=1e-6)
    without = fit_classes(playable(), ("kick", "cymbal"), {}).draw(range(300), "cymbal")
    np.testing.assert_allclose(without.mean(axis=0), [0, 1 / 3, 1 / 3, 1 / 3, 0], atol=0.01)
    assert coarse.draw(range(4)).argmax(axis=1)[0] == 0


def test_what_cannot_have_the_classes_stays_as_it_is() -> None:
    for own, names in (
        (OWN, OWN),
        ((), ("kick",)),
        (OWN, ("rock", "cymbal")),
        (("kick", "cymbal", "tom"), ("cymbal",)),
    ):
        one = playable(own)
        assert fit_classes(one, names, {}) is one
    assert isinstance(fit_classes(playable(), ("tom", "cymbal"), {}), Coarser)
