"""The style-based waveform GAN in plain PyTorch."""

import torch
import torch.nn.functional as F

from benchmarks.torch_baseline.networks import Networks, Output, Tensor, Tensors, count, second_moment


def networks(shape: tuple[int, int, int]) -> Networks:
    """Both networks; their sizes follow from the tensors."""
    return Networks(latents, synthesize, discriminate, noise_sizes)


def latents(g: Tensors, z: Tensor, labels: Tensor) -> Tensor:
    """ws [batch, layers, w_dim] of z [batch, z_dim] and labels [batch, labels]."""
    x = torch.cat([second_moment(z), labels @ g["mapping/embedding"]], 1)
    for i in range(count(g, "mapping/dense_{}/kernel")):
        x = F.leaky_relu(F.linear(x, g[f"mapping/dense_{i}/kernel"], g[f"mapping/dense_{i}/bias"]), 0.2)
    return x[:, None].expand(-1, count(g, "up_{}/kernel"), -1)


def noise_sizes(g: Tensors) -> list[tuple[int, ...]]:
    """Size of each layer's noise."""
    base = g["constant"].shape[1]
    return [(1, base << 1 + i // 2) for i in range(2 * count(g, "up_{}/kernel"))]


def synthesize(g: Tensors, ws: Tensor, noise: list[Tensor]) -> Tensor:
    """Waveforms [batch, channels, time]."""
    x = g["constant"].expand(len(ws), -1, -1)
    for i in range(ws.shape[1]):
        x = _styled(g, f"up_{i}", x.repeat_interleave(2, 2), ws[:, i], noise[2 * i])
        x = _styled(g, f"same_{i}", x, ws[:, i], noise[2 * i + 1])
    x = F.conv1d(F.pad(x, (7, 8)), g["output_kernel"])
    return torch.tanh(x.float() + g["output_bias"][:, None])


def discriminate(d: Tensors, x: Tensor, labels: Tensor, shifts: Tensor) -> Output:
    """Logits [batch] of waveforms [batch, channels, time]."""
    x = torch.cat([x, (labels @ d["label_waveforms"])[:, None]], 1)
    layers = count(d, "trunk/kernel_{}")
    for i in range(layers):
        x = F.conv1d(F.pad(x, (6, 8)), d[f"trunk/kernel_{i}"], d[f"trunk/bias_{i}"], stride=2)
        x = F.leaky_relu(x, 0.2)
        if shifts is not None and i < layers - 1:
            x = _shuffle_phase(x, shifts[:, i])
    return Output(F.linear(x.float().movedim(1, -1).flatten(1), d["score/kernel"], d["score/bias"])[:, 0])


def _styled(g: Tensors, path: str, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
    x = F.conv1d(F.pad(x, (7, 8)), g[f"{path}/kernel"]).float()
    x = F.leaky_relu(x + g[f"{path}/noise_strength"][:, None] * noise + g[f"{path}/bias"][:, None], 0.2)
    scale, bias = F.linear(w, g[f"{path}/style/kernel"], g[f"{path}/style/bias"]).chunk(2, 1)
    return F.instance_norm(x, eps=1e-8) * (1 + scale[:, :, None]) + bias[:, :, None]


def _shuffle_phase(x: Tensor, shifts: Tensor) -> Tensor:
    """Delay each example, with reflection at the ends."""
    last = x.shape[2] - 1
    positions = torch.arange(last + 1, device=x.device) - shifts[:, None]
    positions = last - (last - positions.abs()).abs()
    return x.gather(2, positions[:, None].expand(x.shape))
