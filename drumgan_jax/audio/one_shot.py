"""Where a drum's sound begins in a recording, and how it is cut and faded: in data sets, and of what is encoded."""

import dataclasses
import math

import numpy as np

from drumgan_jax.core.settings import real


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneShot:
    """One sound a recording: from its onset, cut to length, faded at both ends.

    Attributes:
        onset_db: the onset is the first sample within this many dB of the peak.
        pre_roll: seconds kept before the onset.
        fade_in: seconds, from the sound's start.
        fade_out: seconds, before the sound's end or the cut.
    """

    onset_db: float = real(-math.inf, 0.0, -40.0, below=True)
    pre_roll: float = real(0.0, math.inf, 0.002)
    fade_in: float = real(0.0, math.inf, 0.0005)
    fade_out: float = real(0.0, math.inf, 0.01)

    def start(self, samples: np.ndarray, sample_rate: int) -> int | None:
        """The sample of a recording [n] at which its sound starts, pre-roll included; None of silence."""
        level = np.abs(samples)
        peak = float(level.max(initial=0.0))
        if peak == 0:
            return None
        onset = int(np.argmax(level >= peak * 10 ** (self.onset_db / 20)))
        return max(0, onset - round(self.pre_roll * sample_rate))

    def cut(self, samples: np.ndarray, sample_rate: int, num_samples: int) -> np.ndarray:
        """The first `num_samples`, or as many as there are, of samples [n] from the start on, faded: float32."""
        sound = samples[:num_samples].astype(np.float32)
        fade_in = min(round(self.fade_in * sample_rate), len(sound))
        fade_out = min(round(self.fade_out * sample_rate), len(sound))
        # The ramps leave out their zero, so that a sound of one sample is not silenced.
        sound[:fade_in] *= np.arange(1, fade_in + 1, dtype=np.float32) / np.float32(fade_in + 1)
        sound[len(sound) - fade_out :] *= np.arange(fade_out, 0, -1, dtype=np.float32) / np.float32(fade_out + 1)
        return sound
