"""The task of a vocoder on the waveforms of a data set, against a discriminator at several scales."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import Mesh

from drumgan_jax.audio.spectral_distance import bass_distance, multi_scale_spectral_loss
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import StateLayout, replicated, shard_batch
from drumgan_jax.core.settings import build_part, read_section, read_seed, require_real, require_whole
from drumgan_jax.data.dataset import Dataset, open_dataset
from drumgan_jax.evaluation.reconstruction import log_spectral_distance, spectral_convergence
from drumgan_jax.networks.melgan import Discriminator
from drumgan_jax.objectives.feature_matching import discriminator_loss, feature_matching_loss, generator_loss
from drumgan_jax.runs.settings import AdamSettings, EvaluationSettings, TrainSettings
from drumgan_jax.systems.vocoder import Vocoder, build_vocoder
from drumgan_jax.training.averages import ema_decay, lazy_adam, lerp, tree_norm
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics, Summary

Array = jax.Array
KEYS = ("waveforms",)
PLAYERS = ("generator", "discriminator")
# Purposes of random keys.
INIT, CROP, PHASES = range(3)

# Modules from waveforms [batch, samples] to what objectives.feature_matching judges by.
DISCRIMINATORS: dict[str, type[nn.Module]] = {"multi_scale": Discriminator}

# Of each pair of waveforms [batch, samples], original and made; less is better.
FIGURES = {
    "multi_scale_spectral": multi_scale_spectral_loss,
    "log_spectral_distance": log_spectral_distance,
    # The only one in which the loudest partials weigh most: without the body of a kick the others are hardly worse.
    "spectral_convergence": spectral_convergence,
}


@flax.struct.dataclass
class VocoderState:
    """Everything that training goes on from.

    Attributes:
        step: steps done [].
        seed: the run's seed [].
        generator: the vocoder's parameters.
        discriminator: the discriminator's.
        generator_optimizer: Adam's moments.
        discriminator_optimizer: likewise.
        ema: moving averages of the vocoder, {"params"}.
    """

    step: Array
    seed: Array
    generator: Any
    discriminator: Any
    generator_optimizer: Any
    discriminator_optimizer: Any
    ema: Any


@dataclasses.dataclass(frozen=True)
class VocoderTaskSettings:
    """Section `task`.

    Attributes:
        crop_frames: frames of the stretch that is taken of each example, at a place that is drawn anew each step.
        matching_weight: of the distance of the discriminator's features.
        spectral_weight: of the multi-scale spectral distance, which leads where training is short; 0 for none.
        bass_weight: of the distance of magnitudes below 1 kHz, without which a short training leaves out the body of
            a kick; 0 for none.
        warmup_images: examples before the discriminator joins; until then the vocoder is trained by these two
            distances alone, in a third of the time.
    """

    crop_frames: int
    matching_weight: float = 10.0
    spectral_weight: float = 0.0
    bass_weight: float = 0.0
    warmup_images: int = 0

    def __post_init__(self) -> None:
        require_whole("task", self, 1, "crop_frames")
        require_whole("task", self, 0, "warmup_images")
        require_real("task", self, 0, 1_000_000, "matching_weight", "spectral_weight", "bass_weight")
        if self.warmup_images and not self.spectral_weight:
            raise BadInput("config.task.warmup_images needs config.task.spectral_weight above 0; set both or neither.")


def build_vocoder_task(config: Mapping[str, Any], mesh: Mesh) -> "VocoderTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, or crops are longer than examples.
    """
    section = {name: value for name, value in config["task"].items() if name != "kind"}
    task = read_section({"task": section}, "task", VocoderTaskSettings)
    settings = read_section(config, "train", TrainSettings)
    if settings.accumulation != 1:
        raise BadInput(f"config.train.accumulation is {settings.accumulation}; a vocoder takes 1 only.")
    if settings.compute_dtype not in ("auto", "float32"):
        raise BadInput(f"config.train.compute_dtype is {settings.compute_dtype!r}; a vocoder takes float32 only.")
    vocoder = build_vocoder(config)
    if task.crop_frames > vocoder.representation.num_frames:
        raise BadInput(
            f"config.task.crop_frames is {task.crop_frames}, more than the {vocoder.representation.num_frames} frames"
            " of an example; lower it."
        )
    discriminator: Any = build_part(DISCRIMINATORS, config.get("discriminator", {}), "discriminator")
    crop = jax.ShapeDtypeStruct((1, task.crop_frames * vocoder.representation.hop_length), jnp.float32)
    try:
        jax.eval_shape(discriminator.init, jax.random.key(0), crop)
    # What sizes that are none come to inside the network.
    except (ArithmeticError, AssertionError, IndexError, TypeError, ValueError) as problem:
        raise BadInput(
            f"config.discriminator cannot be built with these values ({str(problem).splitlines()[0]})."
        ) from problem
    return VocoderTask(
        vocoder=vocoder,
        discriminator=discriminator,
        task=task,
        settings=settings,
        adam={player: read_section(config, f"optimizer.{player}", AdamSettings) for player in PLAYERS},
        data_dir=config["data"]["dir"],
        num_summary=config["logging"]["num_samples"],
        evaluation=read_section(config, "evaluation", EvaluationSettings),
        seed=read_seed(config),
        mesh=mesh,
    )


