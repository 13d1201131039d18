"""Whether both sides of bench_torch compute the same: outputs, losses and gradients on equal inputs."""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from flax.traverse_util import flatten_dict

from benchmarks.torch_baseline import ours, progressive
from benchmarks.torch_baseline.networks import channels_first, example_channels_first
from benchmarks.torch_baseline.training import Trainer, draws_of
from drumgan_jax.objectives.objective import LossContext
from drumgan_jax.systems.gan import apply
from drumgan_jax.training.tasks.gan import GanTask
from drumgan_jax.training.tasks.gan_steps import GanState

TOLERANCE = 1e-3
# Every strength of noise begins at 0, which would hide the noise.
NOISE_STRENGTH = 0.1


def check(system: str) -> float:
    """The greatest difference of any output, loss or leaf's gradient, relative to that one's scale.

    Raises:
        SystemExit: it is above TOLERANCE.
    """
    with jax.default_matmul_precision("highest"):
        task = ours.task_of(system, "float32")
        state = _with_noise(task.init())
        trainer = Trainer(ours.specification(system, task, state), ours.arrays_of(state), "cpu", False, False)
        errors = _Comparison(task, state, trainer).errors()
    name, worst = max(errors.items(), key=lambda item: item[1])
    if not worst <= TOLERANCE:
        raise SystemExit(
            f"{system}: {name} differs by {worst:.1e} of its scale between PyTorch and JAX, more than {TOLERANCE:g}, so"
            " nothing was timed; correct benchmarks/torch_baseline."
        )
    return worst


