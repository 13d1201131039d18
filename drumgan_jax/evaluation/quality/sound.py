"""The `sound` family: faults that can be heard and that no embedding shows, such as clicks, offsets and clipping.

Descriptors of a sound are compared with the recordings' own quantiles; shares and means of a set with the recordings'
interval. No embedder and no weights are needed.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.descriptors import decay, noisiness, pitch, power_spectrum
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.intervals import bootstrap

# Quantiles of the recordings between which a set's median has to lie.
LOW, HIGH = 0.05, 0.95
# Peaks below this are silence (dBFS), as in data preparation.
SILENCE = 10 ** (-60.0 / 20.0)
# A sound with a larger peak is clipped by every format of fixed point; a peak of 1 exactly is not.
FULL_SCALE = 1.0
# Cycles a second below which nothing is heard as a tone.
INAUDIBLE = 20.0
# Milliseconds of one value of the envelope whose rise is the attack.
_ENVELOPE = 1.0
_BATCH = 64
# Pairs are compared among this many sounds at most.
_PAIRED = 400


@dataclasses.dataclass(frozen=True)
class Descriptor:
    """A number of each sound.

    Attributes:
        unit: of the number; empty for ratios.
        meaning: in words, for tables and docs.
        harmless: up to this no alarm is raised, however small the recordings' values are: nobody hears it.
    """

    unit: str
    meaning: str
    harmless: float = -np.inf


DESCRIPTORS: dict[str, Descriptor] = {
    "start": Descriptor("", "first sample over the peak: a click", 1e-3),
    "end": Descriptor("", "last sample over the peak: a cut-off tail", 1e-3),
    "dc": Descriptor("", "mean over RMS", 1e-2),
    "rumble": Descriptor("", "share of the energy under 20 Hz", 1e-3),
    "level": Descriptor("dB", "RMS level, relative to full scale"),
    "attack": Descriptor("ms", "rise of the envelope from 10 to 90 % of its peak"),
    "decay": Descriptor("s", "time from 1 to 99 % of the energy"),
    "tone": Descriptor("", "share of the energy in the strongest tone from 30 Hz to 1 kHz"),
    "noisiness": Descriptor("", "spectral flatness"),
}
# A number of the whole set, which has no distribution over sounds.
SHARES: dict[str, str] = {
    "clipped": "share of sounds with a peak above full scale",
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
        low: the recordings' quantile LOW of a descriptor; lower end of a share's interval.
        median: of the recordings; the recordings' share.
        high: the recordings' quantile HIGH of a descriptor; upper end of a share's interval.
        alarm: whether the value is outside, and not harmless.
    """

    value: float
    low: float
    median: float
    high: float
    alarm: bool


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
    return SoundFamily(descriptors, peaks > FULL_SCALE, silent, common_energy(sounding), likeness(sounding))


def compare_sound(measured: SoundFamily, recordings: SoundFamily) -> dict[str, SoundFigure]:
    """Every figure of a set beside that of the recordings.

    A descriptor's alarm: its median is outside the recordings' quantiles. A share's alarm: its interval and that of the
    recordings (bootstrap; for `common` and `likeness`, three times the recordings') do not meet.
    """
    figures = {}
    for name, descriptor in DESCRIPTORS.items():
        value = float(np.nanmedian(measured.descriptors[name]))
        low, median, high = np.nanquantile(recordings.descriptors[name], (LOW, 0.5, HIGH)).tolist()
        figures[name] = SoundFigure(value, low, median, high, not low <= value <= max(high, descriptor.harmless))
    for name in ("clipped", "silent"):
        ours, theirs = (bootstrap(getattr(side, name).astype(float)) for side in (measured, recordings))
        figures[name] = SoundFigure(ours.value, theirs.low, theirs.value, theirs.high, ours.low > theirs.high)
    for name in ("common", "likeness"):
        value, usual = getattr(measured, name), getattr(recordings, name)
        figures[name] = SoundFigure(value, 0.0, usual, 3.0 * usual, value > 3.0 * usual)
    return figures


def attack_by_class(family: SoundFamily, classes: np.ndarray, count: int) -> list[float]:
    """Median attack in ms of each class; NaN for a class without sounds. `classes` is the class number [sounds]."""
    values = family.descriptors["attack"]
    of_class = [values[(classes == number) & np.isfinite(values)] for number in range(count)]
    return [float(np.median(one)) if len(one) else float("nan") for one in of_class]


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


def level(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """RMS level in dB relative to full scale [batch]."""
    del sample_rate
    return 10.0 * np.log10(np.maximum(np.mean(np.square(waveforms, dtype=np.float64), axis=1), 1e-12))


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
    "dc": offset,
    "rumble": rumble,
    "level": level,
    "attack": attack,
}


def _describe(waveforms: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
    found = {name: function(waveforms, sample_rate) for name, function in _HOST.items()}
    # Padded, so that one shape is compiled.
    padded = jnp.asarray(np.pad(waveforms, ((0, _BATCH - len(waveforms)), (0, 0))).astype(np.float32))
    power = power_spectrum(padded, sample_rate)
    compiled = {
        "decay": decay(padded, sample_rate),
        "tone": pitch(power, sample_rate)[1],
        "noisiness": noisiness(power),
    }
    return found | {name: np.asarray(values)[: len(waveforms)] for name, values in compiled.items()}


def _peak(waveforms: np.ndarray) -> np.ndarray:
    peak: np.ndarray = np.maximum(np.abs(waveforms).max(axis=1), np.finfo(np.float32).tiny)
    return peak


def _unit(waveforms: np.ndarray) -> np.ndarray:
    """Waveforms of energy 1, without those of none."""
    norms = np.linalg.norm(waveforms, axis=1, keepdims=True)
    return waveforms[norms[:, 0] > 0.0] / norms[norms[:, 0] > 0.0]
