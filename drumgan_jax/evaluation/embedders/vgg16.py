"""Embeddings of a log-mel patch by a randomly initialised VGG16, which favours no kind of sound (Naeem et al. 2020)."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp

from drumgan_jax.audio.vggish_mel import SAMPLE_RATE, vggish_log_mel
from drumgan_jax.evaluation.embedder import Array, DeviceEmbedder, EmbedderOutput
from drumgan_jax.evaluation.embedders.vggish import WINDOW
from drumgan_jax.networks.vgg16 import VGG16, draw

# A full-scale tone has about 5 in its loudest band, silence log(0.01) = -4.6; this scales patches to about [-1, 1].
_RANGE = 5.0


def build() -> DeviceEmbedder:
    """VGG16 with weights drawn from seed 0: VGGish's patch of 96 x 64 as a grey image in, 64 dimensions out.

    Figures are comparable only between embedders with the same hash, because there are no published weights.
    """
    network = VGG16()
    variables = draw(network, seed=0)
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(variables):
        digest.update(leaf)

    def function(variables: Any, windows: Array) -> EmbedderOutput:
        images = jnp.repeat(vggish_log_mel(windows)[..., None] / _RANGE, 3, axis=-1)
        embedding: Any = network.apply(variables, images)
        return EmbedderOutput(embedding)

    return DeviceEmbedder(
        name="vgg16",
        sample_rate=SAMPLE_RATE,
        window=WINDOW,
        hop=WINDOW,
        dimensions=network.dimensions,
        weights_hash=digest.hexdigest(),
        variables=variables,
        function=function,
    )
