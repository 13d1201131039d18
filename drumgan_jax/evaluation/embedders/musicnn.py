"""musicnn, a music tagger (Pons and Serra 2019), with the weights of the Million Song Dataset.

Of its two published sets of weights, these have learnt from ten times as many songs, and from all genres; musicnn_mtt
has the other. Neither has labelled any of this project's training data. The embedding is the penultimate layer, 200
numbers after ReLU and normalisation, and the logits are those of the 50 tags, before the sigmoid. A window is a patch
of the authors' code, 187 frames, and so is the hop; only the first frame of a later window differs, which there has
the sound before it and here its own reflection.
"""

from typing import Any

from drumgan_jax.audio.musicnn_mel import FRAMING, SAMPLE_RATE, musicnn_log_mel
from drumgan_jax.evaluation.embedder import Array, DeviceEmbedder, EmbedderOutput
from drumgan_jax.networks.musicnn import Musicnn, from_tensorflow
from drumgan_jax.weights import store

_FRAMES = 187
WINDOW = _FRAMES * FRAMING.hop_length
TAGS = (
    *("rock", "pop", "alternative", "indie", "electronic", "female vocalists", "dance", "00s", "alternative rock"),
    *("jazz", "beautiful", "metal", "chillout", "male vocalists", "classic rock", "soul", "indie rock", "Mellow"),
    *("electronica", "80s", "folk", "90s", "chill", "instrumental", "punk", "oldies", "blues", "hard rock", "ambient"),
    *("acoustic", "experimental", "female vocalist", "guitar", "Hip-Hop", "70s", "party", "country", "easy listening"),
    *("sexy", "catchy", "funk", "electro", "heavy metal", "Progressive rock", "60s", "rnb", "indie pop", "sad"),
    *("House", "happy"),
)


def build() -> DeviceEmbedder:
    """musicnn with the published weights: 200 dimensions and 50 logits for each 3 seconds.

    Raises:
        BadInput: the weights are not installed, or not the published ones.
    """
    return with_weights("musicnn", TAGS)


def with_weights(name: str, tags: tuple[str, ...]) -> DeviceEmbedder:
    """As `build`, with the weights of a name in the catalogue, and the names of its tags."""
    network = Musicnn(num_labels=len(tags))
    arrays, digest = store.load(name)

    def function(variables: Any, windows: Array) -> EmbedderOutput:
        logits, embedding = network.apply(variables, musicnn_log_mel(windows)[..., None])
        return EmbedderOutput(embedding, logits)

    return DeviceEmbedder(
        name=name,
        sample_rate=SAMPLE_RATE,
        window=WINDOW,
        hop=WINDOW,
        dimensions=network.hidden,
        num_classes=len(tags),
        classes=tags,
        weights_hash=digest,
        variables=from_tensorflow(arrays, network),
        function=function,
    )
