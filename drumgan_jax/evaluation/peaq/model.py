"""PEAQ of a pair of sounds: input checks, sound boundaries, the rule for short sounds, and the grade."""

import dataclasses

import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.peaq import ear
from drumgan_jax.evaluation.peaq.network import LOWEST, VARIABLES, grade
from drumgan_jax.evaluation.peaq.variables import (
    START_UP_FRAMES,
    START_UP_VARIABLES,
    WINDOW_FRAMES,
    output_variables,
    spectra,
)

# Samples of silence before a sound that is shorter than the start-up. The extra half hop puts an attack on the first
# sample inside a counted frame's window, not on its edge.
LEAD_IN = START_UP_FRAMES * ear.HOP + ear.HOP // 2

# A sound begins and ends where the magnitudes of five consecutive samples sum to more than 200.
_BOUNDARY_SAMPLES = 5
_BOUNDARY_SUM = 200.0

_MOST_CHANNELS = 2


@dataclasses.dataclass(frozen=True)
class Peaq:
    """PEAQ results for a pair of sounds.

    Attributes:
        odg: objective difference grade, from -3.98 (very annoying) to 0.22 (imperceptible); None if a sound is silent.
        di: distortion index, the grade before the sigmoid; higher is better; None if a sound is silent.
        variables: the eleven model output variables by name; None if the recommendation does not define one on these
            sounds.
        missing: names of the variables that are None.
        inputs: the network's inputs by name: the variables, except for replacements listed in `notes`.
        notes: sentences on changes to the sounds and on replaced variables.
    """

    odg: float | None
    di: float | None
    variables: dict[str, float | None]
    missing: tuple[str, ...]
    inputs: dict[str, float]
    notes: tuple[str, ...]


def peaq(reference: np.ndarray, test: np.ndarray, sample_rate: int) -> Peaq:
    """Objective difference grade of a sound against its reference: PEAQ, basic version (ITU-R BS.1387-1).

    The sounds must be aligned in time and level. They are resampled to 48 kHz and rounded to 16 bits; full scale is
    92 dB SPL. A sound with too few frames after the start-up of 0.5 s lacks up to four variables; its grade is then
    that of the pair after 0.52 s of silence, which takes up the start-up. A variable that is still missing enters the
    network at the lower bound of its range, where it adds nothing. `notes` reports both. There is no grade if either
    sound is silent.

    Args:
        reference: [samples] or [samples, channels], one or two channels, full scale 1.
        test: as `reference`, with the same channels; if the lengths differ, the longer sound is cut.
        sample_rate: sample rate of both, in Hz.

    Raises:
        BadInput: the shapes do not fit, a sound is empty, or it holds NaN or infinite samples.
    """
    signals, notes = _prepared(reference, test, sample_rate)
    bounds = _boundaries(signals[0])
    silent = [name for name, sound in (("reference", bounds), ("test", _boundaries(signals[1]))) if sound is None]
    if bounds is None or silent:
        # The model treats missing signal as a change of level, and would grade silence above noise.
        notes.append(f"There is no grade: the {' and the '.join(silent)} is silent.")
        return Peaq(None, None, dict.fromkeys(VARIABLES), VARIABLES, {}, tuple(notes))
    variables = _variables(signals, *bounds)
    inputs = variables
    if any(variables[name] is None for name in START_UP_VARIABLES) and _ends_in_start_up(*bounds):
        led_in = np.pad(signals, [(0, 0), (0, 0), (LEAD_IN, 0)])
        inputs = _variables(led_in, bounds[0] + LEAD_IN, bounds[1] + LEAD_IN)
        notes.append(
            f"The sound is shorter than the start-up of 0.5 s and a window of 0.1 s: the grade is that of the pair"
            f" after {LEAD_IN / ear.SAMPLE_RATE:.2f} s of silence."
        )
    missing = tuple(name for name in VARIABLES if variables[name] is None)
    filled = {name: LOWEST[name] if (value := inputs[name]) is None else value for name in VARIABLES}
    notes += [
        f"{name} is not defined on these sounds ({_REASONS[name]}); it enters at the lower bound of its range."
        for name in VARIABLES
        if inputs[name] is None
    ]
    index, odg = grade(filled)
    return Peaq(odg, index, variables, missing, filled, tuple(notes))


