"""CLAP, a network that brings sounds and their descriptions together (Wu et al. 2023), with LAION's music weights.

As in fadtk (Gui et al. 2024, model clap-laion-music): 48 kHz, windows of 10 s every second, samples rounded to 16 bits,
the projected audio embedding of 512 numbers with length 1, without fusion. Two things differ: fadtk also embeds the
tails shorter than a window, each filled up with zeros, and has the weights in another file format.

Needs `pip install torch transformers` and `hf download laion/larger_clap_music`, or `clap=FOLDER` with a ClapModel and
its feature extractor.
"""

import numpy as np

from drumgan_jax.evaluation.embedder import HostEmbedder
from drumgan_jax.evaluation.embedders import torch_models

_MODEL = "laion/larger_clap_music"
_FULL_SCALE = 32_767.0


def build(model: str = _MODEL) -> HostEmbedder:
    """CLAP's audio network.

    Raises:
        BadInput: the package or the weights are not here.
    """
    network = torch_models.model("clap", "ClapModel", model)
    extractor = torch_models.pretrained("clap", "ClapFeatureExtractor", model)
    torch = torch_models.imported("torch", "clap", "torch transformers")
    rate = extractor.sampling_rate

    def function(windows: np.ndarray) -> np.ndarray:
        rounded = np.trunc(np.clip(windows, -1.0, 1.0) * _FULL_SCALE) / _FULL_SCALE
        inputs = extractor(list(rounded), sampling_rate=rate, return_tensors="pt")
        with torch.no_grad():
            output = network.get_audio_features(**inputs)
        # Until version 4, the package returns the embeddings themselves.
        return getattr(output, "pooler_output", output).numpy()

    window = extractor.nb_max_samples
    return torch_models.host_embedder(
        "clap", model == _MODEL, torch_models.digest(network), rate, window, rate, function
    )
