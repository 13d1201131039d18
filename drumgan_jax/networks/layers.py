"""Layers with an equalised learning rate: weights are stored at unit variance and scaled when they are used."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.parts import Array
from drumgan_jax.networks.convolution import convolve
from drumgan_jax.networks.resampling import down_convolution, downsample

LEAK = 0.2
ACTIVATION_GAIN = math.sqrt(2.0)


def scaled_leaky_relu(x: Array) -> Array:
    """Leaky ReLU with slope 0.2, times sqrt(2) to keep unit variance approximately; any shape."""
    return jax.nn.leaky_relu(x, LEAK) * ACTIVATION_GAIN


class Dense(nn.Module):
    """Equalised dense layer in float32 (Karras et al. 2018, section 4.1).

    Attributes:
        features: size of the last axis of the output.
        lr_multiplier: effective learning rate of kernel and bias, relative to the optimiser's.
        bias_init: initial stored bias; as in the reference, the effective bias is `lr_multiplier` times that.
        activate: whether a leaky ReLU follows the bias.
    """

    features: int
    lr_multiplier: float = 1.0
    bias_init: float = 0.0
    activate: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Outputs [batch, features] from inputs [batch, in]."""
        fan_in = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.normal(1 / self.lr_multiplier), (fan_in, self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias_init), (self.features,))
        # The products are small, so full precision costs nothing, and errors in w would affect every later layer.
        x = jnp.dot(x, kernel * (self.lr_multiplier / math.sqrt(fan_in)), precision=jax.lax.Precision.HIGHEST)
        x = x + bias * self.lr_multiplier
        return scaled_leaky_relu(x) if self.activate else x


class Convolution(nn.Module):
    """Equalised convolution (cross-correlation) of the discriminator.

    The convolution runs in `compute_dtype`, bias and activation in float32.

    Attributes:
        features: channels of the output.
        size: kernel size, 1 or 3.
        down: whether both axes are blurred and halved.
        gain: factor on the output.
        plain: whether bias and activation are left out.
    """

    features: int
    size: int = 3
    down: bool = False
    gain: float = 1.0
    plain: bool = False
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Outputs [batch, freq, time, features] in `compute_dtype`, from inputs [batch, freq, time, channels]."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.normal(1.0), shape)
        kernel = (kernel / math.sqrt(math.prod(shape[:-1]))).astype(self.compute_dtype)
        x = x.astype(self.compute_dtype)
        if self.down and self.size == 1:
            # Decimating first gives the same result for a quarter of the work.
            x = convolve(downsample(x), kernel)
        else:
            x = down_convolution(x, kernel) if self.down else convolve(x, kernel)
        if self.plain:
            return x * self.gain
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x = scaled_leaky_relu(x.astype(jnp.float32) + bias) * self.gain
        return x.astype(self.compute_dtype)


def minibatch_stddev(x: Array, group: int) -> Array:
    """Append the standard deviation over groups of examples as a channel (Karras et al. 2018, section 3).

    Groups are strided over the global batch: with N examples in groups of G, example i shares its group with i + N/G,
    i + 2N/G, ... The reference groups within each device's part of the batch, so its results depend on the number of
    devices; these do not.

    Args:
        x: [batch, freq, time, channels].
        group: examples per group, limited to the batch size.

    Returns:
        [batch, freq, time, channels + 1].

    Raises:
        BadInput: the batch is not a multiple of the group.
    """
    batch, freq, time, channels = x.shape
    group = min(group, batch)
    if batch % group:
        raise BadInput(
            f"a batch of {batch} does not divide into the groups of {group} of discriminator.stddev_group; "
            f"make the batch size a multiple of {group}."
        )
    groups = x.reshape(group, batch // group, freq, time, channels)
    deviation = jnp.sqrt(jnp.var(groups, axis=0) + 1e-8).mean(axis=(1, 2, 3))
    statistic = jnp.tile(deviation, group)[:, None, None, None]
    return jnp.concatenate([x, jnp.broadcast_to(statistic, (batch, freq, time, 1))], axis=-1)
