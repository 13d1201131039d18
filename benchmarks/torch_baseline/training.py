"""Losses and training steps of the baseline, the same as the tasks' own (drumgan_jax/training/tasks/gan_steps.py)."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.torch_baseline import progressive, projected, style_waveform, stylegan2
from benchmarks.torch_baseline.networks import (
    Networks,
    Output,
    Tensor,
    Tensors,
    channels_first,
    example_channels_first,
)
from benchmarks.torch_baseline.specification import Specification

NETWORKS: dict[str, Callable[[tuple[int, int, int]], Networks]] = {
    "stylegan2": stylegan2.networks,
    "progressive": progressive.networks,
    "style_drumsynth": style_waveform.networks,
    "projected": projected.networks,
}
W_AVERAGE_DECAY = 0.995


@dataclasses.dataclass(frozen=True)
class Draws:
    """The random numbers of a step.

    Attributes:
        z: two draws [batch, z_dim]; the second mixes in from layer `cutoff` on.
        cutoff: [], or None for no mixing.
        noise: of each layer.
        shifts: of phase [batch, layers], or None.
        places: between real and generated examples, for the gradient penalty [batch].
        direction: of the image, for path lengths [batch, channels, freq, time]; not yet divided by the size.
    """

    z: tuple[Tensor, Tensor]
    cutoff: Tensor
    noise: list[Tensor]
    shifts: Tensor
    places: Tensor
    direction: Tensor


class Losses:
    """The losses of a system, of tensors, random numbers, and real examples.

    Attributes:
        networks: for first derivatives; compiled on a GPU.
        plain: for penalties, which differentiate twice.
    """

    def __init__(self, spec: Specification, networks: Networks, plain: Networks) -> None:
        self.spec, self.networks, self.plain = spec, networks, plain
        self.main = {"logistic": (logistic_d, logistic_g), "wasserstein": (wasserstein_d, wasserstein_g)}.get(
            spec.objective, (hinge_d, hinge_g)
        )

    def generator(self, g: Tensors, d: Tensors, draws: Draws, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The generator's loss, and the mean w."""
        ws, mean = self.draw_ws(g, draws, labels)
        fake = self.networks.synthesize(g, ws, draws.noise)
        output = self.networks.discriminate(self.networks.prepare(d), fake, labels, draws.shifts)
        return self.main[1](self.spec.weights, output, labels), mean

    def discriminator(self, g: Tensors, d: Tensors, draws: Draws, labels: Tensor, real: Tensor) -> Tensor:
        """The discriminator's loss, with the penalty that every step has."""
        with torch.no_grad():
            fake = self.networks.synthesize(g, self.draw_ws(g, draws, labels)[0], draws.noise)
            real = self.networks.fit(real)
        d = self.networks.prepare(d)
        outputs = [self.networks.discriminate(d, x, labels, draws.shifts) for x in (real, fake)]
        loss = self.main[0](self.spec.weights, *outputs, labels)
        if "penalty_weight" not in self.spec.weights:
            return loss
        places = draws.places.reshape(-1, *[1] * (real.ndim - 1))
        squares = self._squared_norms(d, torch.lerp(real, fake, places), labels, draws.shifts)
        return loss + self.spec.weights["penalty_weight"] * (squares.sqrt() - 1).square().mean()

    def r1(self, d: Tensors, labels: Tensor, real: Tensor) -> Tensor:
        """R1, times its interval."""
        penalty = self._squared_norms(d, real, labels, None).mean()
        return penalty * (self.spec.weights["r1_gamma"] / 2 * self.spec.intervals["r1"])

    def path_length(self, g: Tensors, draws: Draws, labels: Tensor, old: Tensor) -> tuple[Tensor, Tensor]:
        """The path-length penalty times its interval, and the new mean length."""
        ws, _ = self.draw_ws(g, draws, labels)
        x = self.plain.synthesize(g, ws, draws.noise)
        product = (x * draws.direction).sum() / math.sqrt(x.shape[2] * x.shape[3])
        (gradient,) = torch.autograd.grad(product, ws, create_graph=True)
        lengths = gradient.square().sum(2).mean(1).sqrt()
        mean = torch.lerp(old, lengths.mean(), self.spec.weights["path_length_decay"])
        weight = self.spec.weights["path_length_weight"] * self.spec.intervals["path_length"]
        return (lengths - mean).square().mean() * weight, mean.detach()

    def draw_ws(self, g: Tensors, draws: Draws, labels: Tensor) -> tuple[Tensor, Tensor]:
        """ws [batch, layers, w_dim], styles mixed, and the mean w before mixing."""
        ws = self.networks.latents(g, draws.z[0], labels)
        mean = ws[:, 0].mean(0).detach()
        if draws.cutoff is not None:
            below = torch.arange(ws.shape[1], device=ws.device)[:, None] < draws.cutoff
            ws = torch.where(below, ws, self.networks.latents(g, draws.z[1], labels))
        return ws, mean

    def _squared_norms(self, d: Tensors, x: Tensor, labels: Tensor, shifts: Tensor) -> Tensor:
        x = x.detach().requires_grad_()
        logits = self.plain.discriminate(d, x, labels, shifts).logits
        (gradient,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
        return gradient.square().flatten(1).sum(1)


Weights = Mapping[str, float]


def logistic_d(weights: Weights, real: Output, fake: Output, labels: Tensor) -> Tensor:
    """softplus(fake) + softplus(-real)."""
    return F.softplus(fake.logits).mean() + F.softplus(-real.logits).mean()


def logistic_g(weights: Weights, fake: Output, labels: Tensor) -> Tensor:
    """softplus(-fake)."""
    return F.softplus(-fake.logits).mean()


def wasserstein_d(weights: Weights, real: Output, fake: Output, labels: Tensor) -> Tensor:
    """fake - real, drift, and the errors of the labels."""
    loss = fake.logits.mean() - real.logits.mean()
    if weights["drift_weight"]:
        loss = loss + weights["drift_weight"] * real.logits.square().mean()
    if weights["label_weight"]:
        errors = F.mse_loss(real.labels, labels) + F.mse_loss(fake.labels, labels)
        loss = loss + weights["label_weight"] * errors
    return loss


def wasserstein_g(weights: Weights, fake: Output, labels: Tensor) -> Tensor:
    """-fake, and the error of the labels."""
    loss = -fake.logits.mean()
    return loss + weights["label_weight"] * F.mse_loss(fake.labels, labels) if weights["label_weight"] else loss


def hinge_d(weights: Weights, real: Output, fake: Output, labels: Tensor) -> Tensor:
    """relu(1 - real) + relu(1 + fake)."""
    return F.relu(1 - real.logits).mean() + F.relu(1 + fake.logits).mean()


def hinge_g(weights: Weights, fake: Output, labels: Tensor) -> Tensor:
    """-fake."""
    return -fake.logits.mean()


class Trainer:
    """A system's training state in PyTorch, and its steps.

    Args:
        spec: the system.
        arrays: our variables by path, the collection first.
        device: "cpu" or "cuda".
        compiled: whether first derivatives go through torch.compile.
        bfloat16: whether convolutions and products run in bfloat16 (autocast).
    """

    def __init__(
        self, spec: Specification, arrays: Mapping[str, np.ndarray], device: str, compiled: bool, bfloat16: bool
    ) -> None:
        self.spec, self.device, self.bfloat16 = spec, device, bfloat16
        plain = NETWORKS[spec.system](spec.shape)
        networks = plain
        if compiled:
            both = {name: torch.compile(getattr(plain, name)) for name in ("synthesize", "discriminate")}
            networks = dataclasses.replace(plain, **both)
        self.losses = Losses(spec, networks, plain)
        self.tensors = {player: self._leaves(arrays, player) for player in ("generator", "discriminator")}
        self.constants = self._constants(arrays)
        self.used = {
            player: [leaf for path, leaf in leaves.items() if path.split("/")[0] in spec.in_use[player]]
            for player, leaves in self.tensors.items()
        }
        self.optimizers = {
            player: torch.optim.Adam(self.used[player], rate, betas=(beta1, beta2), eps=epsilon, fused=True)
            for player, (rate, beta1, beta2, epsilon) in spec.adam.items()
        }
        self.average = [leaf.detach().clone() for leaf in self.tensors["generator"].values()]
        self.w_average = torch.zeros((), device=device)
        self.path_mean = torch.zeros((), device=device)
        generator = torch.Generator().manual_seed(0)
        self.real = torch.randn(spec.batch, *self._example(), generator=generator).to(device)
        self.labels = None
        if spec.num_labels:
            self.labels = torch.eye(spec.num_labels, device=device).repeat(spec.batch, 1)[: spec.batch]

    @property
    def discriminator(self) -> Tensors:
        """The discriminator's tensors and constants."""
        return {**self.tensors["discriminator"], **self.constants}

    def steps(self) -> dict[str, Callable[[], None]]:
        """Every phase of an iteration by name."""
        every = {
            "generator": self._generator_step,
            "path_length": self._path_length_step,
            "discriminator": self._discriminator_step,
            "r1": self._r1_step,
            "average": self._average,
        }
        return {name: every[name] for name in self.spec.intervals}

    def _generator_step(self) -> None:
        draws = self._draw(self.spec.batch)
        with self._cast():
            loss, mean = self.losses.generator(self.tensors["generator"], self.discriminator, draws, self.labels)
        self._descend("generator", loss)
        if self.spec.learns_w:
            self.w_average = torch.lerp(mean, self.w_average, W_AVERAGE_DECAY)

    def _path_length_step(self) -> None:
        draws = self._draw(max(1, self.spec.batch // int(self.spec.weights["path_length_batch_shrink"])))
        with self._cast():
            loss, self.path_mean = self.losses.path_length(
                self.tensors["generator"], draws, self.labels, self.path_mean
            )
        self._descend("generator", loss)

    def _discriminator_step(self) -> None:
        self.losses.networks.advance(self.discriminator)
        draws = self._draw(self.spec.batch)
        with self._cast():
            loss = self.losses.discriminator(
                self.tensors["generator"], self.discriminator, draws, self.labels, self.real
            )
        self._descend("discriminator", loss)

    def _r1_step(self) -> None:
        with self._cast():
            loss = self.losses.r1(self.discriminator, self.labels, self.real)
        self._descend("discriminator", loss)

    def _average(self) -> None:
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.tensors["generator"].values()), 1 - self.spec.ema_keep)

    def _descend(self, player: str, loss: Tensor) -> None:
        used = self.used[player]
        # Path lengths do not depend on the biases of the outputs; Adam leaves a tensor without a gradient as it is.
        gradients = torch.autograd.grad(loss, used, allow_unused=True)
        for leaf, gradient in zip(used, gradients, strict=True):
            leaf.grad = gradient
        self.optimizers[player].step()
        self.optimizers[player].zero_grad()

    def _draw(self, count: int) -> Draws:
        spec, normal = self.spec, lambda *size: torch.randn(*size, device=self.device)
        sizes = self.losses.networks.noise_sizes(self.tensors["generator"])
        layers = spec.num_ws
        cutoff = None
        if spec.style_mixing:
            mixes = torch.rand((), device=self.device) < spec.style_mixing
            cutoff = torch.where(mixes, torch.randint(1, layers, (), device=self.device), layers)
        limit = spec.phase_shuffle
        return Draws(
            z=(normal(count, spec.z_dim), normal(count, spec.z_dim)),
            cutoff=cutoff,
            noise=[normal(count, *size) for size in sizes],
            shifts=torch.randint(-limit, limit + 1, (count, layers), device=self.device) if limit else None,
            places=torch.rand(count, device=self.device),
            direction=normal(count, *self._example()) if "path_length" in spec.intervals else None,
        )

    def _example(self) -> tuple[int, ...]:
        freq, time, channels = self.spec.shape
        return (channels, time) if freq == 1 else (channels, freq, time)

    def _leaves(self, arrays: Mapping[str, np.ndarray], player: str) -> dict[str, Tensor]:
        own = {path: array for path, array in arrays.items() if path.startswith(f"{player}/")}
        return {
            path.removeprefix(f"{player}/"): self._tensor(path, array).requires_grad_() for path, array in own.items()
        }

    def _constants(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        kept = [path for path in arrays if path.startswith(("frozen/", "statistics/"))]
        return {path: self._tensor(path, arrays[path]) for path in kept}

    def _tensor(self, path: str, array: np.ndarray) -> Tensor:
        return torch.tensor(channels_first(path, array), device=self.device)

    def _cast(self) -> Any:
        return torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16)


def draws_of(z: Any, cutoff: Any, noise: Any, places: Any, direction: Any) -> Draws:
    """Given random numbers as tensors on the CPU, without shifts; images are channels last."""
    return Draws(
        z=tuple(torch.tensor(np.asarray(one)) for one in z),
        cutoff=None if cutoff is None else torch.tensor(cutoff),
        noise=[torch.tensor(example_channels_first(one)) for one in noise],
        shifts=None,
        places=torch.tensor(np.asarray(places)),
        direction=None if direction is None else torch.tensor(example_channels_first(direction)),
    )