_REASONS = {
    "BandwidthRefB": "no frame of the reference reaches 8.1 kHz above the noise floor",
    "BandwidthTestB": "no frame of the reference reaches 8.1 kHz above the noise floor",
    "EHSB": "no frame is loud enough",
    **dict.fromkeys(START_UP_VARIABLES, "too few frames"),
    "RmsNoiseLoudB": "no frame is later than 50 ms after both sounds have become audible",
}


def _prepared(reference: np.ndarray, test: np.ndarray, sample_rate: int) -> tuple[np.ndarray, list[str]]:
    """Both sounds as 16-bit samples at 48 kHz [2, channels, samples], and notes on the changes to them."""
    sounds = []
    for name, waveform in (("reference", reference), ("test", test)):
        sound = np.asarray(waveform, np.float64)
        sound = sound[:, None] if sound.ndim == 1 else sound
        if sound.ndim != 2 or not len(sound) or not 1 <= sound.shape[1] <= _MOST_CHANNELS:
            raise BadInput(
                f"the {name} has shape {np.shape(waveform)}; give [samples] or [samples, channels] with one or two "
                "channels."
            )
        if not np.isfinite(sound).all():
            raise BadInput(f"the {name} holds NaN or infinite samples; leave it out or render it again.")
        sounds.append(sound)
    if sounds[0].shape[1] != sounds[1].shape[1]:
        raise BadInput(
            f"the reference has {sounds[0].shape[1]} channels and the test {sounds[1].shape[1]}; give both the same."
        )
    notes = []
    lengths = [len(sound) for sound in sounds]
    if lengths[0] != lengths[1]:
        notes.append(f"The sounds have {lengths[0]} and {lengths[1]} samples; the longer was cut.")
    both = np.concatenate([sound[: min(lengths)] for sound in sounds], axis=1)
    if sample_rate != ear.SAMPLE_RATE:
        both = resample(both, sample_rate, ear.SAMPLE_RATE)
        notes.append(f"The sounds were resampled from {sample_rate} Hz to {ear.SAMPLE_RATE} Hz.")
    # Bandwidths are measured against the noise floor above 21.6 kHz, which is defined by 16-bit rounding.
    scaled = np.rint(both * ear.FULL_SCALE)
    clipped = int((np.abs(scaled) > ear.FULL_SCALE).sum())
    if clipped:
        notes.append(f"{clipped} samples beyond full scale were clipped.")
    samples = np.clip(scaled, -ear.FULL_SCALE, ear.FULL_SCALE - 1.0)
    return samples.T.reshape(2, -1, len(samples)), notes


def _boundaries(reference: np.ndarray) -> tuple[int, int] | None:
    """First and last sample of the sound in [channels, samples], in any channel; None for silence."""
    size = min(_BOUNDARY_SAMPLES, reference.shape[-1])
    sums = np.lib.stride_tricks.sliding_window_view(np.abs(reference), size, axis=-1).sum(-1)
    loud = np.flatnonzero((sums > _BOUNDARY_SUM).any(0))
    return (int(loud[0]), int(loud[-1]) + size - 1) if loud.size else None


def _frames(first: int, last: int) -> tuple[int, int]:
    """First counted frame, and the number of frames up to the last counted one; at least one frame counts.

    The last counted frame is the last with half its samples before the end of the sound.
    """
    start = first // ear.HOP
    return start, max((last + 1) // ear.HOP, start + 1)


def _ends_in_start_up(first: int, last: int) -> bool:
    start, end = _frames(first, last)
    return end - max(start, START_UP_FRAMES) < WINDOW_FRAMES


def _variables(signals: np.ndarray, first: int, last: int) -> dict[str, float | None]:
    start, end = _frames(first, last)
    variables = output_variables(spectra(signals, end), start)
    return {name: variables[name] for name in VARIABLES}
