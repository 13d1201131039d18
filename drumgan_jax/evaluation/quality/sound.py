"""The `sound` family: faults that can be heard and that no embedding shows, such as clicks, offsets and clipping.

Descriptors of a sound are compared with the recordings' own quantiles; shares and means of a set with the recordings'
interval. No embedder and no weights are needed.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.descriptors import decay, level, noisiness, pitch, power_spectrum
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import bootstrap

# Quantiles of the recordings between which a set's median has to lie.
LOW, HIGH = 0.05, 0.95
# Largest share of sounds above the higher or below the lower one: three times that of the recordings.
OUTSIDE = 3.0 * LOW
# Peaks below this are silence (dBFS), as in data preparation.
SILENCE = 10 ** (-60.0 / 20.0)
# A sound with a larger peak is clipped by every format of fixed point; a peak of 1 exactly is not.
FULL_SCALE = 1.0
# Cycles a second below which nothing is heard as a tone.
INAUDIBLE = 20.0
# Milliseconds of one value of the envelope whose rise is the attack.
_ENVELOPE = 1.0
# Milliseconds of a stretch of which one sample may stand out as a click, and stretches of the attack, which may.
_CLICK, _ATTACK = 3.0, 2
_BATCH = 64
# Before the class, in the name of its attack's figure.
ATTACK_OF = "attack of "
# Pairs are compared among this many sounds at most.
_PAIRED = 400


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A number of each sound.

    Attributes:
        unit: of the number; empty for ratios.
        meaning: in words, for tables and docs.
        fault: whether a few sounds outside the recordings' range are a fault; of other descriptors, sources differ.
        harmless: up to this no alarm is raised, however small the recordings' values are: nobody hears it.
    """

    unit: str
    meaning: str
    fault: bool = False
    harmless: float = -np.inf


DESCRIPTORS: dict[str, Descriptor] = {
    "start": Descriptor("", "first sample over the peak: a click", True, 1e-3),
    "end": Descriptor("", "last sample over the peak: a cut-off tail", True, 1e-3),
    "crackle": Descriptor("", "largest second difference over the median around it: a click inside", True, 20.0),
    "dc": Descriptor("", "mean over RMS", True, 1e-2),
    "rumble": Descriptor("", "share of the energy under 20 Hz", True, 1e-3),
    "level": Descriptor("dB", "RMS level, relative to full scale", True),
    "attack": Descriptor("ms", "rise of the envelope from 10 to 90 % of its peak"),
    "decay": Descriptor("s", "time from 1 to 99 % of the energy"),
    "tone": Descriptor("", "share of the energy in the strongest tone from 30 Hz to 1 kHz"),
    "noisiness": Descriptor("", "spectral flatness"),
}
# A number of the whole set, which has no distribution over sounds.
SHARES: dict[str, str] = {
    "clipped": "share of sounds with a peak above full scale, or with three samples in a row at the peak",
    "silent": "share of sounds with a peak below -60 dBFS",
    "common": "share of the energy in the mean waveform, at equal energy of all sounds",
    "likeness": "mean absolute correlation of two sounds",
}


@dataclasses.dataclass(frozen=True)
class SoundFamily:
    """The sound of a set.

    Attributes:
        descriptors: by name [sounds]; NaN for silent sounds.
        clipped: which sounds are clipped [sounds] bool.
        silent: which sounds are silent [sounds] bool.
        common: see SHARES.
        likeness: see SHARES.
    """

    descriptors: Mapping[str, np.ndarray]
    clipped: np.ndarray
    silent: np.ndarray
    common: float
    likeness: float

    def __len__(self) -> int:
        return len(self.silent)

    def arrays(self) -> dict[str, np.ndarray]:
        """The family as arrays by name, from which `of_arrays` builds it again."""
        shares = {name: np.asarray(getattr(self, name)) for name in SHARES}
        return {**{f"descriptors/{name}": values for name, values in self.descriptors.items()}, **shares}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "SoundFamily":
        """Build a family from the arrays that `arrays` returns; KeyError if one is missing."""
        descriptors = {name: arrays[f"descriptors/{name}"] for name in DESCRIPTORS}
        shares = arrays["clipped"], arrays["silent"], float(arrays["common"]), float(arrays["likeness"])
        return cls(descriptors, *shares)


@dataclasses.dataclass(frozen=True)
class SoundFigure:
    """A figure of the family beside that of the recordings.

    Attributes:
        value: median of a descriptor over sounds, or a share.
        below: share of sounds below `low`; None for a share.
        above: share of sounds above `high`; None for a share.
        low: the recordings' quantile LOW of a descriptor; lower end of a share's interval.
        median: of the recordings; the recordings' share.
        high: the recordings' quantile HIGH of a descriptor; upper end of a share's interval.
        alarm: whether the value is outside, or too many sounds are, and not harmlessly so.
    """

    value: float
    low: float
    median: float
    high: float
    alarm: bool
    below: float | None = None
    above: float | None = None


