"""Embeddings and tags of the short-chunk CNN, trained on the tags of whole music tracks (Won et al. 2020)."""

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_bands
from drumgan_jax.audio.stft import Framing, stft
from drumgan_jax.evaluation.embedder import Array, Embedder, Features
from drumgan_jax.networks.short_chunk import ShortChunk, from_torch
from drumgan_jax.weights import store

_SAMPLE_RATE = 16_000
_NUM_BANDS = 128
_FRAMING = Framing(n_fft=512, hop_length=256, padding="none")
# What the published network was trained on: 3.69 s.
_WINDOW = 59_049
_SMALLEST = 1e-10


def build() -> Embedder:
    """The embedder with the published weights: 512 numbers (the rectified layer before the tags) and 50 tag scores.

    Raises:
        BadInput: the weights are not there, or not the published ones.
    """
    network = ShortChunk()
    state, digest = store.load("short_chunk")

    def function(variables: Any, windows: Array) -> Features:
        outputs: Any = network.apply(variables, decibel_mel(windows)[..., None])
        logits, embedding = outputs
        return Features(embedding, logits)

    return Embedder(
        name="short_chunk",
        sample_rate=_SAMPLE_RATE,
        window=_WINDOW,
        hop=_WINDOW,
        dimensions=network.channels * network.blocks[-1],
        num_classes=network.num_labels,
        weights_hash=digest,
        variables=from_torch(state, network),
        function=function,
    )


def decibel_mel(waveform: Array) -> Array:
    """Decibels of power in mel bands [batch, 128, frames], at least -100, of waveforms [batch, samples] at 16 kHz.

    Frames of 512 samples every 256, centred, the waveform mirrored beyond its ends; as torchaudio's MelSpectrogram and
    AmplitudeToDB.
    """
    half = _FRAMING.n_fft // 2
    spectra = stft(jnp.pad(waveform, ((0, 0), (half, half)), mode="reflect"), _FRAMING)
    power = jnp.square(spectra.real) + jnp.square(spectra.imag)
    return 10.0 * jnp.log10(jnp.maximum(mel_bands(power, _filterbank()), _SMALLEST)).swapaxes(1, 2)


@functools.cache
def _filterbank() -> np.ndarray:
    """Triangles of height 1 on the HTK scale [128, 257] from 0 Hz to Nyquist.

    Low bands fall between two bins and are empty, which `audio.mel` refuses to build; the network was trained so.
    """
    edges = 700.0 * (10.0 ** (np.linspace(0.0, 2595.0 * np.log10(1.0 + 8000.0 / 700.0), _NUM_BANDS + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, _SAMPLE_RATE / 2, _FRAMING.num_bins)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    filters = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    filters.setflags(write=False)
    return filters
