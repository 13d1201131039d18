"""MERT, a network that learns music by predicting masked frames (Li et al. 2024), with its 95 million weights.

As in fadtk (Gui et al. 2024, model MERT-v1-95M): 24 kHz, normalised by its own feature extractor, the last of 12
layers, 768 numbers in each frame, about 75 a second. fadtk runs it over a whole file, up to six minutes, and normalises
that; here a sound is cut into windows of one second, so that figures are not the same.

Needs `pip install torch transformers nnAudio` and `hf download m-a-p/MERT-v1-95M`, or `mert=FOLDER` with a model of
that interface, such as a HubertModel, and its feature extractor. MERT's own model runs code from its folder.
"""

import numpy as np

from drumgan_jax.evaluation.embedder import HostEmbedder
from drumgan_jax.evaluation.embedders import torch_models

_MODEL = "m-a-p/MERT-v1-95M"


def build(model: str = _MODEL) -> HostEmbedder:
    """MERT's last layer.

    Raises:
        BadInput: the package or the weights are not here.
    """
    network = torch_models.model("mert", "AutoModel", model, trust_remote_code=True)
    extractor = torch_models.pretrained("mert", "Wav2Vec2FeatureExtractor", model)
    torch = torch_models.imported("torch", "mert", "torch transformers")
    rate = extractor.sampling_rate

    def function(windows: np.ndarray) -> np.ndarray:
        inputs = extractor(list(windows), sampling_rate=rate, return_tensors="pt")
        with torch.no_grad():
            output = network(inputs.input_values, output_hidden_states=True)
        frames = output.hidden_states[-1]
        return frames.reshape(-1, frames.shape[-1]).numpy()

    return torch_models.host_embedder("mert", model == _MODEL, torch_models.digest(network), rate, rate, rate, function)
