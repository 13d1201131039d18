"""Generator layers with modulated kernels, computed with kernels shared by the batch.

Scaling a kernel's input channels per example equals scaling the input, and demodulation is a scale on the output, so
the whole batch shares one dense convolution instead of one kernel per example.
"""

import functools
import math
import operator

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.core.parts import Array
from drumgan_jax.networks.convolution import convolve
from drumgan_jax.networks.layers import Dense, scaled_leaky_relu
from drumgan_jax.networks.resampling import up_convolution


def demodulation(kernel: Array, styles: Array) -> Array:
    """Scale that normalises each output channel of a modulated kernel to unit norm (Karras et al. 2020, equation 3).

    Args:
        kernel: [size, size, in, out] at unit variance, float32; without the factor 1 / sqrt(fan in), as in the
            reference, so that the 1e-8 under the root has the same effect at any width.
        styles: [batch, in], float32.

    Returns:
        [batch, out].
    """
    # The taps one by one: XLA's sum over leading axes is several times slower on CPU.
    squares = functools.reduce(operator.add, jnp.square(kernel).reshape(-1, *kernel.shape[2:]))
    energy = jnp.dot(jnp.square(styles), squares, precision=jax.lax.Precision.HIGHEST)
    return jax.lax.rsqrt(energy + 1e-8)


def modulated_convolution(x: Array, kernel: Array, styles: Array, up: bool, compute_dtype: jnp.dtype) -> Array:
    """Modulated and demodulated 3 x 3 convolution (Karras et al. 2020, section 2.2).

    Args:
        x: [batch, freq, time, in].
        kernel: [3, 3, in, out], float32.
        styles: [batch, in], float32.
        up: whether both axes are doubled.
        compute_dtype: dtype of the convolution; the scales before and after it are float32.

    Returns:
        [batch, freq, time, out], with freq and time doubled if `up`, float32.
    """
    x = (x.astype(jnp.float32) * styles[:, None, None, :]).astype(compute_dtype)
    x = (up_convolution if up else convolve)(x, kernel.astype(compute_dtype))
    return x.astype(jnp.float32) * demodulation(kernel, styles)[:, None, None, :]


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def modulated_product(x: Array, styles: Array, kernel: Array, compute_dtype: jnp.dtype) -> Array:
    """Modulated 1 x 1 convolution, whose gradients need no scaled copy of the features.

    Its value is a product with the kernel that the batch shares, because the rounding of a product with one kernel per
    example depends on the batch, and a sound must not.

    Args:
        x: [batch, freq, time, in].
        styles: [batch, in], float32.
        kernel: [in, out], float32.
        compute_dtype: dtype of the product and of those in the gradients.

    Returns:
        [batch, freq, time, out], float32.
    """
    x = (x.astype(jnp.float32) * styles[:, None, None, :]).astype(compute_dtype)
    return convolve(x, kernel[None, None].astype(compute_dtype)).astype(jnp.float32)


def _modulated_product_gradients(
    compute_dtype: jnp.dtype, kept: tuple[Array, Array, Array], y: Array
) -> tuple[Array, Array, Array]:
    x, styles, kernel = kept
    y = y.astype(compute_dtype)
    modulated = (styles[:, :, None] * kernel).astype(compute_dtype)
    by_x = jnp.einsum("bfto,bco->bftc", y, modulated).astype(x.dtype)
    by_modulated = jnp.einsum("bftc,bfto->bco", x.astype(compute_dtype), y).astype(jnp.float32)
    return by_x, (by_modulated * kernel).sum(axis=-1), (by_modulated * styles[:, :, None]).sum(axis=0)


modulated_product.defvjp(
    lambda x, styles, kernel, compute_dtype: (
        modulated_product(x, styles, kernel, compute_dtype),
        (x, styles, kernel),
    ),
    _modulated_product_gradients,
)


class StyledConvolution(nn.Module):
    """Modulated convolution, noise, bias and leaky ReLU.

    Attributes:
        features: channels of the output.
        up: whether both axes are doubled.
    """

    features: int
    up: bool = False
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, w: Array, noise: Array | None) -> Array:
        """Activations [batch, freq, time, features] in `compute_dtype`.

        Args:
            x: [batch, freq, time, in].
            w: [batch, w_dim].
            noise: [batch, freq, time, 1], or None for no noise.
        """
        channels = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.normal(1.0), (3, 3, channels, self.features))
        strength = self.param("noise_strength", nn.initializers.zeros, ())
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        styles = Dense(channels, bias_init=1.0, name="style")(w)
        x = modulated_convolution(x, kernel, styles, self.up, self.compute_dtype)
        if noise is not None:
            x = x + strength * noise
        return scaled_leaky_relu(x + bias).astype(self.compute_dtype)


class ToOutput(nn.Module):
    """Modulated 1 x 1 convolution to the channels of the example, without demodulation ("ToRGB").

    Attributes:
        features: channels of the example.
    """

    features: int
    compute_dtype: jnp.dtype = jnp.float32

    @nn.compact
    def __call__(self, x: Array, w: Array) -> Array:
        """Summand of the output [batch, freq, time, features] in float32, from x [batch, freq, time, in] and w."""
        channels = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.normal(1.0), (1, 1, channels, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        styles = Dense(channels, bias_init=1.0, name="style")(w) / math.sqrt(channels)
        return modulated_product(x, styles, kernel[0, 0], self.compute_dtype) + bias
