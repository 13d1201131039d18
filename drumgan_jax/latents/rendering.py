"""Compiled programs from latents to sounds and back, applied to arrays of any length in groups of one size."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.keys import Purpose, sound_keys
from drumgan_jax.latents import seeds
from drumgan_jax.systems.encoder import Encoder, OwnEncoder
from drumgan_jax.systems.gan import Gan

Array = jax.Array

# Sounds per device and group. The last group is padded, so one shape is compiled; a single sound has its own program.
BATCH = 16


def in_groups(
    sharding: NamedSharding | None, function: Callable[..., Array], *rows: Any, group: int = BATCH
) -> np.ndarray:
    """Apply a function to all rows of arrays, group by group; the last group is padded with its last row.

    Args:
        sharding: of a group over several devices; None for one device.
        function: maps groups of rows to a group of results.
        rows: arrays, tuples of arrays, or None, which is passed through.
        group: rows per group and device.
    """
    count = len(rows[0])
    size = group * sharding.mesh.size if sharding else group if count > 1 else 1
    results = []
    for start in range(0, count, size):
        index = np.minimum(np.arange(start, start + size), count - 1)
        of_group: Any = jax.tree.map(lambda array, index=index: array[index], rows)
        results.append(_fetch(function(*(jax.device_put(of_group, sharding) if sharding else of_group))))
    return np.concatenate(results)[:count]


def noise_gains(noise: bool | float | Sequence[float], layers: int) -> np.ndarray | None:
    """The gain of each layer's noise [layers] for the `noise` of `Instrument.render`; None for no noise.

    Raises:
        BadInput: the number of gains is not that of the layers, or one is not finite.
    """
    if isinstance(noise, (bool, np.bool_)) and not noise:
        return None
    gains = np.asarray(noise, np.float32)
    if gains.ndim and gains.shape != (layers,):
        raise BadInput(
            f"{gains.size} noise gains do not fit the {layers} layers with noise; give one, or one per layer."
        )
    if not np.isfinite(gains).all():
        raise BadInput("a noise gain is not finite; give numbers.")
    return np.broadcast_to(gains, (layers,))


def check_waveforms(gan: Gan, waveforms: np.ndarray) -> None:
    """Raise BadInput unless waveforms are [batch, samples] of the representation's length."""
    length = gan.representation.num_samples
    if waveforms.ndim != 2 or waveforms.shape[1] != length or not len(waveforms):
        raise BadInput(f"waveforms are {list(waveforms.shape)}; give [batch, {length}], or encode recordings.")


@functools.partial(jax.jit, static_argnums=0)
def map_to_ws(gan: Gan, variables: Mapping[str, Any], truncation: Any, z: Array, labels: Array) -> Array:
    """Map z [batch, z_dim] and labels [batch, labels] (width 0 for none) to truncated ws [batch, layers, w_dim]."""
    return gan.map(variables, z, labels if labels.shape[1] else None, truncation)


@functools.partial(jax.jit, static_argnums=0)
def render(
    gan: Gan,
    variables: Mapping[str, Any],
    gains: np.ndarray | None,
    ws: Array,
    numbers: Array,
    noises: tuple[Array, ...] | None,
) -> Array:
    """Render ws as waveforms [batch, samples]; see `examples`."""
    x = examples(gan, variables, gains, ws, numbers, noises)
    return gan.decoder.decode(x, sound_keys(numbers, Purpose.PHASE))


@functools.partial(jax.jit, static_argnums=0)
def examples(
    gan: Gan,
    variables: Mapping[str, Any],
    gains: np.ndarray | None,
    ws: Array,
    numbers: Array,
    noises: tuple[Array, ...] | None,
) -> Array:
    """Examples [batch, freq, time, channels] of ws, which `render` decodes.

    Args:
        gan: the parts.
        variables: the generator's collections.
        gains: gain of each layer's noise [layers]; None for no noise.
        ws: [batch, layers, w_dim].
        numbers: seeds [batch] of noise and starting phases.
        noises: noise of each layer [batch, freq, time, 1]; None to draw it from the seeds.
    """
    noise = None
    if gains is not None:
        drawn = seeds.noise_of(numbers, gan.generator.noise_sizes) if noises is None else noises
        noise = [gain * layer for gain, layer in zip(gains, drawn, strict=True)]
    return gan.synthesize(variables, ws, noise)


@functools.partial(jax.jit, static_argnums=(0, 1))
def encode(gan: Gan, encoder: Encoder | OwnEncoder, variables: Mapping[str, Any], waveforms: Array) -> Array:
    """Encode waveforms [batch, samples] as w [batch, w_dim]."""
    return encoder.predict(variables, gan.representation.encode(waveforms))


def _fetch(array: Array) -> np.ndarray:
    """Fetch the whole array, even if other processes hold parts of it."""
    if array.is_fully_addressable:
        return np.asarray(array)
    from jax.experimental.multihost_utils import process_allgather

    return process_allgather(array, tiled=True)