def sound_family(waveforms: np.ndarray, sample_rate: int) -> SoundFamily:
    """Measure the sound of waveforms [sounds, samples] at a sample rate in Hz.

    Raises:
        BadInput: there are fewer than two sounds, or all are silent.
    """
    if len(waveforms) < 2:
        raise BadInput(f"the sound of a set needs at least 2 sounds, not {len(waveforms)}; give more.")
    peaks = np.abs(waveforms).max(axis=1)
    silent = peaks < SILENCE
    if silent.all():
        raise BadInput(f"all {len(waveforms)} sounds are silent; there is nothing to measure.")
    parts = [_describe(waveforms[start : start + _BATCH], sample_rate) for start in range(0, len(waveforms), _BATCH)]
    descriptors = {
        name: np.where(silent, np.nan, np.concatenate([part[name] for part in parts])) for name in DESCRIPTORS
    }
    sounding = waveforms[~silent]
    return SoundFamily(
        descriptors,
        (peaks > FULL_SCALE) | _is_flat(waveforms, peaks) & ~silent,
        silent,
        common_energy(sounding),
        likeness(sounding),
    )


def compare_sound(measured: SoundFamily, recordings: SoundFamily) -> dict[str, SoundFigure]:
    """Every figure of a set beside that of the recordings.

    A descriptor's alarm: its median is outside the recordings' quantiles; or, of a fault, more than three times as many
    sounds are as of the recordings, by the lower end of the share's interval: a click in some sounds is heard too. A
    share's alarm: its interval and that of the recordings (bootstrap; for `common` and `likeness`, three times the
    recordings') do not meet.
    """
    figures = {}
    for name, descriptor in DESCRIPTORS.items():
        figures[name] = _beside(measured.descriptors[name], recordings.descriptors[name], descriptor)
    for name in ("clipped", "silent"):
        ours, theirs = (bootstrap(getattr(side, name).astype(float)) for side in (measured, recordings))
        figures[name] = SoundFigure(ours.value, theirs.low, theirs.value, theirs.high, ours.low > theirs.high)
    for name in ("common", "likeness"):
        value, usual = getattr(measured, name), getattr(recordings, name)
        figures[name] = SoundFigure(value, 0.0, usual, 3.0 * usual, value > 3.0 * usual)
    return figures


def compare_attacks(
    measured: SoundFamily,
    recordings: SoundFamily,
    classes: tuple[np.ndarray, np.ndarray],
    label_names: Sequence[str],
) -> dict[str, SoundFigure]:
    """The attacks of each class beside those of the recordings, by "attack of CLASS"; only of classes with sounds.

    Args:
        measured: a set.
        recordings: the reference.
        classes: class numbers of both [sounds].
        label_names: of the classes.
    """
    figures = {}
    for number, name in enumerate(label_names):
        sides = [
            family.descriptors["attack"][of_sounds == number]
            for family, of_sounds in zip((measured, recordings), classes, strict=True)
        ]
        if all(np.isfinite(side).any() for side in sides):
            figures[f"{ATTACK_OF}{name}"] = _beside(sides[0], sides[1], DESCRIPTORS["attack"])
    return figures


def _beside(measured: np.ndarray, recordings: np.ndarray, descriptor: Descriptor) -> SoundFigure:
    """A descriptor's values [sounds] beside those of the recordings [recordings]; NaN for silent sounds."""
    values = measured[np.isfinite(measured)]
    low, median, high = np.nanquantile(recordings, (LOW, 0.5, HIGH)).tolist()
    value, highest = float(np.median(values)), max(high, descriptor.harmless)
    below, above = (bootstrap(outside.astype(float)) for outside in (values < low, values > highest))
    alarm = not low <= value <= highest or (descriptor.fault and max(below.low, above.low) > OUTSIDE)
    return SoundFigure(value, low, median, high, alarm, below.value, above.value)


def common_energy(waveforms: np.ndarray) -> float:
    """Share of the energy in the mean of waveforms [sounds, samples] of equal energy, less what chance gives.

    For independent sounds the mean has 1 / sounds of the energy; without that share the figure is the mean correlation
    of two different sounds, and comparable between sets of different size.
    """
    unit = _unit(waveforms)
    count = len(unit)
    if count < 2:
        return 0.0
    together = float(np.sum(np.square(unit.sum(axis=0, dtype=np.float64))))
    return max(0.0, (together - count) / (count * (count - 1)))


