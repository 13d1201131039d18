"""What the tests of the suite share: an embedder that can be done by hand, and streams of sounds."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from drumgan_jax.evaluation.collecting import Sound, Stream
from drumgan_jax.evaluation.embedder import DeviceEmbedder, EmbedderOutput, HostEmbedder

RATE, WINDOW, HOP = 8000, 64, 48


def linear_embedder(name: str = "linear", classes: int = 3, dimensions: int = 4) -> DeviceEmbedder:
    """Embeddings and logits that are matrix products with the window."""
    rng = np.random.default_rng(7)
    variables = {
        "embedding": rng.standard_normal((WINDOW, dimensions)).astype(np.float32),
        "logits": rng.standard_normal((WINDOW, classes)).astype(np.float32),
    }

    def function(variables: Any, windows: Any) -> EmbedderOutput:
        product = lambda matrix: jnp.matmul(windows, matrix, precision="highest")  # noqa: E731
        return EmbedderOutput(product(variables["embedding"]), product(variables["logits"]))

    return DeviceEmbedder(
        name=name,
        sample_rate=RATE,
        window=WINDOW,
        hop=HOP,
        dimensions=dimensions,
        weights_hash="a" * 64,
        variables=variables,
        function=function,
        num_classes=classes,
    )


def on_host(embedder: DeviceEmbedder, **changes: Any) -> HostEmbedder:
    """The same embedder as a function of NumPy arrays; `changes` are of its fields."""
    fields = {f.name: getattr(embedder, f.name) for f in dataclasses.fields(HostEmbedder)}

    def function(windows: np.ndarray) -> EmbedderOutput:
        return EmbedderOutput(windows @ embedder.variables["embedding"], windows @ embedder.variables["logits"])

    return HostEmbedder(**{**fields, "function": function, **changes})


def noises(count: int, seed: int = 0, samples: int = 160, level: float = 0.3) -> np.ndarray:
    """White noises [count, samples]."""
    return level * np.random.default_rng(seed).standard_normal((count, samples)).astype(np.float32)


def stream(waveforms: Any, rate: int = RATE) -> Stream:
    """A stream of waveforms, which may differ in length."""
    return Stream(len(waveforms), [Sound(one, rate, f"sound {i}") for i, one in enumerate(waveforms)])
