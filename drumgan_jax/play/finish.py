"""The last step of every sound that is heard: rendered, generated, evaluated or exported."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from drumgan_jax.audio.level import Level
from drumgan_jax.audio.one_shot import one_shot_of
from drumgan_jax.core.settings import read_partly

# Below it nothing is heard, and loudspeakers only lose headroom.
HIGH_PASS_HZ = 20.0
# Greatest peak between samples, in dB relative to full scale; converters and codecs need that room.
TRUE_PEAK_DB = -0.3
# Samples between which the true peak is looked for, as in ITU-R BS.1770-5, annex 2.
_OVERSAMPLING = 4
# A sound with a lower peak, in dB relative to full scale, is silence and is not raised.
_SILENCE_DB = -60.0


def finish(waveforms: np.ndarray, sample_rate: int, config: Mapping[str, Any]) -> np.ndarray:
    """Finished waveforms [batch, samples] of decoded ones.

    In this order: a high-pass at 20 Hz, the fades of the run's one-shots and a slow rise over the time that their
    recordings are quiet before the onset, the peak that these were normalised to, and less if the true peak exceeds
    -0.3 dB of full scale. Losses, inversion and round trips take decoded waveforms and never see this step.

    Args:
        waveforms: [batch, samples].
        sample_rate: in Hz.
        config: of the run; its sections `slicing` and `preparation` are read.
    """
    rule, wanted = one_shot_of(config), read_partly(config, "preparation", Level)
    finished = high_pass(waveforms, sample_rate, repeated=rule is None)
    if rule is not None:
        finished = np.stack([rule.cut(sound, sample_rate, len(sound)) for sound in finished])
        # Recordings are quiet before their onset, and what is made of magnitudes may start before it.
        quiet = min(round(rule.pre_roll * sample_rate), finished.shape[1])
        finished[:, :quiet] *= np.sin(np.linspace(0.0, np.pi / 2, quiet, endpoint=False)) ** 2
    return (finished * _gains(finished, wanted)).astype(np.float32)


def high_pass(waveforms: np.ndarray, sample_rate: int, repeated: bool) -> np.ndarray:
    """Waveforms [batch, samples] without what is below 20 Hz: the response of a Butterworth of fourth order, no delay.

    A filter with delay would turn the phase of a kick's fundamental by some 30 degrees.

    Args:
        waveforms: [batch, samples].
        sample_rate: in Hz.
        repeated: whether the end leads to the start, as in a loop; if not, both are next to silence.
    """
    samples = waveforms.shape[1]
    length = samples if repeated else 2 * samples
    # An offset, which the silence around it would turn into a step.
    waveforms = waveforms - waveforms.mean(axis=1, keepdims=True)
    frequencies = np.maximum(np.fft.rfftfreq(length, 1 / sample_rate), 1e-3)
    gain = 1 / np.sqrt(1 + (HIGH_PASS_HZ / frequencies) ** 8)
    return np.fft.irfft(np.fft.rfft(waveforms, length) * gain, length)[:, :samples]


def _gains(waveforms: np.ndarray, wanted: Level) -> np.ndarray:
    """The factor of each sound [batch, 1]."""
    peaks = np.abs(waveforms).max(axis=1)
    gains = np.ones(len(waveforms))
    if wanted.normalization == "peak":
        audible = peaks > 10 ** (_SILENCE_DB / 20)
        gains[audible] = 10 ** (wanted.level / 20) / peaks[audible]
    highest = gains * true_peaks(waveforms)
    return (gains * np.minimum(1.0, 10 ** (TRUE_PEAK_DB / 20) / np.maximum(highest, 1e-12)))[:, None]


def true_peaks(waveforms: np.ndarray) -> np.ndarray:
    """The greatest magnitude of each sound [batch] of waveforms [batch, samples], also between samples."""
    # SciPy's filters take a second to import, which is not for whoever only loads an instrument.
    from scipy.signal import resample_poly

    between = np.abs(resample_poly(waveforms, _OVERSAMPLING, 1, axis=1)).max(axis=1)
    return np.maximum(between, np.abs(waveforms).max(axis=1))
