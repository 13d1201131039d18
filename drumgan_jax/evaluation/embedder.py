"""What an embedder is: a frozen network that turns windows of sound into vectors."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.struct
import jax

Array = jax.Array


@flax.struct.dataclass
class EmbedderOutput:
    """What an embedder says of windows.

    Attributes:
        embedding: [rows, dimensions] float32.
        logits: [rows, classes] float32, of an embedder that classifies.
    """

    embedding: Array
    logits: Array | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Embedder:
    """A frozen feature network with its front end.

    Attributes:
        name: by which figures name it.
        sample_rate: of the windows, in Hz.
        window: samples of a window.
        hop: samples from one window of a sound to the next.
        rows_per_window: rows that `function` makes of each window.
        dimensions: length of an embedding.
        num_classes: length of the logits; 0 without.
        classes: their names, where they are known.
        weights_hash: SHA-256 of the weights, in hex; empty where there are none.
        variables: the weights.
        function: from variables and windows [batch, window] within [-1, 1] to EmbedderOutput of batch * rows_per_window
            rows; pure.
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
        """`function`, computed alike on every machine."""
        # Accelerators would otherwise multiply with fewer bits, and the figures would differ between machines.
        with jax.default_matmul_precision("highest"):
            return self.function(variables, windows)
