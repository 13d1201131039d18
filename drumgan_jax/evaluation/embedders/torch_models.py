"""What the embedders share whose networks are PyTorch models of other packages: imports, weights, probing."""

import contextlib
import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.core.weight_file import variables_digest
from drumgan_jax.evaluation.embedder import EmbedderOutput, HostEmbedder


def imported(module: str, embedder: str, packages: str) -> Any:
    """A module of a package that the embedder needs.

    Raises:
        BadInput: it cannot be imported; `packages` says what to install.
    """
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise BadInput(
            f"the embedder {embedder} needs packages that are not installed ({first_line(problem)}); run `pip install "
            f"'drumgan-jax[embedders]'` or `pip install {packages}`."
        ) from problem


def pretrained(embedder: str, kind: str, where: str, **options: Any) -> Any:
    """A part of the package transformers with its weights, from a folder or from the cache of Hugging Face's hub.

    Nothing is fetched here, so that measuring never waits for a network.

    Args:
        embedder: name in messages.
        kind: the part's class.
        where: a folder, or a name on the hub.
        options: of `from_pretrained`.

    Raises:
        BadInput: the package or the weights are not here, or are another model's.
    """
    transformers = imported("transformers", embedder, "torch transformers")
    imported("torch", embedder, "torch transformers")
    is_folder = Path(where).is_dir()
    remedy = f"give the folder of another model: {embedder}=FOLDER"
    if not is_folder:
        remedy = f"run `hf download {where}`, or name a folder that holds them: {embedder}=FOLDER"
    try:
        with _quiet(transformers.utils.logging):
            part = getattr(transformers, kind).from_pretrained(where, local_files_only=True, **options)
    # What transformers raises of absent, unfit or damaged files is of many types.
    except Exception as problem:
        raise BadInput(
            f"the weights of {embedder} cannot be read from {where} ({first_line(problem)}); {remedy}."
        ) from problem
    if not options.get("output_loading_info"):
        return part
    part, info = part
    if missing := sorted(info["missing_keys"]):
        raise BadInput(f"the weights at {where} are not those of {embedder} (they lack {missing[0]}); {remedy}.")
    return part.eval()


def model(embedder: str, kind: str, where: str, **options: Any) -> Any:
    """As `pretrained`, of a network, all of whose weights must be in the file."""
    return pretrained(embedder, kind, where, output_loading_info=True, **options)


@contextlib.contextmanager
def _quiet(log: Any) -> Iterator[None]:
    """Without the tables of layers and the progress bars of transformers."""
    level = log.get_verbosity()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        log.enable_progress_bar()


def digest(network: Any) -> str:
    """SHA-256, in hex, of a PyTorch network's weights."""
    return variables_digest({"params": {name: array.numpy() for name, array in network.state_dict().items()}})


def host_embedder(
    name: str,
    is_default: bool,
    weights_hash: str,
    sample_rate: int,
    window: int,
    hop: int,
    function: Callable[[np.ndarray], np.ndarray],
) -> HostEmbedder:
    """An embedder of a function whose numbers of rows and dimensions are found by calling it.

    Args:
        name: its name; with other weights than the default ones, the start of their hash is appended.
        is_default: whether it has the published weights that it has by default.
        weights_hash: SHA-256 of the weights.
        sample_rate: in Hz.
        window: in samples.
        hop: in samples.
        function: from windows [batch, window] to embeddings [batch * rows, dimensions].
    """
    rows, dimensions = function(np.zeros((1, window), np.float32)).shape
    return HostEmbedder(
        name=name if is_default else f"{name}@{weights_hash[:8]}",
        sample_rate=sample_rate,
        window=window,
        hop=hop,
        dimensions=dimensions,
        rows_per_window=rows,
        weights_hash=weights_hash,
        function=lambda windows: EmbedderOutput(function(windows)),
    )
