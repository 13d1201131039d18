"""Load a run and play it."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from drumgan_jax.errors import BadInput
from drumgan_jax.gan import Gan, build_gan
from drumgan_jax.networks.mapping import truncate
from drumgan_jax.training.checkpoints import load_ema
from drumgan_jax.training.run import find_step, read_config

Array = jax.Array

# Sounds are rendered in groups of this size a device, the last one filled up, so that one shape is compiled.
BATCH = 16

_Z, _LABEL, _NOISE, _PHASE = range(4)


@dataclasses.dataclass(frozen=True)
class Latents:
    """All that makes sounds: with the run, enough to make each of them again.

    Attributes:
        seeds: one a sound, [batch]; noise and starting phases are drawn from it.
        z: [batch, z_dim].
        labels: class weights [batch, labels]; width 0 for a system without.
    """

    seeds: np.ndarray
    z: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.seeds)


@dataclasses.dataclass(frozen=True)
class Sounds:
    """Rendered sounds.

    Attributes:
        waveforms: float32 [batch, samples].
        sample_rate: in Hz.
        latents: what made them.
    """

    waveforms: np.ndarray
    sample_rate: int
    latents: Latents


@dataclasses.dataclass(frozen=True)
class Instrument:
    """A trained system that can be played.

    Attributes:
        gan: its parts.
        variables: the EMA generator's collections.
        label_names: class names, in the order of the labels.
        step: the training step it is from.
        sharding: of batches over several devices; None for one.
    """

    gan: Gan
    variables: Mapping[str, Any]
    label_names: tuple[str, ...]
    step: int
    sharding: NamedSharding | None = None

    @property
    def sample_rate(self) -> int:
        """Of every sound, in Hz."""
        return self.gan.representation.sample_rate

    def spread(self, sharding: NamedSharding) -> "Instrument":
        """The same instrument on all devices of a mesh, for making many sounds: `sharding` splits a batch's axis."""
        everywhere = NamedSharding(sharding.mesh, PartitionSpec())
        return dataclasses.replace(self, variables=jax.device_put(self.variables, everywhere), sharding=sharding)

    def sample(
        self,
        seeds: Sequence[int],
        truncation: float = 1.0,
        labels: str | Mapping[str, float] | np.ndarray | None = None,
        noise: bool = True,
    ) -> Sounds:
        """Make one sound for each seed; the same seed gives the same sound in any batch.

        Args:
            seeds: whole numbers from 0 to 2^32 - 1.
            truncation: 1 for the whole variety, towards 0 for the average sound (Karras et al. 2019, sec. B).
            labels: a class name, weights by class name, or weights of each sound [seeds, labels]; None draws a class
                from the seed.
            noise: draw the layers' noise from the seed, or leave it out.

        Raises:
            BadInput: a seed is out of range, or a class is unknown.
        """
        latents = self.draw(seeds, labels)
        return self.render(latents, self.map(latents, truncation), noise)

    def draw(self, seeds: Sequence[int], labels: str | Mapping[str, float] | np.ndarray | None = None) -> Latents:
        """Draw z [batch, z_dim], and labels where none are given, for each seed; see `sample`."""
        if not len(seeds) or min(seeds) < 0 or max(seeds) >= 2**32:
            raise BadInput("seeds must be at least one whole number from 0 to 4294967295.")
        array = np.asarray(seeds, np.uint32)
        return Latents(
            array,
            np.asarray(_draw_z(array, self.gan.generator.z_dim)),
            self._labels_of(array, labels),
        )

    def map(self, latents: Latents, truncation: float = 1.0) -> np.ndarray:
        """Layer latents ws [batch, layers, w_dim] of latents, truncated towards the average w."""
        batches = [
            _fetch(_map(self.gan.generator, self.variables, z, labels, np.float32(truncation)))
            for z, labels in self._batches(latents.z, latents.labels)
        ]
        return np.concatenate(batches)[: len(latents)]

    def render(self, latents: Latents, ws: np.ndarray, noise: bool = True) -> Sounds:
        """Make the sounds of layer latents ws [batch, layers, w_dim]; noise and phases come from the latents' seeds."""
        batches = [
            _fetch(_render(self.gan, self.variables, part, seeds, noise))
            for part, seeds in self._batches(ws, latents.seeds)
        ]
        return Sounds(np.concatenate(batches)[: len(latents)], self.sample_rate, latents)

    def _batches(self, *arrays: np.ndarray) -> Any:
        """The arrays side by side in groups of one size, the last group filled up by repeating its last row."""
        size = BATCH * (self.sharding.mesh.size if self.sharding else 1)
        for start in range(0, len(arrays[0]), size):
            rows = np.minimum(np.arange(start, start + size), len(arrays[0]) - 1)
            group = tuple(array[rows] for array in arrays)
            yield group if self.sharding is None else jax.device_put(group, self.sharding)

    def _labels_of(self, seeds: np.ndarray, labels: str | Mapping[str, float] | np.ndarray | None) -> np.ndarray:
        if labels is None:
            return np.asarray(_draw_labels(seeds, len(self.label_names)))
        if isinstance(labels, np.ndarray):
            return np.asarray(labels, np.float32).reshape(len(seeds), len(self.label_names))
        weights = {labels: 1.0} if isinstance(labels, str) else dict(labels)
        unknown = sorted(set(weights) - set(self.label_names))
        if unknown:
            known = ", ".join(self.label_names) if self.label_names else "none, it is trained without labels"
            raise BadInput(f"this run knows no class {', '.join(unknown)}; its classes: {known}.")
        row = np.asarray([weights.get(name, 0.0) for name in self.label_names], np.float32)
        return np.tile(row, (len(seeds), 1))


