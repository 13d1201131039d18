"""Inception-v3 embeddings of a representation's own picture, for the FID of electrogan (Havenaar 2023, section 6.2).

The example is a grey picture of whole levels from 0 to 255, low frequencies in the first row as in the array, and goes
to Inception as StyleGAN2's FID has it: three equal channels, resized to 299 x 299 as TensorFlow 1 does. Sounds are
encoded first; a generator's examples are taken as they are, without the phases that its decoder finds.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp

from drumgan_jax.audio.representations import build_representation, current_settings, settings_of
from drumgan_jax.core.errors import BadInput, first_line
from drumgan_jax.core.parts import Representation
from drumgan_jax.evaluation.embedder import Array, DeviceEmbedder, EmbedderOutput
from drumgan_jax.evaluation.embedders.inception import resize
from drumgan_jax.networks.inception_v3 import InceptionV3, from_torch
from drumgan_jax.weights import store

# Of Inception's features.
DIMENSIONS = 2048
# A run and a data set each hold their representation, in a file of their own.
_RUN, _DATASET = "config.json", "representation.json"


def build(model: str = "", representation: Representation | None = None) -> DeviceEmbedder:
    """Inception-v3 with the published weights on pictures: 2048 dimensions and 1008 logits for each example.

    Args:
        model: a run, or a data set's version folder, whose representation makes the pictures.
        representation: what makes them if no model is given: that of the data set which is measured against.

    Raises:
        BadInput: the weights are not installed, or not the published ones; there is no representation; or it has no
            grey picture, or no statistics.
    """
    maker = _read(Path(model)) if model else representation
    if maker is None:
        raise BadInput(
            "the embedder picture needs the representation of a run or data set, and these sounds come without; name"
            " one: picture=RUN."
        )
    freq, _, channels = maker.shape
    if channels != 1 or freq == 1 or getattr(maker, "mean", None) is None:
        raise BadInput(
            f"the embedder picture draws spectra of one channel with fitted mean and std, and the representation"
            f" {settings_of(maker)['kind']} is none; measure with another embedder, such as log_mel."
        )
    network = InceptionV3()
    state, digest = store.load("inception")

    def of_examples(variables: Any, examples: Array) -> EmbedderOutput:
        x = (resize(grey(examples)[..., 0]) - 128.0) / 128.0
        outputs: Any = network.apply(variables, jnp.repeat(x[..., None], 3, axis=-1))
        return EmbedderOutput(*outputs)

    settings = json.dumps(settings_of(maker), sort_keys=True)
    weights = hashlib.sha256(f"{digest} {settings}".encode()).hexdigest()
    return DeviceEmbedder(
        name=f"picture@{weights[:8]}" if model else "picture",
        sample_rate=maker.sample_rate,
        window=maker.num_samples,
        hop=maker.num_samples,
        dimensions=DIMENSIONS,
        num_classes=network.num_classes,
        weights_hash=weights,
        variables=from_torch(state, network),
        function=lambda variables, windows: of_examples(variables, maker.encode(windows)),
        representation=maker,
        of_examples=of_examples,
    )


def grey(examples: Array) -> Array:
    """Whole levels from 0 to 255 of examples of any shape: -1, three deviations below the mean, is 0, and 1 is 255."""
    return jnp.clip(jnp.floor(examples * 127.5 + 128.0), 0.0, 255.0)


def _read(folder: Path) -> Representation:
    """The representation of a run or data set."""
    for name, section in ((_RUN, "representation"), (_DATASET, None)):
        path = folder / name
        if path.is_file():
            try:
                settings = json.loads(path.read_text())
                settings = dict(settings[section] if section else settings)
            except (OSError, ValueError, KeyError, TypeError) as problem:
                raise BadInput(f"{path} is damaged ({first_line(problem)}); name another run or data set.") from problem
            settings.pop("format", None)
            return build_representation(current_settings(settings))
    raise BadInput(f"{folder} is neither a run nor a data set's version folder; give picture=RUN.")
