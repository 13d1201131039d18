"""Random features of a log-mel patch: VGG16 as drawn, which prefers no kind of sound (Naeem et al. 2020)."""

import hashlib
from typing import Any

import jax
import jax.numpy as jnp

from drumgan_jax.audio.vggish_mel import SAMPLE_RATE, vggish_log_mel
from drumgan_jax.evaluation.embedder import Array, Embedder, EmbedderOutput
from drumgan_jax.evaluation.embedders.vggish import WINDOW
from drumgan_jax.networks.vgg16 import VGG16, draw

# A full-scale tone has about 5 in its loudest band, silence log(0.01) = -4.6: so patches lie within about [-1, 1].
_RANGE = 5.0


def build() -> Embedder:
    """The embedder: VGGish's patch of 96 x 64 as a grey picture, 64 numbers from VGG16 drawn from seed 0.

    Figures are comparable between embedders of one hash only: nobody has published weights to agree on.
    """
    network = VGG16()
    variables = draw(network, seed=0)
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(variables):
        digest.update(leaf)

    def function(variables: Any, windows: Array) -> EmbedderOutput:
        pictures = jnp.repeat(vggish_log_mel(windows)[..., None] / _RANGE, 3, axis=-1)
        embedding: Any = network.apply(variables, pictures)
        return EmbedderOutput(embedding)

    return Embedder(
        name="vgg16",
        sample_rate=SAMPLE_RATE,
        window=WINDOW,
        hop=WINDOW,
        dimensions=network.dimensions,
        weights_hash=digest.hexdigest(),
        variables=variables,
        function=function,
    )
