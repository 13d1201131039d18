"""Log-mel frames as an embedding that needs no weights, and the Fréchet distance on them."""

import dataclasses
import functools
import math
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_filterbank
from drumgan_jax.audio.stft import Framing, hann_window, stft
from drumgan_jax.evaluation.moments import Moments, frechet_distance

Array = jax.Array

NUM_MELS = 40
WINDOW_SECONDS = 0.05
# -80 dB under a full-scale sine: what lies below is inaudible and would only add noise to the statistics.
FLOOR = 1e-4


@dataclasses.dataclass(frozen=True)
class LogMelFrames:
    """Embeds every frame of a waveform by its log-mel spectrum.

    Attributes:
        sample_rate: in Hz.
    """

    sample_rate: int

    @property
    def framing(self) -> Framing:
        """Windows of about 50 ms, a power of two long, with three quarters of overlap."""
        n_fft = 2 ** round(math.log2(WINDOW_SECONDS * self.sample_rate))
        return Framing(n_fft, n_fft // 4)

    def embed(self, waveform: Array) -> Array:
        """Natural logarithms of mel magnitudes [batch * frames, NUM_MELS] of waveforms [batch, samples]."""
        framing = self.framing
        magnitude = jnp.abs(stft(waveform, framing)) / float(hann_window(framing).sum())
        filters = mel_filterbank(self.sample_rate, framing.n_fft, NUM_MELS, 20.0, self.sample_rate / 2, htk=True)
        mel = jnp.einsum("btf,mf->btm", magnitude, filters)
        return jnp.log(mel + FLOOR).reshape(-1, NUM_MELS)

    def moments(self, waveforms: Iterable[np.ndarray]) -> Moments:
        """Mean and covariance over all frames of batches of waveforms [batch, samples]."""
        total = Moments.empty(NUM_MELS)
        for batch in waveforms:
            total = total.merge(Moments.of(np.asarray(_embed(self, batch))))
        return total


@functools.partial(jax.jit, static_argnums=0)
def _embed(embedder: LogMelFrames, waveform: Array) -> Array:
    return embedder.embed(waveform)


def log_mel_frechet(real: Iterable[np.ndarray], fake: Iterable[np.ndarray], sample_rate: int) -> float:
    """Fréchet distance between the log-mel frames of two streams of waveform batches [batch, samples]."""
    embedder = LogMelFrames(sample_rate)
    return frechet_distance(embedder.moments(real), embedder.moments(fake))
