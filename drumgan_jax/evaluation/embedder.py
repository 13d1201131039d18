"""What an embedder is: a frozen network that turns windows of sound into vectors, on the devices or on the host."""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import numpy as np

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.parts import Representation
from drumgan_jax.core.settings import is_whole

__all__ = ["DeviceEmbedder", "Embedder", "EmbedderOutput", "HostEmbedder"]

Array = jax.Array


@flax.struct.dataclass
class EmbedderOutput:
    """Output of an embedder for a batch of windows.

    Attributes:
        embedding: [rows, dimensions] float32.
        logits: [rows, classes] float32; None if the embedder has no classes.
    """

    embedding: Any
    logits: Any = None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Embedder(abc.ABC):
    """A frozen feature network with its front end; either a DeviceEmbedder or a HostEmbedder.

    Attributes:
        name: the embedder's part of figure names.
        sample_rate: sample rate of the windows, in Hz.
        window: window length in samples.
        hop: samples between the starts of successive windows of a sound.
        dimensions: length of an embedding.
        weights_hash: SHA-256 of the weights, in hex; empty without weights.
        rows_per_window: number of embeddings of one window.
        num_classes: length of the logits; 0 if there are none.
        classes: class names, if they are known.

    Raises:
        BadInput: a number is not whole or too small, the name is not fit for figures, or the classes are of another
            number.
    """

    name: str
    sample_rate: int
    window: int
    hop: int
    dimensions: int
    weights_hash: str
    rows_per_window: int = 1
    num_classes: int = 0
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or "/" in self.name:
            raise BadInput(f"an embedder has the name {shown(self.name)}; give it a text without a slash.")
        least = dict.fromkeys(("sample_rate", "window", "hop", "dimensions", "rows_per_window"), 1)
        for field, low in (least | {"num_classes": 0}).items():
            if not is_whole(getattr(self, field), low):
                raise BadInput(
                    f"the embedder {self.name} has {field} {shown(getattr(self, field))}; it must be a whole number"
                    f" of at least {low}."
                )
        if len(self.classes) not in (0, self.num_classes):
            raise BadInput(
                f"the embedder {self.name} names {len(self.classes)} classes and has num_classes {self.num_classes};"
                " give one name a class, or none."
            )

    def misfit(self, output: EmbedderOutput, windows: int) -> str | None:
        """What is wrong with the shapes and types of an output for some windows; None if nothing is."""
        rows = windows * self.rows_per_window
        for part, array, width in (
            ("embedding", output.embedding, self.dimensions),
            ("logits", output.logits, self.num_classes),
        ):
            if array is None and not width:
                continue
            shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", None)
            if shape != (rows, width) or not np.issubdtype(dtype, np.floating):
                found = f"of shape {shape} and type {dtype}" if dtype is not None else f"a {type(array).__name__}"
                return f"its {part} is {found} for {windows} windows; it must be floats [{rows}, {width}]"
        return None


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class DeviceEmbedder(Embedder):
    """An embedder that is compiled, and runs on all devices.

    Attributes:
        variables: the weights.
        function: pure function from variables and windows [batch, window] within [-1, 1] to an EmbedderOutput of
            batch * rows_per_window rows.
        representation: whose examples it embeds, if it embeds examples; None for any other.
        of_examples: likewise `function` after the encoding, from variables and examples [batch, freq, time, channels].
    """

    variables: Any
    function: Callable[[Any, Array], EmbedderOutput]
    representation: Representation | None = None
    of_examples: Callable[[Any, Array], EmbedderOutput] | None = None

    # Made once, since what is compiled belongs to it.
    @functools.cached_property
    def on_examples(self) -> "DeviceEmbedder":
        """The same embedder of examples, whose windows are examples laid out flat [batch, freq * time * channels]."""
        assert self.representation is not None
        assert self.of_examples is not None
        shape, embed = self.representation.shape, self.of_examples
        size = math.prod(shape)
        return dataclasses.replace(
            self,
            window=size,
            hop=size,
            function=lambda variables, windows: embed(variables, windows.reshape(-1, *shape)),
        )

    def embed(self, variables: Any, windows: Array) -> EmbedderOutput:
        """`function` in full float32 precision on every machine.

        Raises:
            BadInput: the output has another shape or type than the embedder says.
        """
        # Accelerators multiply with fewer bits by default, so figures would differ between machines.
        with jax.default_matmul_precision("highest"):
            output = self.function(variables, windows)
        if misfit := self.misfit(output, len(windows)):
            raise BadInput(f"the embedder {self.name} does not do as it says: {misfit}.")
        return output


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class HostEmbedder(Embedder):
    """An embedder that runs in Python on the host, such as a PyTorch model; with several processes, in each of them.

    Attributes:
        function: function from windows [batch, window] float32 within [-1, 1] to an EmbedderOutput of NumPy arrays with
            batch * rows_per_window rows. The batch may have any size.
    """

    function: Callable[[np.ndarray], EmbedderOutput]

    def embed(self, windows: np.ndarray, sound: str) -> EmbedderOutput:
        """`function`, with its output checked and as float32.

        Args:
            windows: [batch, window] float32.
            sound: name of the sound that the first window belongs to, for messages.

        Raises:
            BadInput: the output has another shape or type than the embedder says.
        """
        output = self.function(windows)
        misfit = self.misfit(output, len(windows)) if isinstance(output, EmbedderOutput) else "no EmbedderOutput"
        if misfit:
            raise BadInput(f"the embedder {self.name} does not do as it says with {sound}: {misfit}.")
        # A number beyond float32 becomes infinite, and is reported like the others that are not finite.
        with np.errstate(over="ignore"):
            return jax.tree.map(lambda array: np.asarray(array, np.float32), output)