class VocoderTask:
    """Steps of a discriminator on recordings and what the vocoder makes of their mel bands, then of the vocoder.

    One iteration, as in MelGAN's release: crops at random places; the discriminator's step; the vocoder's, judged by
    the new discriminator, whose features of its sounds are compared with those that the old one had of the recordings.

    Args:
        vocoder: the parts.
        discriminator: a linen module, see DISCRIMINATORS.
        task: section `task`.
        settings: section `train`.
        adam: each player's optimiser settings.
        data_dir: the data set that summaries are of.
        num_summary: sounds in a summary.
        evaluation: section `evaluation`.
        seed: the run's seed.
        mesh: the devices.
    """

    def __init__(
        self,
        vocoder: Vocoder,
        discriminator: nn.Module,
        task: VocoderTaskSettings,
        settings: TrainSettings,
        adam: Mapping[str, AdamSettings],
        data_dir: str,
        num_summary: int,
        evaluation: EvaluationSettings,
        seed: int,
        mesh: Mesh,
    ):
        self._vocoder = vocoder
        self._discriminator = discriminator
        self._task = task
        self._settings = settings
        self._rates = {f"learning_rate/{player}": adam[player].learning_rate for player in PLAYERS}
        self._optimizers = {player: lazy_adam(adam[player], ()) for player in PLAYERS}
        self._data_dir = data_dir
        self._num_summary = num_summary
        self._evaluation = evaluation
        self._seed = seed
        self._mesh = mesh

        self._layout = StateLayout(mesh, self._init)
        self._advance = self._layout.compile_step(self._stepped)
        self._warm_up = self._layout.compile_step(self._warmed)
        whole = replicated(mesh)
        self._remake = jax.jit(self._remade, out_shardings=whole)
        self._invert = jax.jit(self._inverted, out_shardings=whole)

    @property
    def keys(self) -> tuple[str, ...]:
        """The parts of a batch that a step reads."""
        return KEYS

    @property
    def shapes(self) -> VocoderState:
        """The state as jax.ShapeDtypeStruct with shardings."""
        return self._layout.shapes

    def init(self) -> VocoderState:
        """The state before the first step."""
        return self._layout.make()

    def step(self, state: VocoderState, batch: Mapping[str, Array], step: int) -> tuple[VocoderState, Metrics]:
        """One iteration; see drumgan_jax.training.task."""
        warm = step * self._settings.batch_size < self._task.warmup_images
        state, metrics = (self._warm_up if warm else self._advance)(state, dict(batch))
        return state, metrics | self._rates

    def lower(self, batch: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.stages.Lowered]:
        """Both steps by name, lowered for the mesh from the batch's shapes alone; nothing is allocated or compiled."""
        phases = {"warmup": self._warm_up, "adversarial": self._advance}
        return {name: phase.lower(self._layout.shapes, dict(batch)) for name, phase in phases.items()}

    def summarize(self, state: VocoderState) -> Summary:
        """Recordings of the data set, each followed by what the moving average makes of its mel bands."""
        dataset = open_dataset(self._data_dir)
        count = max(1, self._num_summary // 2)
        made = list(self._pairs(functools.partial(self._remake, state.ema), dataset, dataset.held_out, count))
        pairs = np.concatenate([np.stack([original, again], axis=1) for original, again, _ in made])
        return Summary(pairs.reshape(-1, pairs.shape[-1]), self._vocoder.representation.sample_rate)

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores what the moving average makes of recordings' mel bands by FIGURES, under "vocoder/".

        Beside them, under "griffin_lim/", what mel inversion and Griffin-Lim make of the same, which does not change.
        Recordings are of the split "test", or of "train" where there is none.
        """
        split, count = dataset.held_out, self._evaluation.num_samples
        count = min(count, dataset.num_examples(split))
        constant = _means(self._pairs(self._invert, dataset, split, count))

        def evaluate(state: VocoderState) -> Evaluation:
            found = _means(self._pairs(functools.partial(self._remake, state.ema), dataset, split, count))
            scores = {f"vocoder/{name}": value for name, value in found.items()}
            scores |= {f"griffin_lim/{name}": value for name, value in constant.items()}
            return Evaluation(scores, {"split": split, "sounds": count, **scores})

        return evaluate

    # Compiled parts

    def _init(self) -> VocoderState:
        keys = [jax.random.fold_in(self._key(jnp.asarray(self._seed, jnp.uint32), INIT), i) for i in range(2)]
        params = self._vocoder.init(keys[0])["params"]
        crop = self._task.crop_frames * self._vocoder.representation.hop_length
        critic = self._discriminator.init(keys[1], jnp.zeros((1, crop)))["params"]
        return VocoderState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(self._seed, jnp.uint32),
            generator=params,
            discriminator=critic,
            generator_optimizer=self._optimizers["generator"].init(params),
            discriminator_optimizer=self._optimizers["discriminator"].init(critic),
            ema={"params": params},
        )

    def _stepped(self, state: VocoderState, batch: dict[str, Array]) -> tuple[VocoderState, Metrics]:
        features, real = self._crops(state, batch)
        fake, back = jax.vjp(lambda params: self._vocoder.synthesize({"params": params}, features), state.generator)

        (loss, (judged, scores)), gradient = jax.value_and_grad(self._discriminator_loss, has_aux=True)(
            state.discriminator, real, fake
        )
        metrics = {"loss/discriminator": loss, **scores}
        critic, critic_optimizer, norms = self._improve("discriminator", state, gradient)
        metrics |= norms

        by_fake, losses = jax.grad(self._generator_loss, has_aux=True)(fake, real, judged, critic)
        metrics |= losses
        (gradient,) = back(by_fake)
        state = dataclasses.replace(state, discriminator=critic, discriminator_optimizer=critic_optimizer)
        state, norms = self._with_generator(state, gradient)
        return state, metrics | norms

    def _warmed(self, state: VocoderState, batch: dict[str, Array]) -> tuple[VocoderState, Metrics]:
        """As `_stepped`, without the discriminator."""
        features, real = self._crops(state, batch)

        def loss(params: Any) -> tuple[Array, Metrics]:
            return self._distance(real, self._vocoder.synthesize({"params": params}, features))

        gradient, losses = jax.grad(loss, has_aux=True)(state.generator)
        state, norms = self._with_generator(state, gradient)
        return state, losses | norms

    def _with_generator(self, state: VocoderState, gradient: Any) -> tuple[VocoderState, Metrics]:
        """The next state once the generator's gradient is known, and the norms of its step."""
        params, optimizer, norms = self._improve("generator", state, gradient)
        s = self._settings
        keep = ema_decay(state.step, s.batch_size, s.ema_half_life_images, s.ema_rampup)
        ema = lerp(state.ema, {"params": params}, keep)
        changed = {"generator": params, "generator_optimizer": optimizer, "ema": ema}
        return dataclasses.replace(state, step=state.step + 1, **changed), norms

    def _crops(self, state: VocoderState, batch: Mapping[str, Array]) -> tuple[Array, Array]:
        """Features [batch, bands, crop, 1] at random places of waveforms, and the samples [batch, ...] they are of."""
        waveforms, key = batch["waveforms"], jax.random.fold_in(self._key(state.seed, CROP), state.step)
        shown, crop = self._vocoder.representation, self._task.crop_frames
        starts = jax.random.randint(key, (len(waveforms),), 0, shown.num_frames - crop + 1)
        # Of the whole, not of the crop: no crop but those at the ends has mirrored samples in its frames.
        features = jax.vmap(lambda row, start: jax.lax.dynamic_slice_in_dim(row, start, crop, 1))(
            shown.transform(waveforms), starts
        )
        hop = shown.hop_length
        samples = jax.vmap(lambda row, start: jax.lax.dynamic_slice_in_dim(row, hop * start, hop * crop))(
            waveforms, starts
        )
        return features, samples

    def _discriminator_loss(self, params: Any, real: Array, fake: Array) -> tuple[Array, tuple[Any, Metrics]]:
        both = self._discriminator.apply({"params": params}, jnp.concatenate([real, fake]))
        of_real, of_fake = (jax.tree.map(lambda layer, half=half: jnp.split(layer, 2)[half], both) for half in range(2))
        scores = {
            f"score/{name}": jnp.mean(jnp.concatenate([scale[-1].ravel() for scale in judged]))
            for name, judged in (("real", of_real), ("fake", of_fake))
        }
        return discriminator_loss(of_real, of_fake), (of_real, scores)

    def _generator_loss(self, fake: Array, real: Array, judged: Any, critic: Any) -> tuple[Array, Metrics]:
        of_fake: Any = self._discriminator.apply({"params": critic}, fake)
        losses = {
            "loss/adversarial": generator_loss(of_fake),
            "loss/matching": feature_matching_loss(judged, of_fake),
        }
        distance, distances = self._distance(real, fake)
        total = losses["loss/adversarial"] + self._task.matching_weight * losses["loss/matching"] + distance
        return total, {"loss/generator": total, **losses, **distances}

    def _distance(self, real: Array, fake: Array) -> tuple[Array, Metrics]:
        """The weighted sum of what leads without a discriminator, and each."""
        rate = self._vocoder.representation.sample_rate
        losses = {
            "loss/spectral": jnp.mean(multi_scale_spectral_loss(real, fake)),
            "loss/bass": jnp.mean(bass_distance(real, fake, rate)),
        }
        weights = (self._task.spectral_weight, self._task.bass_weight)
        # A distance that weighs nothing has no gradient to compute.
        weighed = [weight * loss for weight, loss in zip(weights, losses.values(), strict=True) if weight]
        return sum(weighed, jnp.zeros(())), losses

    def _improve(self, player: str, state: VocoderState, gradient: Any) -> tuple[Any, Any, Metrics]:
        """A player's parameters and optimiser after one step, and the norms of it."""
        params = getattr(state, player)
        updates, optimizer = self._optimizers[player].update(gradient, getattr(state, f"{player}_optimizer"), params)
        norms = {f"norm/{player}_gradient": tree_norm(gradient), f"norm/{player}_update": tree_norm(updates)}
        return optax.apply_updates(params, updates), optimizer, norms

    def _remade(self, variables: Any, waveforms: Array) -> tuple[Array, Array]:
        """What a vocoder makes of waveforms' mel bands [batch, samples], and its FIGURES [figures, batch]."""
        waveforms = shard_batch(waveforms, self._mesh)
        made = self._vocoder.render(variables, self._vocoder.representation.transform(waveforms))
        return made, _figures(waveforms, made)

    def _inverted(self, waveforms: Array) -> tuple[Array, Array]:
        """As `_remade`, by mel inversion and Griffin-Lim."""
        waveforms, shown = shard_batch(waveforms, self._mesh), self._vocoder.representation
        key = self._key(jnp.asarray(self._seed, jnp.uint32), PHASES)
        made = shown.decode(shown.encode(waveforms), key)
        return made, _figures(waveforms, made)

    def _key(self, seed: Array, purpose: int) -> Array:
        return jax.random.fold_in(jax.random.key(seed), purpose)

    # On the host

    def _pairs(
        self, remake: Callable[[np.ndarray], tuple[Array, Array]], dataset: Dataset, split: str, count: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """`count` recordings, what is made of them [sounds, samples], and FIGURES [figures, sounds]; group by group."""
        size = self._settings.batch_size
        for waveforms in dataset.waveforms(split, count, size):
            made, figures = remake(waveforms[np.arange(size) % len(waveforms)])
            yield waveforms, np.asarray(made)[: len(waveforms)], np.asarray(figures)[:, : len(waveforms)]


def _figures(original: Array, made: Array) -> Array:
    return jnp.stack([function(original, made) for function in FIGURES.values()])


def _means(pairs: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Means of FIGURES over all pairs."""
    figures = np.concatenate([np.asarray(of_pairs, np.float64) for _, _, of_pairs in pairs], axis=1)
    return dict(zip(FIGURES, figures.mean(axis=1).tolist(), strict=True))
