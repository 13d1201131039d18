"""A trained GAN as an instrument: draw, render, encode, invert, edit, vary and interpolate."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from drumgan_jax.audio.attributes import NO_ATTRIBUTES, AttributeScale
from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.core.parts import Representation
from drumgan_jax.latents import inversion, movement, rendering
from drumgan_jax.latents.components import NUM_SAMPLES, Components, components_of, kept_components
from drumgan_jax.latents.conditions import Conditions
from drumgan_jax.latents.labels import Labels
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.latents.recordings import Recordings, as_trained
from drumgan_jax.latents.rendering import BATCH
from drumgan_jax.latents.seeds import check_seeds, direction_of, z_of
from drumgan_jax.play.finish import finish
from drumgan_jax.play.packed_gan import pack_gan
from drumgan_jax.runs.config import CONFIG_NAME
from drumgan_jax.systems.encoder import Encoding, OwnEncoder
from drumgan_jax.systems.gan import Gan

__all__ = ["BATCH", "Instrument", "Latents", "Sounds"]

Array = jax.Array

# Folder of a run with the run of its encoder.
ENCODER = "encoder"


@dataclasses.dataclass(frozen=True)
class Instrument:
    """A trained GAN that can be played. All methods that take latents refuse those of another run or step.

    Attributes:
        gan: its parts, at the stage of growth of the step.
        variables: the EMA generator's collections.
        label_names: class names, in the order of the labels.
        step: the training step that it is from.
        config: the run's.
        model: digest of the generator's parameters, by which its latents are known; see `variables_digest`.
        run: the run directory, which holds its encoder and keeps its components; None without.
        own_encoding: the encoder that came with it; None to look for one in the run.
        kept: principal components that are at hand, by the model and their number of samples.
        sharding: of batches over several devices; None for one.
        group: sounds that are made at once a device.
        attributes: that condition it beside the classes, and what their values mean.
        source: address in a bucket or on a hub that it was loaded from, there with the hash of the commit; else empty.
    """

    gan: Gan
    variables: Mapping[str, Any]
    label_names: tuple[str, ...]
    step: int
    config: Mapping[str, Any]
    model: str
    run: Path | None = None
    own_encoding: Encoding | None = None
    kept: dict[tuple[str, int], Components] = dataclasses.field(default_factory=dict)
    sharding: NamedSharding | None = None
    group: int = BATCH
    attributes: AttributeScale = NO_ATTRIBUTES
    source: str = ""

    kind: ClassVar[str] = "gan"

    @property
    def sample_rate(self) -> int:
        """Of every sound, in Hz."""
        return self.gan.representation.sample_rate

    @property
    def num_samples(self) -> int:
        """Length of every sound."""
        return self.gan.representation.num_samples

    @property
    def representation(self) -> Representation:
        """Of its examples."""
        return self.gan.representation

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(layers, w_dim) of a sound's ws."""
        return self.gan.generator.num_ws, self.gan.generator.w_dim

    @property
    def noise_sizes(self) -> tuple[tuple[int, int], ...]:
        """(freq, time) of each layer's noise; empty without noise."""
        sizes: tuple[tuple[int, int], ...] = self.gan.generator.noise_sizes
        return sizes

    @property
    def decoder_digest(self) -> str | None:
        """Digest of the decoder's weights; None if it has none."""
        return self.gan.decoder.digest

    @functools.cached_property
    def conditions(self) -> Conditions:
        """Classes and attributes: the columns of the labels of its latents."""
        return Conditions(
            self.label_names, self.attributes, bool(self.config["task"].get("independent_classes", False))
        )

    @functools.cached_property
    def encoding(self) -> Encoding | None:
        """The encoder, if there is one; read on first use.

        Raises:
            BadInput: it was trained on another generator, or cannot be read.
        """
        if self.gan.encodes:
            return Encoding(OwnEncoder(self.gan.generator), None, self.variables)
        if self.own_encoding is not None or self.run is None or not (self.run / ENCODER / CONFIG_NAME).exists():
            return self.own_encoding
        from drumgan_jax.runs.load import load_encoder

        return load_encoder(self.run / ENCODER, self.gan, len(self.label_names), self.model)

    def on_devices(self, sharding: NamedSharding) -> "Instrument":
        """The same instrument on all devices of a mesh, to make many sounds; `sharding` splits the batch axis."""
        everywhere = NamedSharding(sharding.mesh, PartitionSpec())
        variables = jax.device_put(jax.device_get(self.variables), everywhere)
        return dataclasses.replace(self, variables=variables, sharding=sharding)

    def sample(
        self,
        seeds: Sequence[int],
        truncation: float = 1.0,
        labels: Labels | None = None,
        noise: bool | float | Sequence[float] = True,
    ) -> Sounds:
        """Make one sound for each seed. See `draw` and `render`.

        The same seed gives the same sound in any batch of two or more; alone, the same up to rounding, which the search
        for phases raises to some -80 dB (in the worst of 24 seeds -42 dB).
        """
        return self.render(self.draw(seeds, labels, truncation), noise)

    def draw(self, seeds: Sequence[int], labels: Labels | None = None, truncation: float = 1.0) -> Latents:
        """Latents of seeds.

        Args:
            seeds: whole numbers from 0 to 2^32 - 1.
            labels: a class name; weights of classes and values of attributes by name, such as {"kick": 1.0,
                "brightness": 0.8}; a list with one of these for each sound; or an array [seeds, labels]. Weights are
                relative, unless the run's classes are independent; attributes are ranks among the training recordings.
                What is not given is drawn from the seed.
            truncation: 1 for the whole variety, towards 0 for the average sound (Karras et al. 2019, sec. B), of the
                class where the generator knows it.

        Raises:
            BadInput: a seed is out of range, a class is unknown, weights are negative or all zero, an attribute is not
                from 0 to 1, truncation is not finite, or the generator has no average w to truncate to.
        """
        array = check_seeds(seeds)
        if truncation != 1.0 and not self.gan.generator.truncates:
            raise BadInput("this generator has no average sound to be pulled towards; leave truncation at 1.")
        if not np.isfinite(truncation):
            raise BadInput(f"truncation is {truncation}; it must be a finite number, usually from 0 to 1.")
        weights = self.conditions.rows(labels, array)
        z = np.asarray(z_of(array, self.gan.generator.z_dim))
        ws = self._map(z, weights, truncation)
        return self._latents(array, ws, z if truncation == 1.0 else None, weights)

    def render(self, latents: Latents, noise: bool | float | Sequence[float] = True, finished: bool = True) -> Sounds:
        """Make the sounds of latents.

        Args:
            latents: of this instrument.
            noise: whether the layers' noise is added; or its gain, one for all layers or one for each.
            finished: whether `play.finish.finish` is the last step; False to compare a round trip with a recording.

        Raises:
            BadInput: the latents are of another run or step, or there are more or fewer gains than layers with noise.
        """
        waveforms = self._made(rendering.render, latents, noise)
        return Sounds(
            finish(waveforms, self.sample_rate, self.config) if finished else waveforms, self.sample_rate, latents
        )

    def examples(self, latents: Latents, noise: bool | float | Sequence[float] = True) -> np.ndarray:
        """The examples [batch, freq, time, channels] of which `render` makes the sounds; raises as it does."""
        return self._made(rendering.examples, latents, noise)

    def preprocess(self, audio: Recordings, sample_rate: int) -> np.ndarray:
        """Waveforms [batch, samples] of recordings in the form of the training data; see `recordings.as_trained`."""
        representation = self.gan.representation
        return as_trained(audio, sample_rate, representation.sample_rate, representation.num_samples, self.config)

    def encode(self, audio: Recordings, sample_rate: int) -> Latents:
        """Latents of recordings by the run's encoder, with the noise of seed 0.

        Args:
            audio: [samples] or [samples, channels], or a list of such arrays. Start, length, rate, channels and peak
                are matched to the training data, see `recordings.as_trained`.
            sample_rate: of all recordings, in Hz.

        Raises:
            BadInput: there is no encoder, it was trained on another generator, or a recording is silent, not finite or
                shorter than 5 ms.
        """
        return self.encode_waveforms(self.preprocess(audio, sample_rate))

    def encode_waveforms(self, waveforms: np.ndarray) -> Latents:
        """`encode` for waveforms [batch, samples] in the form of the training data, which are not preprocessed.

        Raises:
            BadInput: there is no encoder, it was trained on another generator, or the waveforms have another length.
        """
        encoding = self.encoding
        if encoding is None:
            raise BadInput(
                "this instrument has no encoder; use invert, which needs none, or train one into the run's folder"
                f" {ENCODER} with a config such as drumgan_vst_encoder."
            )
        rendering.check_waveforms(self.gan, waveforms)
        w = self._in_groups(
            lambda rows: rendering.encode(self.gan, encoding.encoder, encoding.variables, rows), waveforms
        )
        ws = np.repeat(w[:, None], self.gan.generator.num_ws, axis=1)
        return self._latents(np.zeros(len(ws), np.uint32), ws, None, None)

    def invert(
        self,
        audio: Recordings,
        sample_rate: int,
        steps: int = 300,
        starts: int = 4,
        per_layer: bool = False,
        noise: bool = True,
    ) -> Latents:
        """Latents of recordings by optimisation, without an encoder; takes minutes a sound, see `inversion.invert`.

        Args:
            audio, sample_rate: see `encode`.
            steps: of gradient descent, from each start.
            starts: number of random w to start from; the best result is kept.
            per_layer: whether every layer gets a w of its own, which fits better and is edited less well.
            noise: whether the layers' noise is optimised too, or stays that of seed 0.

        Raises:
            BadInput: a recording is silent, not finite or shorter than 5 ms, or a number is out of range.
        """
        return self.invert_waveforms(self.preprocess(audio, sample_rate), steps, starts, per_layer, noise)

    def invert_waveforms(
        self, waveforms: np.ndarray, steps: int = 300, starts: int = 4, per_layer: bool = False, noise: bool = True
    ) -> Latents:
        """`invert` for waveforms [batch, samples] in the form of the training data, which are not preprocessed."""
        rendering.check_waveforms(self.gan, waveforms)
        found = inversion.invert(
            self.gan,
            self.variables,
            len(self.label_names),
            waveforms,
            steps,
            starts,
            per_layer,
            noise,
            self.conditions.typical,
        )
        noises = found.noises if noise and found.noises else None
        return self._latents(np.zeros(len(waveforms), np.uint32), found.ws, None, None, noises)

    def vary(self, latents: Latents, amount: float | np.ndarray, direction: int) -> Latents:
        """Similar sounds: a step in a random direction among the sounds of the same labels; see `movement.vary`.

        Args:
            latents: of this instrument. If their labels are unknown, the direction weighs all classes alike.
            amount: length of the step, one for all sounds or [batch]: 0 changes nothing, 1 is the distance of a random
                sound from the average.
            direction: seed of the direction.

        Raises:
            BadInput: the latents are of another run or step, the direction is not a seed, or amounts do not fit.
        """
        self._check(latents)
        if not 0 <= direction < 2**32:
            raise BadInput(f"direction is {direction}; it is a seed, a whole number from 0 to 4294967295.")
        labels = latents.labels
        if labels is None:
            labels = np.tile(self.conditions.neutral, (len(latents), 1))
        pair = direction_of(np.uint32(direction), self.gan.generator.z_dim)
        first, second = (self._map(np.tile(np.asarray(z), (len(labels), 1)), labels) for z in pair)
        ws = movement.vary(latents.ws, amount, first, second)
        return self._latents(latents.seeds, ws, None, latents.labels, latents.noises)

    def interpolate(
        self,
        a: Latents,
        b: Latents,
        n: int,
        space: str = "w",
        how: str = "linear",
        layers: tuple[int, int] | None = None,
    ) -> Latents:
        """`n` sounds from one to another; the first is a and, without `layers`, the last is b.

        Args:
            a, b: latents of one sound each.
            n: number of sounds, both ends included.
            space: space of the path, "w" or "z"; in "z" labels change linearly. The two are the same if w is z joined
                with labels.
            how: "linear", or "spherical": on a great circle around zero in z, around the average w in w.
            layers: (start, stop): only these layers go from a to b, the others stay a's (style transfer).

        Raises:
            BadInput: the latents are of another run or step or not of one sound, `n` is below 2, a name is unknown, the
                layers do not exist, or z is unknown (truncated, edited or encoded latents).
        """
        self._check(a, b)
        if len(a) != 1 or len(b) != 1 or n < 2:
            raise BadInput(f"interpolate goes from one sound to one other in 2 or more; not {len(a)}, {len(b)} in {n}.")
        if space not in ("w", "z") or how not in ("linear", "spherical"):
            raise BadInput(
                f"interpolate knows w or z, and linear or spherical, but not {shown(space)} and {shown(how)}."
            )
        way = movement.linear if how == "linear" else movement.spherical
        t = np.linspace(0.0, 1.0, n)
        z = labels = None
        if a.labels is not None and b.labels is not None:
            labels = movement.linear(a.labels[0], b.labels[0], t)
        if a.z is not None and b.z is not None and (space == "z" or not self.gan.generator.learns_w):
            z = way(a.z[0], b.z[0], t)
            ws = self._map(z, np.asarray(labels))
            ws[0], ws[-1] = a.ws[0], b.ws[0]
        elif space == "z":
            raise BadInput("z of these latents is not known (truncated, edited or encoded); interpolate in w.")
        elif how == "linear":
            ws = movement.linear(a.ws[0], b.ws[0], t)
        else:
            ws = movement.spherical(a.ws[0], b.ws[0], t, self._average)
        if layers is not None:
            ws = movement.on_layers(np.repeat(a.ws, n, axis=0), ws, layers)
            noises = None if a.noises is None else tuple(np.repeat(noise, n, axis=0) for noise in a.noises)
            return self._latents(np.repeat(a.seeds, n), ws, None, None, noises)
        noises = movement.noises_between(a, b, self.noise_sizes, t)
        return self._latents(np.append(np.repeat(a.seeds, n - 1), b.seeds), ws, z, labels, noises)

    def components(
        self, count: int | None = None, num_samples: int = NUM_SAMPLES, *, randomised: bool = False
    ) -> Components:
        """Principal components of w, the strongest first; computed once and then kept in the run directory.

        Args:
            count: number of components; None for all.
            num_samples: number of random w that they are computed from.
            randomised: whether to find `count` of them sooner and nearly exact (see `principal_components`), for very
                many samples; they are not kept.

        Raises:
            BadInput: there are not as many, or fewer than two samples.
        """
        find = functools.partial(
            components_of,
            self.gan.generator,
            self.variables,
            len(self.label_names),
            num_samples,
            typical=self.conditions.typical,
        )
        if randomised:
            return find(count, randomised=True)
        key = self.model, num_samples
        if key not in self.kept:
            path = self.run and self.run / f"components-{self.step}-{num_samples}.npz"
            self.kept[key] = kept_components(path, self.model, find)
        return self.kept[key] if count is None else self.kept[key].first(count)

    def edit(
        self, latents: Latents, component: int, amount: float | np.ndarray, layers: tuple[int, int] | None = None
    ) -> Latents:
        """ws moved along a principal component, after truncation, by `amount` standard deviations (GANSpace).

        Args:
            latents: of this instrument.
            component: its number, from 0; see `components`.
            amount: of all sounds, or [batch]; may be negative.
            layers: (start, stop) of the layers that move; None for all.

        Raises:
            BadInput: the latents are of another run or step, or there is no such component, layer or amount.
        """
        self._check(latents)
        found = self.components()
        if not 0 <= component < len(found):
            raise BadInput(f"there is no component {component}; there are {len(found)}, numbered from 0.")
        step = found.deviations[component] * found.directions[component]
        ws = movement.step_along(latents.ws, step, amount, layers)
        return self._latents(latents.seeds, ws, None, latents.labels, latents.noises)

    def packed(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """See Playable."""
        return pack_gan(self)

    def _latents(
        self,
        seeds: np.ndarray,
        ws: np.ndarray,
        z: np.ndarray | None,
        labels: np.ndarray | None,
        noises: tuple[np.ndarray, ...] | None = None,
    ) -> Latents:
        """Latents of this model, with z and labels by the map's inverse if it has one."""
        if not self.gan.generator.learns_w:
            z, labels = map(np.asarray, self.gan.generator.unmap(ws))
        return Latents(seeds, ws, z, labels, noises, self.model)

    def _made(self, make: Callable[..., Array], latents: Latents, noise: bool | float | Sequence[float]) -> np.ndarray:
        """What `rendering.render` or `rendering.examples` makes of latents."""
        self._check(latents)
        gains = rendering.noise_gains(noise, len(self.noise_sizes))
        noises = None if gains is None else latents.noises
        return self._in_groups(
            lambda *rows: make(self.gan, self.variables, gains, *rows), latents.ws, latents.seeds, noises
        )

    def _check(self, *all_latents: Latents) -> None:
        if any(latents.model != self.model for latents in all_latents):
            raise BadInput("these latents are of another run or step; play them with the one that made them.")
        size = self.gan.generator.z_dim
        if odd := [one.z.shape for one in all_latents if one.z is not None and one.z.shape[1:] != (size,)]:
            raise BadInput(f"the z of these latents is {list(odd[0])}, and this generator takes {size} numbers each.")

    def _map(self, z: np.ndarray, labels: np.ndarray, truncation: float = 1.0) -> np.ndarray:
        """ws [batch, layers, w_dim] of z and labels."""
        psi = np.float32(truncation)
        return self._in_groups(lambda *rows: rendering.map_to_ws(self.gan, self.variables, psi, *rows), z, labels)

    def _in_groups(self, function: Callable[..., Any], *rows: Any) -> np.ndarray:
        return rendering.in_groups(self.sharding, function, *rows, group=self.group)

    @property
    def _average(self) -> np.ndarray:
        """The average of w [layers, w_dim], of a generator with a mapping."""
        z = np.zeros((1, self.gan.generator.z_dim), np.float32)
        return self._map(z, np.zeros((1, len(self.conditions.names)), np.float32), 0.0)[0]
