"""A kind of playable that is no GAN: principal components of log magnitudes, a Gaussian over their scores."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding

from drumgan_jax.audio.representations import build_representation, encode
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import variables_digest
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.latents.labels import Labels
from drumgan_jax.latents.latents import Latents, Sounds
from drumgan_jax.latents.recordings import Recordings, as_trained
from drumgan_jax.play.finish import finish
from drumgan_jax.play.load import KINDS, Kind, PackedFile
from drumgan_jax.runs.config import read_config
from drumgan_jax.systems.decoders import build_decoder

COMPONENTS = 6


@dataclasses.dataclass(frozen=True)
class PcaInstrument:
    """x is mean + scores V; a sound's only latent is its scores."""

    mean: np.ndarray
    directions: np.ndarray
    deviations: np.ndarray
    config: Mapping[str, Any]
    step: int = 1

    kind: ClassVar[str] = "pca"
    label_names: ClassVar[tuple[str, ...]] = ()
    noise_sizes: ClassVar[tuple[tuple[int, int], ...]] = ()
    decoder_digest: ClassVar[None] = None

    @property
    def _decoder(self) -> Any:
        return build_decoder(self.config["decoder"], build_representation(self.config["representation"]))

    @property
    def sample_rate(self) -> int:
        return self._decoder.representation.sample_rate

    @property
    def num_samples(self) -> int:
        return self._decoder.representation.num_samples

    @property
    def latent_shape(self) -> tuple[int, int]:
        return 1, len(self.deviations)

    @property
    def model(self) -> str:
        return variables_digest({"params": {"mean": self.mean, "directions": self.directions}})

    def on_devices(self, sharding: NamedSharding) -> Self:
        return self

    def draw(self, seeds: Sequence[int], labels: Labels | None = None, truncation: float = 1.0) -> Latents:
        scores = np.stack([np.random.default_rng(seed).normal(size=len(self.deviations)) for seed in seeds])
        ws = (truncation * scores * self.deviations).astype(np.float32)[:, None]
        return Latents(np.asarray(seeds, np.uint32), ws, None, np.zeros((len(ws), 0), np.float32), None, self.model)

    def render(self, latents: Latents, noise: Any = True, finished: bool = True) -> Sounds:
        if latents.model != self.model:
            raise BadInput("these latents are of another run or step; play them with the one that made them.")
        decoder = self._decoder
        x = (self.mean + latents.ws[:, 0] @ self.directions).reshape(-1, *decoder.representation.shape)
        keys = jax.vmap(jax.random.key)(jnp.asarray(latents.seeds))
        waveforms = np.asarray(jax.jit(decoder.decode)(jnp.asarray(x, jnp.float32), keys))
        return Sounds(finish(waveforms, self.sample_rate) if finished else waveforms, self.sample_rate, latents)

    def preprocess(self, audio: Recordings, sample_rate: int) -> np.ndarray:
        return as_trained(audio, sample_rate, self.sample_rate, self.num_samples, self.config)

    def encode(self, audio: Recordings, sample_rate: int) -> Latents:
        return self.encode_waveforms(self.preprocess(audio, sample_rate))

    def encode_waveforms(self, waveforms: np.ndarray) -> Latents:
        x = np.asarray(encode(self._decoder.representation, jnp.asarray(waveforms)))
        ws = ((x.reshape(len(x), -1) - self.mean) @ self.directions.T)[:, None]
        return Latents(np.zeros(len(ws), np.uint32), ws, None, np.zeros((len(ws), 0), np.float32), None, self.model)

    def packed(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {}, {name: getattr(self, name) for name in ("mean", "directions", "deviations")}


def write_pca_run(folder: Path, dataset: Dataset, config: Mapping[str, Any]) -> Path:
    """Fit components to a data set, and keep them as a run of task "pca"."""
    x = np.stack([dataset.example("train", item, ("x",))["x"] for item in range(dataset.num_examples("train"))])
    rows = np.asarray(dataset.representation.normalize(jnp.asarray(x))).reshape(len(x), -1)
    _, strengths, directions = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    deviations = strengths[:COMPONENTS] / np.sqrt(len(x))
    np.savez(folder / "pca.npz", mean=rows.mean(axis=0), directions=directions[:COMPONENTS], deviations=deviations)
    return folder


def open_pca_run(run: Path, step: int | str, vocoder: str | os.PathLike[str] | None) -> PcaInstrument:
    with np.load(run / "pca.npz") as file:
        return PcaInstrument(**{name: file[name] for name in file.files}, config=read_config(run))


def unpack_pca(file: PackedFile, vocoder: str | os.PathLike[str] | None) -> PcaInstrument:
    return PcaInstrument(**file.arrays, config=file.config, step=file.step)


KINDS["pca"] = Kind(open_pca_run, unpack_pca)