class _Comparison:
    """One system on both sides, with equal random inputs."""

    def __init__(self, task: GanTask, state: GanState, trainer: Trainer) -> None:
        self.task, self.state, self.trainer = task, state, trainer
        self.gan = task.gan.at(task.gan.growth.num_stages - 1)
        self.batch = ours.batch_of(task)
        count, z_dim = len(self.batch["x"]), self.gan.generator.z_dim
        key = jax.random.key(1)
        self.z = [jax.random.normal(jax.random.fold_in(key, i), (count, z_dim)) for i in range(2)]
        self.cutoff = self.gan.generator.num_ws // 2 if getattr(self.gan.generator, "style_mixing", 0.0) else None
        sizes = self.gan.generator.noise_sizes
        self.noise = [
            jax.random.normal(jax.random.fold_in(key, 2 + i), (count, *size, 1)) for i, size in enumerate(sizes)
        ]
        # The keys from which the regularisers draw.
        self.key = jax.random.key(2)
        trainer.real = torch.tensor(example_channels_first(self.batch["x"]))

    def errors(self) -> dict[str, float]:
        """Relative difference by the name of what is compared."""
        g, d = self.state.generator, self.state.discriminator
        trainer, draws = self.trainer, self._draws(len(self.batch["x"]))
        leaves, labels = trainer.tensors, trainer.labels
        with torch.no_grad():
            ws = trainer.losses.draw_ws(leaves["generator"], draws, labels)[0]
            fake = trainer.losses.networks.synthesize(leaves["generator"], ws, draws.noise)
            prepared = trainer.losses.networks.prepare(trainer.discriminator)
            logits = trainer.losses.networks.discriminate(prepared, trainer.real, labels, None).logits
        output = self._context(g, d).discriminate(self.batch["x"])
        errors = {
            "the generator's output": _difference(example_channels_first(self._fake(g)), fake),
            "the discriminator's output": _difference(np.concatenate([one.ravel() for one in output.logits]), logits),
        }
        theirs = {
            "generator": lambda: trainer.losses.generator(leaves["generator"], trainer.discriminator, draws, labels)[0],
            "discriminator": lambda: trainer.losses.discriminator(
                leaves["generator"], trainer.discriminator, draws, labels, trainer.real
            ),
            "r1": lambda: trainer.losses.r1(trainer.discriminator, labels, trainer.real),
            "path_length": lambda: trainer.losses.path_length(
                leaves["generator"], self._draws(len(self.batch["x"]) // 2), labels, trainer.path_mean
            )[0],
        }
        with _smooth_activations():
            for name, (player, loss) in self._losses().items():
                errors |= self._of_loss(name, player, loss, theirs[name]())
        return errors

    def _of_loss(self, name: str, player: str, loss: Any, theirs: Any) -> dict[str, float]:
        """Differences of a loss and of its gradients."""
        value, gradient = jax.jit(jax.value_and_grad(loss))(getattr(self.state, player))
        flat = flatten_dict(gradient, sep="/")
        leaves = self.trainer.tensors[player]
        gradients = torch.autograd.grad(theirs, list(leaves.values()), allow_unused=True)
        errors = {f"the loss {name}": _difference(value, theirs.detach())}
        for (path, leaf), of_leaf in zip(leaves.items(), gradients, strict=True):
            of_leaf = torch.zeros_like(leaf) if of_leaf is None else of_leaf
            errors[f"{name}'s gradient by {path}"] = _difference(channels_first(path, flat[path]), of_leaf)
        return errors

    def _losses(self) -> dict[str, tuple[str, Any]]:
        """Our losses by phase, as functions of a player's parameters."""
        objective, (g, d) = self.gan.objective, (self.state.generator, self.state.discriminator)

        def generator(params: Any) -> Any:
            return objective.generator_loss(self._context(params, d))[0]

        def discriminator(params: Any) -> Any:
            context = self._context(g, params)
            value = objective.discriminator_loss(context)[0]
            terms = [r for r in objective.regularizers if r.interval == 1]
            return value + sum(r.function(context, self.state.objective, self.key)[0] for r in terms)

        def lazy(r: Any, params: Any) -> Any:
            context = self._context(*((params, d) if r.player == "generator" else (g, params)))
            return r.function(context, self.state.objective, self.key)[0] * r.interval

        found = {"generator": ("generator", generator), "discriminator": ("discriminator", discriminator)}
        for r in objective.regularizers:
            if r.interval > 1:
                found[r.name] = (r.player, lambda params, r=r: lazy(r, params))
        return found

    def _context(self, g: Any, d: Any) -> LossContext:
        growth = self._growth()
        variables = {
            "params": d,
            "statistics": self.state.discriminator_statistics,
            "frozen": self.state.frozen,
            "growth": growth,
        }
        labels = self.batch.get("labels")
        return LossContext(
            discriminate=lambda x: apply(self.gan.discriminator, variables, x, labels),
            draw_ws=lambda key, count: self._ws(g, count),
            synthesize=lambda ws, key: self._synthesize(g, ws),
            real=self.gan.fit(self.batch["x"], growth["alpha"]),
            make_fake=lambda: self._fake(g),
            labels=labels,
            images=jnp.zeros((), jnp.int32),
        )

    def _fake(self, g: Any) -> Any:
        return self._synthesize(g, self._ws(g, len(self.batch["x"])))

    def _synthesize(self, g: Any, ws: Any) -> Any:
        noise = [one[: len(ws)] for one in self.noise]
        return apply(self.gan.generator, self._variables(g), ws, noise, method="synthesize")

    def _ws(self, g: Any, count: int) -> Any:
        labels = self.batch.get("labels")
        first, second = (self.gan.map(self._variables(g), z[:count], labels) for z in self.z)
        if self.cutoff is None:
            return first
        return jnp.where(jnp.arange(first.shape[1])[:, None] < self.cutoff, first, second)

    def _variables(self, g: Any) -> dict[str, Any]:
        return {"params": g, "statistics": self.state.statistics, "growth": self._growth()}

    def _growth(self) -> dict[str, Any]:
        return {"alpha": jnp.float32(progressive.ALPHA)}

    def _draws(self, count: int) -> Any:
        """Our random numbers for PyTorch, as the gradient penalty and the path lengths draw them from their key."""
        places = jax.random.uniform(self.key, (count, 1, 1, 1))[:, 0, 0, 0]
        direction = jax.random.normal(jax.random.split(self.key, 3)[2], (count, *self.gan.representation.shape))
        z = [one[:count] for one in self.z]
        return draws_of(z, self.cutoff, [one[:count] for one in self.noise], places, direction)


@contextlib.contextmanager
def _smooth_activations() -> Iterator[None]:
    """A smooth function in place of both leaky ReLUs.

    Rounding puts some activations on the other side of a kink, which changes the penalties' gradients by percents.
    """
    with (
        mock.patch.object(jax.nn, "leaky_relu", lambda x, slope: slope * x + (1 - slope) * jax.nn.softplus(x)),
        mock.patch.object(F, "leaky_relu", lambda x, slope: slope * x + (1 - slope) * F.softplus(x)),
    ):
        yield


def _with_noise(state: GanState) -> GanState:
    """The state with all strengths of noise at NOISE_STRENGTH."""
    strong = jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.full_like(leaf, NOISE_STRENGTH) if path[-1].key == "noise_strength" else leaf,
        state.generator,
    )
    return dataclasses.replace(state, generator=strong)


def _difference(mine: Any, theirs: Any) -> float:
    """Greatest difference over the greatest magnitude."""
    a, b = np.asarray(mine, np.float64), theirs.detach().numpy().astype(np.float64)
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-12)) if np.abs(b).max() + np.abs(a).max() else 0.0
