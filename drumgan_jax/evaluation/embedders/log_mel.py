"""An embedder without weights: log-mel frames."""

from typing import Any

import jax
import jax.numpy as jnp

from drumgan_jax.audio.mel import mel_bands, mel_filterbank
from drumgan_jax.audio.stft import Framing, hann_window, stft
from drumgan_jax.evaluation.embedder import DeviceEmbedder, EmbedderOutput

Array = jax.Array

SAMPLE_RATE = 22_050
FRAMING = Framing(1024, 256)
WINDOW = 40 * 256
NUM_MELS = 40
# 80 dB below a full-scale sine; anything quieter is inaudible and would only add noise to the statistics.
FLOOR = 1e-4


def build() -> DeviceEmbedder:
    """An embedder with one row per frame: the natural logarithms of its 40 mel magnitudes."""
    return DeviceEmbedder(
        name="log_mel",
        sample_rate=SAMPLE_RATE,
        window=WINDOW,
        hop=WINDOW,
        rows_per_window=FRAMING.num_frames(WINDOW),
        dimensions=NUM_MELS,
        weights_hash="",
        variables={},
        function=_embed,
    )


def log_mel_frames(windows: Array) -> Array:
    """Natural logarithms of mel magnitudes [batch, time, freq] of windows [batch, WINDOW], above FLOOR."""
    magnitude = jnp.abs(stft(windows, FRAMING)) / float(hann_window(FRAMING).sum())
    filters = mel_filterbank(SAMPLE_RATE, FRAMING.n_fft, NUM_MELS, 20.0, SAMPLE_RATE / 2, htk=True)
    return jnp.log(mel_bands(magnitude, filters) + FLOOR)


def _embed(variables: Any, windows: Array) -> EmbedderOutput:
    del variables
    return EmbedderOutput(log_mel_frames(windows).reshape(-1, NUM_MELS))