def load(run: str | Path, step: int | str | None = None) -> Instrument:
    """Load a run directory's EMA generator, ready to play.

    Args:
        run: the run directory; its `config.json` and one checkpoint's EMA item are read, nothing else.
        step: which checkpoint; None is the newest, "best" the one with the best `evaluation.metric`.

    Raises:
        BadInput: the folder is no run directory, has no such checkpoint, or is of a task without a generator.
    """
    config = read_config(run)
    if "generator" not in config:
        raise BadInput(f"{run} holds no generator but a {config['task'].get('kind')}; give the run of a GAN.")
    if isinstance(step, str):
        step = find_step(run, step)
    label_names = tuple(config["labels"]) if config["task"].get("conditional") else ()
    variables, step = load_ema(run, step)
    return Instrument(build_gan(config, len(label_names)), variables, label_names, step)


def _fetch(array: Array) -> np.ndarray:
    """The whole array, of which other processes may hold parts."""
    if array.is_fully_addressable:
        return np.asarray(array)
    from jax.experimental.multihost_utils import process_allgather

    return process_allgather(array, tiled=True)


def _keys(seeds: Array, purpose: int) -> Array:
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(seed), purpose))(seeds)


@functools.partial(jax.jit, static_argnums=1)
def _draw_z(seeds: Array, z_dim: int) -> Array:
    return jax.vmap(lambda key: jax.random.normal(key, (z_dim,)))(_keys(seeds, _Z))


@functools.partial(jax.jit, static_argnums=1)
def _draw_labels(seeds: Array, count: int) -> Array:
    if not count:
        return jnp.zeros((len(seeds), 0))
    return jax.vmap(lambda key: jax.nn.one_hot(jax.random.randint(key, (), 0, count), count))(_keys(seeds, _LABEL))


@functools.partial(jax.jit, static_argnums=0)
def _map(generator: Any, variables: Any, z: Array, labels: Array, truncation: Array) -> Array:
    ws = generator.apply(variables, z, labels if labels.shape[1] else None, method=generator.map)
    return truncate(ws, variables["statistics"]["w_average"], truncation)


@functools.partial(jax.jit, static_argnums=(0, 4))
def _render(gan: Gan, variables: Any, ws: Array, seeds: Array, noise: bool) -> Array:
    keys = _keys(seeds, _NOISE) if noise else None
    x = gan.generator.apply(variables, ws, keys, method=gan.generator.synthesize)
    # One key a sound: the phases a sound starts from must not depend on its neighbours in the batch.
    decode_one = lambda one, key: gan.representation.decode(one[None], key)[0]  # noqa: E731
    return jax.vmap(decode_one)(x, _keys(seeds, _PHASE))
