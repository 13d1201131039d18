"""VGGish embeddings of a second of sound, as used by the Fréchet audio distance (Kilgour et al. 2019)."""

from typing import Any

from drumgan_jax.audio.vggish_mel import HOP, SAMPLE_RATE, vggish_log_mel
from drumgan_jax.evaluation.embedder import Array, DeviceEmbedder, EmbedderOutput
from drumgan_jax.networks.vggish import VGGish, from_torch
from drumgan_jax.weights import store

_FRAMES = 96
# 400 samples of the first frame, and a hop for each further frame.
WINDOW = 400 + (_FRAMES - 1) * HOP


def build() -> DeviceEmbedder:
    """VGGish with the published weights: 128 dimensions for 0.975 s, a patch of 96 frames, every 0.96 s.

    The embedding is the output before the final ReLU, without PCA or quantisation. Sounds keep their level; the
    original code divides by the largest sample and steps by half a second, so its figures are not comparable.

    Raises:
        BadInput: the weights are not installed, or not the published ones.
    """
    network = VGGish()
    state, digest = store.load("vggish")

    def function(variables: Any, windows: Array) -> EmbedderOutput:
        embedding: Any = network.apply(variables, vggish_log_mel(windows)[..., None])
        return EmbedderOutput(embedding)

    return DeviceEmbedder(
        name="vggish",
        sample_rate=SAMPLE_RATE,
        window=WINDOW,
        hop=_FRAMES * HOP,
        dimensions=network.dimensions,
        weights_hash=digest,
        variables=from_torch(state, network),
        function=function,
    )
