"""musicnn with the weights of MagnaTagATune, which are also in its package; otherwise as `musicnn`."""

from drumgan_jax.evaluation.embedder import DeviceEmbedder
from drumgan_jax.evaluation.embedders.musicnn import with_weights

TAGS = (
    *("guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient"),
    *("beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals"),
    *("harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "no vocal", "pop", "soft", "sitar", "solo"),
    *("man", "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello"),
    *("no voice", "weird", "country", "metal", "female voice", "choral"),
)


def build() -> DeviceEmbedder:
    """musicnn with the other published weights: 200 dimensions and 50 logits for each 3 seconds.

    Raises:
        BadInput: the weights are not installed, or not the published ones.
    """
    return with_weights("musicnn_mtt", TAGS)
