"""The baseline of principal components as an instrument: draw, render, encode."""

import dataclasses
import functools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from drumgan_jax.audio.level import check_sounds
from drumgan_jax.audio.representations import build_representation
from drumgan_jax.audio.spectrograms import LogMagnitude
from drumgan_jax.core.errors import BadInput, about
from drumgan_jax.core.keys import Purpose, sound_keys
from drumgan_jax.core.weight_file import FileFormat, read_weights, write_weights
from drumgan_jax.latents.labels import Labels, class_weights
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.latents.recordings import Recordings, as_trained
from drumgan_jax.latents.rendering import in_groups
from drumgan_jax.latents.seeds import check_seeds, labels_of, z_of
from drumgan_jax.play.finish import finish
from drumgan_jax.runs.config import CONFIG_NAME, read_config
from drumgan_jax.runs.identity import check_same
from drumgan_jax.systems.decoders import Decoder, build_decoder
from drumgan_jax.systems.pca_gaussian import IN_HALF, PcaGaussian

Array = jax.Array

# In the run directory.
FITTED = "fitted.npz"
FITTED_FORMAT, _CONFIG = FileFormat("drumgan fit", 1, "drumgan fit"), "config"


@dataclasses.dataclass(frozen=True)
class PcaInstrument:
    """Principal components with a Gaussian per class; a sound's w is its scores, and the encoder is the projection.

    Attributes:
        fitted: the arrays.
        label_names: classes, in the order of the labels; empty for none.
        config: of the run, its representation with statistics.
        sharding: of batches over several devices; None for one.
        source: see Instrument.
    """

    fitted: PcaGaussian
    label_names: tuple[str, ...]
    config: Mapping[str, Any]
    sharding: NamedSharding | None = None
    source: str = ""

    kind: ClassVar[str] = "pca_gaussian"
    # It is fitted in one step.
    step: ClassVar[int] = 1
    noise_sizes: ClassVar[tuple[tuple[int, int], ...]] = ()

    @functools.cached_property
    def decoder(self) -> Decoder:
        """From examples to waveforms."""
        representation = build_representation(self.config["representation"])
        if not isinstance(representation, LogMagnitude):
            raise BadInput("config.representation.kind must be 'log_magnitude' for principal components.")
        if int(np.prod(representation.shape)) != len(self.fitted.mean):
            raise BadInput("its components are of another representation than its config; fit it again.")
        return build_decoder(self.config.get("decoder", {}), representation)

    @property
    def sample_rate(self) -> int:
        """Of every sound, in Hz."""
        rate: int = self.decoder.representation.sample_rate
        return rate

    @property
    def num_samples(self) -> int:
        """Length of every sound."""
        samples: int = self.decoder.representation.num_samples
        return samples

    @property
    def latent_shape(self) -> tuple[int, int]:
        """(1, components)."""
        return 1, len(self.fitted.deviations)

    @functools.cached_property
    def model(self) -> str:
        """Digest of the arrays, by which its latents are known."""
        return self.fitted.digest

    @property
    def decoder_digest(self) -> str | None:
        """Digest of a vocoder's weights; None without one."""
        return self.decoder.digest

    def on_devices(self, sharding: NamedSharding) -> Self:
        """See Playable."""
        return dataclasses.replace(self, sharding=sharding)

    def draw(self, seeds: Sequence[int], labels: Labels | None = None, truncation: float = 1.0) -> Latents:
        """See Instrument.draw; truncation pulls towards the mean of the sound's class."""
        array = check_seeds(seeds)
        if labels is None:
            weights = np.asarray(labels_of(array, len(self.label_names)))
        else:
            weights = class_weights(labels, self.label_names, len(array))
        z = np.asarray(z_of(array, len(self.fitted.deviations)))
        ws = self.fitted.map(z, weights, truncation)[:, None]
        return Latents(array, ws, z if truncation == 1.0 else None, weights, None, self.model)

    def render(self, latents: Latents, noise: Any = True, finished: bool = True) -> Sounds:
        """See Instrument.render; there is no noise to set."""
        if latents.model != self.model:
            raise BadInput("these latents are of another run or step; play them with the one that made them.")
        waveforms = in_groups(
            self.sharding,
            lambda w, seeds: _render(self.decoder, self._arrays, w, seeds),
            latents.ws[:, 0],
            latents.seeds,
        )
        return Sounds(
            finish(waveforms, self.sample_rate, self.config) if finished else waveforms, self.sample_rate, latents
        )

    def preprocess(self, audio: Recordings, sample_rate: int) -> np.ndarray:
        """See Instrument.preprocess."""
        return as_trained(audio, sample_rate, self.sample_rate, self.num_samples, self.config)

    def encode(self, audio: Recordings, sample_rate: int) -> Latents:
        """See Instrument.encode; the scores are the projection."""
        return self.encode_waveforms(self.preprocess(audio, sample_rate))

    def encode_waveforms(self, waveforms: np.ndarray) -> Latents:
        """See Instrument.encode_waveforms."""
        if waveforms.ndim != 2 or waveforms.shape[1] != self.num_samples or not len(waveforms):
            raise BadInput(
                f"waveforms are {list(waveforms.shape)}; give [batch, {self.num_samples}], or encode recordings."
            )
        ws = in_groups(self.sharding, lambda rows: _project(self.decoder, self._arrays, rows), waveforms)
        return Latents(np.zeros(len(ws), np.uint32), ws[:, None], None, None, None, self.model)

    def packed(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """See Playable; the components are kept in half precision."""
        arrays = self.fitted.arrays()
        return {}, {**arrays, **{name: arrays[name].astype(np.float16) for name in IN_HALF}}

    @functools.cached_property
    def _arrays(self) -> PcaGaussian:
        """The arrays on all devices."""
        everywhere = NamedSharding(self.sharding.mesh, PartitionSpec()) if self.sharding is not None else None
        placed = jax.device_put(self.fitted.arrays(), everywhere)
        return PcaGaussian(**placed)


def open_pca_run(run: Path, step: int | str, vocoder: str | os.PathLike[str] | None) -> PcaInstrument:
    """The instrument of a run of `drumgan fit`, which has one step and no vocoder."""
    del step
    _check_no_vocoder(vocoder)
    config = read_config(run)
    fitted, saved = read_fitted(run / FITTED)
    check_same(saved, config, run / CONFIG_NAME, FITTED)
    with about(run / CONFIG_NAME):
        return _checked(PcaInstrument(fitted, tuple(config.get("labels", ())), config))


def read_fitted(path: Path) -> tuple[PcaGaussian, Mapping[str, Any]]:
    """The arrays of a fit, and the config that they belong to.

    Raises:
        BadInput: the file cannot be read, is damaged, or of an earlier version.
    """
    file = read_weights(path, FITTED_FORMAT, "a fit of this version")
    saved = file.header.get(_CONFIG)
    if not isinstance(saved, Mapping):
        raise BadInput(f"{path} has no config in its header; fit the run again.")
    return PcaGaussian.of_arrays(file.arrays), saved


def unpack_pca(
    arrays: Mapping[str, np.ndarray],
    config: Mapping[str, Any],
    label_names: tuple[str, ...],
    vocoder: str | os.PathLike[str] | None,
) -> PcaInstrument:
    """The instrument of a packed file."""
    _check_no_vocoder(vocoder)
    return _checked(PcaInstrument(PcaGaussian.of_arrays(arrays), label_names, config))


def _checked(instrument: PcaInstrument) -> PcaInstrument:
    """The instrument, whose arrays must be of its config's examples and classes."""
    fitted, shape = instrument.fitted, instrument.decoder.representation.shape
    found, wanted = (len(fitted.mean), len(fitted.class_means)), (math.prod(shape), max(1, len(instrument.label_names)))
    if found != wanted:
        raise BadInput(
            f"its arrays are of {found[0]} features and {found[1]} classes, and its config of {wanted[0]} and"
            f" {wanted[1]}; fit it again."
        )
    check_sounds(instrument.config)
    return instrument


def save_fitted(run: Path, fitted: PcaGaussian, config: Mapping[str, Any]) -> None:
    """Write the arrays of a fit, and the config that they belong to, to its run directory, whole or not at all.

    Raises:
        BadInput: they cannot be written.
    """
    write_weights(run / FITTED, FITTED_FORMAT, {_CONFIG: config}, fitted.arrays())


def _check_no_vocoder(vocoder: str | os.PathLike[str] | None) -> None:
    if vocoder:
        raise BadInput("principal components of log magnitudes take no vocoder; leave --vocoder out.")


@functools.partial(jax.jit, static_argnums=0)
def _render(decoder: Decoder, fitted: PcaGaussian, w: Array, seeds: Array) -> Array:
    """Waveforms [batch, samples] of scores w [batch, components]."""
    examples = fitted.synthesize(w).reshape(-1, *decoder.representation.shape)
    return decoder.decode(examples, sound_keys(seeds, Purpose.PHASE))


@functools.partial(jax.jit, static_argnums=0)
def _project(decoder: Decoder, fitted: PcaGaussian, waveforms: Array) -> Array:
    """Scores w [batch, components] of waveforms [batch, samples]."""
    return fitted.project(decoder.representation.encode(waveforms).reshape(len(waveforms), -1))
