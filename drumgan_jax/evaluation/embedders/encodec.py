"""EnCodec, a neural audio codec (Défossez et al. 2022), at 24 kHz.

As in fadtk (Gui et al. 2024, model encodec-emb): the encoder's output before quantisation, 128 numbers in each of 75
frames a second. fadtk runs the encoder over a whole file; here a sound is cut into windows of one second, at whose
start the encoder knows nothing of what was before, so that figures are close to fadtk's and not the same.

Needs `pip install torch transformers` and `hf download facebook/encodec_24khz`, or `encodec=FOLDER` with an
EncodecModel.
"""

import numpy as np

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedder import HostEmbedder
from drumgan_jax.evaluation.embedders import torch_models

_MODEL = "facebook/encodec_24khz"


def build(model: str = _MODEL) -> HostEmbedder:
    """EnCodec's encoder.

    Raises:
        BadInput: the package or the weights are not here, or the model is not mono.
    """
    network = torch_models.model("encodec", "EncodecModel", model)
    torch = torch_models.imported("torch", "encodec", "torch transformers")
    if network.config.audio_channels != 1:
        raise BadInput(f"{model} encodes stereo, but sounds are measured in mono; give the model of 24 kHz.")
    rate = network.config.sampling_rate

    def function(windows: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            frames = network.encoder(torch.from_numpy(np.ascontiguousarray(windows))[:, None])
        return frames.transpose(1, 2).reshape(-1, frames.shape[1]).numpy()

    return torch_models.host_embedder(
        "encodec", model == _MODEL, torch_models.digest(network), rate, rate, rate, function
    )
