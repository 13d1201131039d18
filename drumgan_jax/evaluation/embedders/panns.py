"""PANNs, a convolutional tagger of AudioSet (Kong et al. 2020): CNN14 at 32 kHz.

The embedding is the layer before the tags, 2048 numbers after ReLU, of windows of one second. Fréchet audio distances
of other packages take one embedding of a whole file.

Needs `pip install torch panns-inference`, and two files that this package otherwise fetches itself, with wget, when it
is imported: class_labels_indices.csv and Cnn14_mAP=0.431.pth in ~/panns_data; or `panns=FILE` for other weights of
CNN14.
"""

import contextlib
import io
from pathlib import Path

import numpy as np

from drumgan_jax.core.digests import file_hash
from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.evaluation.embedder import HostEmbedder
from drumgan_jax.evaluation.embedders import torch_models

_RATE = 32_000
_PACKAGES = "torch panns-inference"
_WEIGHTS = "Cnn14_mAP=0.431.pth"
_LABELS = "class_labels_indices.csv"
_ADDRESSES = {
    _WEIGHTS: "https://zenodo.org/record/3987831",
    _LABELS: "http://storage.googleapis.com/us_audioset/youtube_corpus/v1/csv/class_labels_indices.csv",
}


def build(model: str = "") -> HostEmbedder:
    """CNN14 of PANNs.

    Raises:
        BadInput: the package, the weights or the labels are not here, or the weights are another network's.
    """
    folder = Path.home() / "panns_data"
    weights = Path(model) if model else folder / _WEIGHTS
    torch = torch_models.imported("torch", "panns", _PACKAGES)
    for path in (folder / _LABELS, weights):
        if not path.is_file():
            source = f"download it from {_ADDRESSES[path.name]}" if path.name in _ADDRESSES else "check the path"
            raise BadInput(f"the embedder panns needs {path}, which is not there; {source}.")
    # The package prints where its files are.
    with contextlib.redirect_stdout(io.StringIO()):
        models = torch_models.imported("panns_inference.models", "panns", _PACKAGES)
    network = models.Cnn14(
        sample_rate=_RATE, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14_000, classes_num=527
    )
    try:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["model"])
    # What PyTorch raises of damaged files and other networks is of many types.
    except Exception as problem:
        raise BadInput(
            f"{weights} does not hold the weights of CNN14 ({first_line(problem).rstrip(':')}); download it again."
        ) from problem
    network.eval()

    def function(windows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return network(torch.from_numpy(np.ascontiguousarray(windows)), None)["embedding"].numpy()

    return torch_models.host_embedder("panns", not model, file_hash(weights), _RATE, _RATE, _RATE, function)
