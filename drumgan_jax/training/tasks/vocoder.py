"""The task that trains a vocoder on the waveforms of a data set, against a discriminator at several scales."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.sharding import Mesh

from drumgan_jax.audio.spectral_distance import bass_distance, multi_scale_spectral_loss
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.keys import Purpose, run_key, sound_keys
from drumgan_jax.core.mesh import replicated, shard_batch
from drumgan_jax.core.settings import build_part, check_shapes, real, whole
from drumgan_jax.data.dataset import Dataset, open_dataset
from drumgan_jax.evaluation.reconstruction import log_spectral_distance, spectral_convergence
from drumgan_jax.networks.melgan import Discriminator
from drumgan_jax.objectives.feature_matching import discriminator_loss, feature_matching_loss, generator_loss
from drumgan_jax.systems.decoders import build_decoder
from drumgan_jax.systems.vocoder import Vocoder, build_vocoder
from drumgan_jax.training.optimization import Player, moving_average
from drumgan_jax.training.task import Evaluation, Evaluator, Metrics, Summary
from drumgan_jax.training.tasks.skeleton import TaskContext, TaskSkeleton

Array = jax.Array
KEYS = ("waveforms",)
PLAYERS = ("generator", "discriminator")

# Modules from waveforms [batch, samples] to the layers' outputs that objectives.feature_matching takes.
DISCRIMINATORS: dict[str, type[nn.Module]] = {"multi_scale": Discriminator}

# Distances [batch] of pairs of waveforms [batch, samples], original and vocoded; lower is better.
FIGURES = {
    "multi_scale_spectral": multi_scale_spectral_loss,
    "log_spectral_distance": log_spectral_distance,
    # The only one dominated by the loudest partials: the others hardly notice a kick without its body.
    "spectral_convergence": spectral_convergence,
}


@flax.struct.dataclass
class VocoderState:
    """The whole state of a training run.

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
        crop_frames: frames of each example that a step trains on, at a random place.
        matching_weight: weight of the feature-matching loss.
        spectral_weight: weight of the multi-scale spectral distance, which short trainings need; 0 for none.
        bass_weight: weight of the distance of magnitudes below 1 kHz, without which a short training loses the body of
            a kick; 0 for none.
        warmup_images: examples before the discriminator joins. Until then the vocoder is trained by these two distances
            only, in a third of the time.
    """

    crop_frames: int = whole(1)
    matching_weight: float = real(0.0, 1_000_000, 10.0)
    spectral_weight: float = real(0.0, 1_000_000, 0.0)
    bass_weight: float = real(0.0, 1_000_000, 0.0)
    warmup_images: int = whole(0, 0)

    def __post_init__(self) -> None:
        if self.warmup_images and not self.spectral_weight:
            raise BadInput("config.task.warmup_images needs config.task.spectral_weight above 0; set both or neither.")


def build_vocoder_task(config: Mapping[str, Any], mesh: Mesh) -> "VocoderTask":
    """The task of a frozen config (drumgan_jax.training.run).

    Raises:
        BadInput: a section is unfit, or crops are longer than examples.
    """
    context = TaskContext.of(config, mesh)
    task = context.task_settings(VocoderTaskSettings)
    context.require_whole_float32_batches("a vocoder")
    vocoder = build_vocoder(config)
    if task.crop_frames > vocoder.representation.num_frames:
        raise BadInput(
            f"config.task.crop_frames is {task.crop_frames}, more than the {vocoder.representation.num_frames} frames"
            " of an example; lower it."
        )
    discriminator: Any = build_part(DISCRIMINATORS, config.get("discriminator", {}), "discriminator")
    crop = jax.ShapeDtypeStruct((1, task.crop_frames * vocoder.representation.hop_length), jnp.float32)
    check_shapes("discriminator", discriminator.init, crop)
    return VocoderTask(context, vocoder, discriminator, task)


@dataclasses.dataclass(frozen=True, eq=False)
class VocoderTask(TaskSkeleton):
    """Steps of a discriminator on recordings and the vocoder's versions of them, then of the vocoder.

    One iteration, as in MelGAN's release: crops at random places; the discriminator's step; the vocoder's, against the
    new discriminator, whose features of its sounds are compared with those that the old one had of the recordings.

    Attributes:
        context: see TaskContext.
        vocoder: the parts.
        discriminator: a linen module, see DISCRIMINATORS.
        task: section `task`.
    """

    vocoder: Vocoder
    discriminator: nn.Module
    task: VocoderTaskSettings

    keys: ClassVar[tuple[str, ...]] = KEYS

    @functools.cached_property
    def players(self) -> dict[str, Player]:
        """Both networks' optimisers, by name."""
        return {player: self.context.player(player) for player in PLAYERS}

    @functools.cached_property
    def compiled_steps(self) -> dict[str, Any]:
        """The step without the discriminator, and the one with it."""
        return {
            "warmup": self.layout.compile_step(self._warmed),
            "adversarial": self.layout.compile_step(self._stepped),
        }

    def step(self, state: VocoderState, batch: Mapping[str, Array], step: int) -> tuple[VocoderState, Metrics]:
        """One iteration; see drumgan_jax.training.task."""
        images = step * self.context.settings.batch_size
        name = "warmup" if images < self.task.warmup_images else "adversarial"
        state, metrics = self.compiled_steps[name](state, dict(batch))
        for player in self.players.values():
            metrics |= player.learning_rate(images)
        return state, metrics

    def summarize(self, state: VocoderState) -> Summary:
        """Recordings of the data set, each followed by the moving average's version of its mel bands."""
        dataset = open_dataset(self.context.config["data"]["dir"])
        count = max(1, self.context.num_summary // 2)
        made = list(self._pairs(functools.partial(self._remake, state.ema), dataset, dataset.held_out, count))
        pairs = np.concatenate([np.stack([original, again], axis=1) for original, again, _ in made])
        return Summary(pairs.reshape(-1, pairs.shape[-1]), self.vocoder.representation.sample_rate)

    def evaluator(self, dataset: Dataset) -> Evaluator:
        """Scores the moving average's versions of recordings' mel bands by FIGURES, under "vocoder/".

        Beside them, under "griffin_lim/", those of mel inversion and Griffin-Lim, which do not change. Recordings are
        of the split "test", or of "train" if there is none.
        """
        split, count = dataset.held_out, self.context.evaluation.num_samples
        count = min(count, dataset.num_examples(split))
        constant = _means(self._pairs(self._invert, dataset, split, count))

        def evaluate(state: VocoderState) -> Evaluation:
            found = _means(self._pairs(functools.partial(self._remake, state.ema), dataset, split, count))
            scores = {f"vocoder/{name}": value for name, value in found.items()}
            scores |= {f"griffin_lim/{name}": value for name, value in constant.items()}
            return Evaluation(scores, {"split": split, "sounds": count, **scores})

        return evaluate

    def initial_state(self) -> VocoderState:
        """See TaskSkeleton."""
        seed = self.context.seed
        params = self.vocoder.init(run_key(seed, Purpose.GENERATOR_INIT))["params"]
        crop = self.task.crop_frames * self.vocoder.representation.hop_length
        critic = self.discriminator.init(run_key(seed, Purpose.DISCRIMINATOR_INIT), jnp.zeros((1, crop)))["params"]
        return VocoderState(
            step=jnp.zeros((), jnp.int32),
            seed=jnp.asarray(seed, jnp.uint32),
            generator=params,
            discriminator=critic,
            generator_optimizer=self.players["generator"].init(params),
            discriminator_optimizer=self.players["discriminator"].init(critic),
            ema={"params": params},
        )

    def _stepped(self, state: VocoderState, batch: dict[str, Array]) -> tuple[VocoderState, Metrics]:
        features, real = self._crops(state, batch)
        fake, back = jax.vjp(lambda params: self.vocoder.synthesize({"params": params}, features), state.generator)

        (loss, (judged, scores)), gradient = jax.value_and_grad(self._discriminator_loss, has_aux=True)(
            state.discriminator, real, fake
        )
        metrics = {"loss/discriminator": loss, **scores}
        state, norms = self._descend("discriminator", state, gradient)
        metrics |= norms

        by_fake, losses = jax.grad(self._generator_loss, has_aux=True)(fake, real, judged, state.discriminator)
        metrics |= losses
        (gradient,) = back(by_fake)
        state, norms = self._with_generator(state, gradient)
        return state, metrics | norms

    def _warmed(self, state: VocoderState, batch: dict[str, Array]) -> tuple[VocoderState, Metrics]:
        """One step without the discriminator."""
        features, real = self._crops(state, batch)

        def loss(params: Any) -> tuple[Array, Metrics]:
            return self._distance(real, self.vocoder.synthesize({"params": params}, features))

        gradient, losses = jax.grad(loss, has_aux=True)(state.generator)
        state, norms = self._with_generator(state, gradient)
        return state, losses | norms

    def _with_generator(self, state: VocoderState, gradient: Any) -> tuple[VocoderState, Metrics]:
        """The next state of the whole step, by the generator's gradient, and norms."""
        state, norms = self._descend("generator", state, gradient)
        ema = moving_average(self.context.settings, state.step, state.ema, {"params": state.generator})
        return dataclasses.replace(state, step=state.step + 1, ema=ema), norms

    def _crops(self, state: VocoderState, batch: Mapping[str, Array]) -> tuple[Array, Array]:
        """Mel bands [batch, bands, crop, 1] at random places of waveforms, and their samples [batch, crop * hop]."""
        waveforms, key = batch["waveforms"], run_key(state.seed, Purpose.CROP, state.step)
        shown, crop = self.vocoder.representation, self.task.crop_frames
        starts = jax.random.randint(key, (len(waveforms),), 0, shown.num_frames - crop + 1)
        # Transformed before cropping: only crops at the ends of a waveform have mirrored samples in their frames.
        features = jax.vmap(lambda row, start: jax.lax.dynamic_slice_in_dim(row, start, crop, 1))(
            shown.transform(waveforms), starts
        )
        hop = shown.hop_length
        samples = jax.vmap(lambda row, start: jax.lax.dynamic_slice_in_dim(row, hop * start, hop * crop))(
            waveforms, starts
        )
        return features, samples

    def _discriminator_loss(self, params: Any, real: Array, fake: Array) -> tuple[Array, tuple[Any, Metrics]]:
        both = self.discriminator.apply({"params": params}, jnp.concatenate([real, fake]))
        of_real, of_fake = (jax.tree.map(lambda layer, half=half: jnp.split(layer, 2)[half], both) for half in range(2))
        scores = {
            f"score/{name}": jnp.mean(jnp.concatenate([scale[-1].ravel() for scale in judged]))
            for name, judged in (("real", of_real), ("fake", of_fake))
        }
        return discriminator_loss(of_real, of_fake), (of_real, scores)

    def _generator_loss(self, fake: Array, real: Array, judged: Any, critic: Any) -> tuple[Array, Metrics]:
        of_fake: Any = self.discriminator.apply({"params": critic}, fake)
        losses = {
            "loss/adversarial": generator_loss(of_fake),
            "loss/matching": feature_matching_loss(judged, of_fake),
        }
        distance, distances = self._distance(real, fake)
        total = losses["loss/adversarial"] + self.task.matching_weight * losses["loss/matching"] + distance
        return total, {"loss/generator": total, **losses, **distances}

    def _distance(self, real: Array, fake: Array) -> tuple[Array, Metrics]:
        """The weighted sum of the distances that need no discriminator, and each of them as metrics."""
        rate = self.vocoder.representation.sample_rate
        losses = {
            "loss/spectral": jnp.mean(multi_scale_spectral_loss(real, fake)),
            "loss/bass": jnp.mean(bass_distance(real, fake, rate)),
        }
        weights = (self.task.spectral_weight, self.task.bass_weight)
        # A distance without weight needs no gradient.
        weighed = [weight * loss for weight, loss in zip(weights, losses.values(), strict=True) if weight]
        return sum(weighed, jnp.zeros(())), losses

    def _descend(self, player: str, state: VocoderState, gradient: Any) -> tuple[VocoderState, Metrics]:
        """The state after one step of a player, and norms."""
        optimizer = f"{player}_optimizer"
        images = state.step * self.context.settings.batch_size
        params, moments, norms = self.players[player].descend(
            getattr(state, player), getattr(state, optimizer), gradient, images
        )
        return dataclasses.replace(state, **{player: params, optimizer: moments}), norms

    @functools.cached_property
    def _remake(self) -> Any:
        return jax.jit(self._remade, out_shardings=replicated(self.context.mesh))

    @functools.cached_property
    def _invert(self) -> Any:
        return jax.jit(self._inverted, out_shardings=replicated(self.context.mesh))

    def _remade(self, variables: Any, waveforms: Array) -> tuple[Array, Array]:
        """Waveforms [batch, samples] vocoded from the mel bands of others, and FIGURES [figures, batch]."""
        waveforms = shard_batch(waveforms, self.context.mesh)
        made = self.vocoder.render(variables, self.vocoder.representation.transform(waveforms))
        return made, _figures(waveforms, made)

    def _inverted(self, waveforms: Array) -> tuple[Array, Array]:
        """The same by mel inversion and Griffin-Lim."""
        waveforms, shown = shard_batch(waveforms, self.context.mesh), self.vocoder.representation
        keys = sound_keys(jnp.arange(len(waveforms), dtype=jnp.uint32), Purpose.PHASE)
        made = build_decoder({}, shown).decode(shown.encode(waveforms), keys)
        return made, _figures(waveforms, made)

    # On the host

    def _pairs(
        self, remake: Callable[[np.ndarray], tuple[Array, Array]], dataset: Dataset, split: str, count: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Recordings, their vocoded versions [sounds, samples] and FIGURES [figures, sounds], group by group."""
        size = self.context.settings.batch_size
        for waveforms in dataset.waveforms(split, count, size):
            made, figures = remake(waveforms[np.arange(size) % len(waveforms)])
            yield waveforms, np.asarray(made)[: len(waveforms)], np.asarray(figures)[:, : len(waveforms)]


def _figures(original: Array, made: Array) -> Array:
    return jnp.stack([function(original, made) for function in FIGURES.values()])


def _means(pairs: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Means of FIGURES over all pairs."""
    figures = np.concatenate([np.asarray(of_pairs, np.float64) for _, _, of_pairs in pairs], axis=1)
    return dict(zip(FIGURES, figures.mean(axis=1).tolist(), strict=True))