def likeness(waveforms: np.ndarray) -> float:
    """Mean absolute correlation of two different sounds, at lag zero, of waveforms [sounds, samples]."""
    unit = _unit(waveforms[:_PAIRED])
    count = len(unit)
    if count < 2:
        return 0.0
    correlations = np.abs(unit @ unit.T)
    return float((correlations.sum(dtype=np.float64) - np.trace(correlations)) / (count * (count - 1)))


def start_click(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """|first sample| over the peak [batch]."""
    del sample_rate
    return np.abs(waveforms[:, 0]) / _peak(waveforms)


def end_click(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """|last sample| over the peak [batch]."""
    del sample_rate
    return np.abs(waveforms[:, -1]) / _peak(waveforms)


def crackle(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """Largest second difference over the median of those around it, after the attack [batch].

    The median is the largest of a stretch of 3 ms and its neighbours', plus a thousandth of the peak.
    """
    size = max(8, round(_CLICK * sample_rate / 1000.0))
    second = np.abs(np.diff(waveforms, 2, axis=1))
    count = second.shape[1] // size
    if count < 4:
        return np.zeros(len(waveforms))
    stretches = second[:, : count * size].reshape(len(second), count, size)
    medians = np.pad(np.median(stretches, axis=2), ((0, 0), (1, 1)))
    around = np.maximum(np.maximum(medians[:, :-2], medians[:, 2:]), medians[:, 1:-1])
    ratios = stretches.max(axis=2) / (around + 1e-3 * _peak(waveforms)[:, None])
    largest: np.ndarray = ratios[:, _ATTACK:].max(axis=1)
    return largest


def offset(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """|mean| over RMS [batch]."""
    del sample_rate
    rms = np.sqrt(np.mean(np.square(waveforms, dtype=np.float64), axis=1))
    return np.abs(waveforms.mean(axis=1, dtype=np.float64)) / np.maximum(rms, np.finfo(np.float32).tiny)


def rumble(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """Share of the energy under 20 Hz [batch], with zeros behind the sound so that bins are 1 Hz apart."""
    spectrum = np.square(np.abs(np.fft.rfft(waveforms, max(sample_rate, waveforms.shape[1]), axis=1)))
    hertz = np.fft.rfftfreq(max(sample_rate, waveforms.shape[1]), 1 / sample_rate)
    return spectrum[:, hertz < INAUDIBLE].sum(axis=1) / np.maximum(spectrum.sum(axis=1), np.finfo(np.float32).tiny)


def attack(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """Milliseconds in which the envelope rises from 10 to 90 % of its peak, before the peak [batch].

    The envelope is the largest magnitude in each millisecond.
    """
    size = max(1, round(_ENVELOPE * sample_rate / 1000.0))
    padded = np.pad(np.abs(waveforms), ((0, 0), (0, -waveforms.shape[1] % size)))
    envelope = padded.reshape(len(padded), -1, size).max(axis=2)
    top = envelope.max(axis=1, keepdims=True)
    first, last = (np.argmax(envelope >= share * top, axis=1) for share in (0.1, 0.9))
    return (last - first) * size * 1000.0 / sample_rate


_HOST: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "start": start_click,
    "end": end_click,
    "crackle": crackle,
    "dc": offset,
    "rumble": rumble,
    "attack": attack,
}


def _describe(waveforms: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    found = {name: function(waveforms, sample_rate) for name, function in _HOST.items()}
    # Padded, so that one shape is compiled.
    padded = jnp.asarray(np.pad(waveforms, ((0, _BATCH - len(waveforms)), (0, 0))).astype(np.float32))
    power = power_spectrum(padded, sample_rate)
    compiled = {
        "level": level(padded),
        "decay": decay(padded, sample_rate),
        "tone": pitch(power, sample_rate)[1],
        "noisiness": noisiness(power),
    }
    return found | {name: np.asarray(values)[: len(waveforms)] for name, values in compiled.items()}


def _is_flat(waveforms: np.ndarray, peaks: np.ndarray) -> np.ndarray:
    """Whether three samples in a row are at the peak [batch], as of a sound that was clipped before."""
    at = np.abs(waveforms) >= 0.9999 * peaks[:, None]
    flat: np.ndarray = (at[:, 2:] & at[:, 1:-1] & at[:, :-2]).any(axis=1)
    return flat


def _peak(waveforms: np.ndarray) -> np.ndarray:
    peak: np.ndarray = np.maximum(np.abs(waveforms).max(axis=1), np.finfo(np.float32).tiny)
    return peak


def _unit(waveforms: np.ndarray) -> np.ndarray:
    """Waveforms of energy 1, without those of none."""
    norms = np.linalg.norm(waveforms, axis=1, keepdims=True)
    return waveforms[norms[:, 0] > 0.0] / norms[norms[:, 0] > 0.0]
