"""What the tests of the suite share: an embedder that can be done by hand, and streams of sounds."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from drumgan_jax.evaluation.collecting import Sound, Stream
from drumgan_jax.evaluation.embedder import Embedder, EmbedderOutput

RATE, WINDOW, HOP = 8000, 64, 48


def linear_embedder(name: str = "linear", classes: int = 3, dimensions: int = 4) -> Embedder:
    """Embeddings and logits that are matrix products with the window."""
    rng = np.random.default_rng(7)
    variables = {
        "embedding": rng.standard_normal((WINDOW, dimensions)).astype(np.float32),
        "logits": rng.standard_normal((WINDOW, classes)).astype(np.float32),
    }

    def function(variables: Any, windows: Any) -> EmbedderOutput:
        product = lambda matrix: jnp.matmul(windows, matrix, precision="highest")  # noqa: E731
        return EmbedderOutput(product(variables["embedding"]), product(variables["logits"]))

    return Embedder(name, RATE, WINDOW, HOP, dimensions, "a" * 64, variables, function, num_classes=classes)


def noises(count: int, seed: int = 0, samples: int = 160, level: float = 0.3) -> np.ndarray:
    """White noises [count, samples]."""
    return level * np.random.default_rng(seed).standard_normal((count, samples)).astype(np.float32)


def stream(waveforms: Any, rate: int = RATE) -> Stream:
    """A stream of waveforms, which may differ in length."""
    return Stream(len(waveforms), [Sound(one, rate, f"sound {i}") for i, one in enumerate(waveforms)])
