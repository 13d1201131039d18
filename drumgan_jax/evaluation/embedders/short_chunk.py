"""Embeddings and tag logits of the short-chunk CNN, trained to tag whole music tracks (Won et al. 2020)."""

from typing import Any

from drumgan_jax.audio.short_chunk_mel import SAMPLE_RATE, decibel_mel
from drumgan_jax.evaluation.embedder import Array, DeviceEmbedder, EmbedderOutput
from drumgan_jax.networks.short_chunk import ShortChunk, from_torch
from drumgan_jax.weights import store

# The published network's training length: 3.69 s.
_WINDOW = 59_049


def build() -> DeviceEmbedder:
    """The short-chunk CNN with the published weights: 512 dimensions (after the last hidden ReLU) and 50 tag logits.

    Raises:
        BadInput: the weights are not installed, or not the published ones.
    """
    network = ShortChunk()
    state, digest = store.load("short_chunk")

    def function(variables: Any, windows: Array) -> EmbedderOutput:
        outputs: Any = network.apply(variables, decibel_mel(windows)[..., None])
        logits, embedding = outputs
        return EmbedderOutput(embedding, logits)

    return DeviceEmbedder(
        name="short_chunk",
        sample_rate=SAMPLE_RATE,
        window=_WINDOW,
        hop=_WINDOW,
        dimensions=network.channels * network.blocks[-1],
        num_classes=network.num_labels,
        weights_hash=digest,
        variables=from_torch(state, network),
        function=function,
    )
