"""The embedder type: a frozen network that turns windows of sound into vectors."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax

Array = jax.Array


@flax.struct.dataclass
class EmbedderOutput:
    """Output of an embedder for a batch of windows.

    Attributes:
        embedding: [rows, dimensions] float32.
        logits: [rows, classes] float32; None if the embedder has no classes.
    """

    embedding: Array
    logits: Array | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Embedder:
    """A frozen feature network with its front end.

    Attributes:
        name: the embedder's part of figure names.
        sample_rate: sample rate of the windows, in Hz.
        window: window length in samples.
        hop: samples between the starts of successive windows of a sound.
        rows_per_window: number of embeddings of one window.
        dimensions: length of an embedding.
        num_classes: length of the logits; 0 if there are none.
        classes: class names, if they are known.
        weights_hash: SHA-256 of the weights, in hex; empty without weights.
        variables: the weights.
        function: pure function from variables and windows [batch, window] within [-1, 1] to an EmbedderOutput of
            batch * rows_per_window rows.
    """

    name: str
    sample_rate: int
    window: int
    hop: int
    dimensions: int
    weights_hash: str
    variables: Any
    function: Callable[[Any, Array], EmbedderOutput]
    rows_per_window: int = 1
    num_classes: int = 0
    classes: tuple[str, ...] = ()

    def embed(self, variables: Any, windows: Array) -> EmbedderOutput:
        """`function` in full float32 precision on every machine."""
        # Accelerators multiply with fewer bits by default, so figures would differ between machines.
        with jax.default_matmul_precision("highest"):
            return self.function(variables, windows)
