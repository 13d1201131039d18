"""Inception-v3 embeddings of a mel spectrogram image, for FID, KID and the Inception Score of audio.

The weights were trained on photographs, and the image is this project's own definition: figures are comparable with
each other but not with any published FID.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_bands, mel_filterbank
from drumgan_jax.audio.stft import Framing, hann_window, stft
from drumgan_jax.evaluation.embedder import Array, DeviceEmbedder, EmbedderOutput
from drumgan_jax.networks.inception_v3 import InceptionV3, from_torch
from drumgan_jax.weights import store

_SAMPLE_RATE = 22_050
_SIDE = 128
_WINDOW = _SIDE * 172
# Reflect padding gives one frame per hop. The window is half the FFT size, so that each of the lowest mel bands, 15 Hz
# apart, has a bin.
_FRAMING = Framing(n_fft=2048, hop_length=172, win_length=1024, padding="reflect")
_LOWEST = 20.0
_DECIBELS = 80.0
_INPUT_SIDE = 299


def build() -> DeviceEmbedder:
    """Inception-v3 with the published weights: 2048 dimensions and 1008 logits for each second.

    Raises:
        BadInput: the weights are not installed, or not the published ones.
    """
    network = InceptionV3()
    state, digest = store.load("inception")

    def function(variables: Any, windows: Array) -> EmbedderOutput:
        x = (resize(picture(windows)) - 128.0) / 128.0
        outputs: Any = network.apply(variables, jnp.repeat(x[..., None], 3, axis=-1))
        return EmbedderOutput(*outputs)

    return DeviceEmbedder(
        name="inception",
        sample_rate=_SAMPLE_RATE,
        window=_WINDOW,
        hop=_WINDOW,
        dimensions=2048,
        num_classes=network.num_classes,
        weights_hash=digest,
        variables=from_torch(state, network),
        function=function,
    )


def picture(windows: Array) -> Array:
    """Grey images [batch, 128, 128] from 0 to 255 of windows [batch, 22016] at 22.05 kHz.

    128 mel bands (HTK) of power from 20 Hz to 11,025 Hz, the highest in the first row, by 128 frames. White is 0 dB,
    the power of a full-scale tone; black is -80 dB and below.
    """
    spectra = stft(windows, _FRAMING)
    # By Parseval's theorem the power of a tone of amplitude 1 then sums to 1 over its bins.
    scale = 4.0 / (_FRAMING.n_fft * float(np.sum(hann_window(_FRAMING) ** 2)))
    power = scale * (jnp.square(spectra.real) + jnp.square(spectra.imag))
    filters = mel_filterbank(_SAMPLE_RATE, _FRAMING.n_fft, _SIDE, _LOWEST, _SAMPLE_RATE / 2, htk=True)
    decibels = 10.0 * jnp.log10(jnp.maximum(mel_bands(power, filters), 10.0 ** (-_DECIBELS / 10.0)))
    level = jnp.clip(1.0 + decibels / _DECIBELS, 0.0, 1.0)
    return 255.0 * level.swapaxes(1, 2)[:, ::-1]


def resize(pictures: Array) -> Array:
    """Resize images [batch, height, width] to [batch, 299, 299] bilinearly, as TensorFlow 1 does.

    Output pixel i is at input i * size / 299, without the half-pixel offset of other libraries; the last pixel is
    repeated beyond the edge.
    """
    rows, columns = (_interpolation(size) for size in pictures.shape[1:])
    return jnp.einsum("ih,bhw,jw->bij", rows, pictures, columns)


def _interpolation(size: int) -> np.ndarray:
    position = np.arange(_INPUT_SIDE) * (size / _INPUT_SIDE)
    lower = np.floor(position).astype(int)
    matrix = np.zeros((_INPUT_SIDE, size))
    np.add.at(matrix, (np.arange(_INPUT_SIDE), lower), 1.0 - (position - lower))
    np.add.at(matrix, (np.arange(_INPUT_SIDE), np.minimum(lower + 1, size - 1)), position - lower)
    return matrix.astype(np.float32)
