"""An encoder of sounds into a generator's latent space: a view of an example, and a network."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.audio.views import VIEWS
from drumgan_jax.core.settings import build_part, check_shapes, section_at
from drumgan_jax.networks.encoders import ConvolutionEncoder, WaveformEncoder
from drumgan_jax.systems.gan import Gan

Array = jax.Array

# Modules from (view of examples, train) to w [batch, w_dim], whose last num_labels entries are labels.
ENCODERS: dict[str, type[nn.Module]] = {"convolution": ConvolutionEncoder, "waveform": WaveformEncoder}


@dataclasses.dataclass(frozen=True)
class Encoder:
    """The parts of an encoder, ready to initialise.

    Attributes:
        view: from examples [batch, freq, time, channels] to the network's input; frozen and hashable.
        network: see ENCODERS.
        shape: (freq, time, channels) of an example.
    """

    view: Callable[[Array], Array]
    network: nn.Module
    shape: tuple[int, int, int]

    def init(self, key: Array) -> dict[str, Any]:
        """Fresh variables: `params`, and `batch_stats` where the network has any."""
        return dict(self.network.init(key, self.view(jnp.zeros((1, *self.shape)))))

    def predict(self, variables: Mapping[str, Any], x: Array) -> Array:
        """w [batch, w_dim] of examples [batch, freq, time, channels], each the same in any batch.

        Args:
            variables: `params` and `batch_stats`; other entries, such as a digest of the generator, are ignored.
            x: the examples.
        """
        collections = {name: variables[name] for name in ("params", "batch_stats") if name in variables}
        # Accelerators multiply with fewer bits by default, and a sound's latents would differ between machines.
        with jax.default_matmul_precision("highest"):
            # Linen types the result as a union with the changed collections, and here no collection changes.
            w: Any = self.network.apply(collections, self.view(x))
        return w


@dataclasses.dataclass(frozen=True)
class OwnEncoder:
    """The encoder that a generator brings along; see Encoder.

    Attributes:
        generator: a linen module with a method `encode`.
    """

    generator: nn.Module

    def predict(self, variables: Mapping[str, Any], x: Array) -> Array:
        """w [batch, w_dim] of examples [batch, freq, time, channels], by the generator's variables."""
        with jax.default_matmul_precision("highest"):
            w: Any = self.generator.apply(variables, x, method="encode")
        return w


class Encoding(NamedTuple):
    """A trained encoder.

    Attributes:
        encoder: its parts.
        section: of a config, from which it is built; None for one that the generator brings along.
        variables: its collections.
    """

    encoder: Encoder | OwnEncoder
    section: Mapping[str, Any] | None
    variables: Mapping[str, Any]


def build_encoder(config: Mapping[str, Any], gan: Gan, num_labels: int) -> Encoder:
    """The encoder that a config names, into the latent space of a generator.

    It predicts `map(z, labels)[:, 0]`. If w is z joined with labels, it predicts the labels as probabilities.

    Args:
        config: section `encoder`: `kind`, `view` with its own `kind`, and their fields.
        gan: the generator's parts, which give w_dim and the shape of an example.
        num_labels: classes that condition the generator; 0 for none.

    Raises:
        BadInput: the section names an unknown part or setting, or a value is out of range.
    """
    section = section_at(config, "encoder")
    network = {name: value for name, value in section.items() if name != "view"}
    generator = gan.generator
    attributes = 0 if generator.learns_w else generator.num_attributes
    classes = 0 if generator.learns_w else num_labels
    given = {"w_dim": generator.w_dim, "num_labels": classes + attributes, "num_attributes": attributes}
    encoder = Encoder(
        view=build_part(VIEWS, section.get("view", {}), "encoder.view"),
        network=build_part(ENCODERS, network, "encoder", **given),
        shape=gan.representation.shape,
    )
    check_shapes("encoder", encoder.init)
    return encoder
