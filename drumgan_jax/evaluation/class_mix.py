"""Like with like: sets are compared at the same mix of classes, or the comparison is refused."""

from collections.abc import Sequence

import numpy as np

from drumgan_jax.core.errors import BadInput, listed


def counts_at_mix(shares: np.ndarray, count: int) -> np.ndarray:
    """Sounds of each class [classes] that sum to a count, by its shares [classes] and the largest remainders."""
    exact = np.asarray(shares, np.float64) / np.sum(shares) * count
    counts = np.floor(exact).astype(int)
    largest = np.argsort(-(exact - counts), kind="stable")
    counts[largest[: count - counts.sum()]] += 1
    return counts


def classes_at_mix(shares: np.ndarray, count: int) -> np.ndarray:
    """Class numbers [count] at a mix, in an order in which every part has nearly the mix."""
    counts = counts_at_mix(shares, count)
    # Each class at even distances: the jackknife's groups and a shorter table see the same mix.
    places = np.concatenate([(np.arange(number) + 0.5) / number for number in counts if number])
    return np.repeat(np.arange(len(counts)), counts)[np.argsort(places, kind="stable")]


def items_at_mix(classes: np.ndarray, shares: np.ndarray, count: int, names: Sequence[str]) -> np.ndarray:
    """Numbers of as many sounds as there are at a mix, at most `count`, each once.

    Args:
        classes: class numbers of the sounds there are [sounds].
        shares: of the classes [classes].
        count: sounds, at most.
        names: of the classes.

    Raises:
        BadInput: a class that the mix has is not there.
    """
    there = np.bincount(classes, minlength=len(shares))
    wanted = np.asarray(shares, np.float64) / np.sum(shares)
    asked = wanted > 0.0
    if not there[asked].all():
        missing = [names[number] for number in np.flatnonzero(asked & (there == 0)).tolist()]
        raise BadInput(f"there is no sound of the class {listed(missing)}, which the reference has.")
    count = min(count, int(np.min(there[asked] / wanted[asked])))
    while (counts_at_mix(wanted, count) > there).any():
        count -= 1
    order = classes_at_mix(wanted, count)
    of_class = [iter(np.flatnonzero(classes == number)) for number in range(len(shares))]
    return np.asarray([next(of_class[number]) for number in order], int)


def mix_of(classes: np.ndarray, count: int) -> np.ndarray:
    """Share of each of `count` classes [classes] among class numbers [sounds]."""
    return np.bincount(classes, minlength=count) / len(classes)


def describe_mix(classes: np.ndarray | None, names: Sequence[str]) -> str:
    """A mix for a table, as "kick 32 %, snare 24 %, cymbal 44 %"; "no classes" without."""
    if classes is None or not names:
        return "no classes"
    shares = mix_of(classes, len(names))
    return ", ".join(f"{name} {100 * share:.0f} %" for name, share in zip(names, shares, strict=True))


def check_same_mix(
    reference: np.ndarray, measured: np.ndarray, names: Sequence[str], sides: tuple[str, str], remedy: str
) -> None:
    """Raise BadInput if the shares of a class differ by more than a sound of each side.

    Args:
        reference: class numbers of the reference [sounds].
        measured: class numbers of the measured side [sounds].
        names: of the classes.
        sides: the two sides' names, for the message.
        remedy: the end of the message: what makes it right.
    """
    allowed = 1.0 / len(reference) + 1.0 / len(measured)
    if np.abs(mix_of(reference, len(names)) - mix_of(measured, len(names))).max() <= allowed:
        return
    described = [
        f"{side} has {describe_mix(one, names)}" for side, one in zip(sides, (reference, measured), strict=True)
    ]
    raise BadInput(f"unlike mixes of classes cannot be compared: {' and '.join(described)}; {remedy}.")
