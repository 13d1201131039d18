"""The projected discriminator in plain PyTorch, for VGGish and the short-chunk CNN; the generator is StyleGAN2's."""

import torch
import torch.nn.functional as F

from benchmarks.torch_baseline import stylegan2
from benchmarks.torch_baseline.networks import Networks, Output, Tensor, Tensors, count, minibatch_stddev

SCALES, CHUNKS, LAST = 4, 2, 4


def networks(shape: tuple[int, int, int]) -> Networks:
    """Both networks; their sizes follow from the tensors."""
    return Networks(
        stylegan2.latents, stylegan2.synthesize, discriminate, stylegan2.noise_sizes, prepare=prepare, advance=advance
    )


def discriminate(d: Tensors, x: Tensor, labels: Tensor, shifts: Tensor) -> Output:
    """Logits of all maps in one row, from examples [batch, 1, freq, time] and prepared tensors."""
    batch, _, freq, time = x.shape
    parts = x.reshape(batch, freq, CHUNKS, time // CHUNKS).transpose(1, 2).reshape(-1, 1, freq, time // CHUNKS)
    logits = []
    for name, taps in TAPS.items():
        for scale, features in enumerate(_mixed(d, f"frozen/{name}_mixing", taps(d, f"frozen/{name}", parts))):
            _, channels, rows, columns = features.shape
            joined = features.reshape(batch, CHUNKS, channels, rows, columns).permute(0, 2, 3, 1, 4)
            joined = joined.reshape(batch, channels, rows, CHUNKS * columns)
            logits.append(_small(d, f"{name}_{scale}", joined).flatten())
    return Output(torch.cat(logits))


def prepare(d: Tensors) -> Tensors:
    """The tensors with each kernel divided by its largest singular value, after one power iteration."""
    normalized = {}
    for path, u in _directions(d).items():
        kernel = d[path]
        matrix = kernel.flatten(1)
        with torch.no_grad():
            v, new = _iterate(matrix, u)
        normalized[path] = kernel / torch.dot(new, matrix @ v)
    return {**d, **normalized}


def advance(d: Tensors) -> None:
    """Keep one power iteration of every kernel."""
    with torch.no_grad():
        for path, u in _directions(d).items():
            u.copy_(_iterate(d[path].flatten(1), u)[1])


def _directions(d: Tensors) -> dict[str, Tensor]:
    """The power iteration's u [out] by the path of its kernel."""
    marked = [path for path in d if path.startswith("statistics/")]
    return {path.removeprefix("statistics/").removesuffix("u") + "kernel": d[path] for path in marked}


def _iterate(matrix: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    v = F.normalize(u @ matrix, dim=0)
    return v, F.normalize(matrix @ v, dim=0)


def _vggish(d: Tensors, path: str, x: Tensor) -> list[Tensor]:
    """Maps of VGGish's four stages from [batch, 1, bands, frames]."""
    maps, x = [], x.transpose(2, 3)
    for index, pool in zip((0, 3, 6, 8, 11, 13), (True, True, False, True, False, True), strict=True):
        layer = f"{path}/params/features.{index}"
        x = F.relu(F.conv2d(x, d[f"{layer}/kernel"], d[f"{layer}/bias"], padding=1))
        if pool:
            x = F.max_pool2d(x, 2)
            maps.append(x.transpose(2, 3))
    return maps


def _short_chunk(d: Tensors, path: str, x: Tensor) -> list[Tensor]:
    """Maps of the first four residual blocks from [batch, 1, bands, frames]."""

    def normalized(name: str, x: Tensor) -> Tensor:
        mean, variance = (d[f"{path}/batch_stats/{name}/{part}"] for part in ("mean", "var"))
        return F.batch_norm(x, mean, variance, *(d[f"{path}/params/{name}/{part}"] for part in ("scale", "bias")))

    def layer(block: str, index: int, x: Tensor, stride: int) -> Tensor:
        kernel, bias = (d[f"{path}/params/{block}/conv_{index}/{part}"] for part in ("kernel", "bias"))
        return normalized(f"{block}/bn_{index}", F.conv2d(x, kernel, bias, stride=stride, padding=1))

    maps, x = [], normalized("spec_bn", x)
    for number in range(1, SCALES + 1):
        block = f"layer{number}"
        inner = layer(block, 2, F.relu(layer(block, 1, x, 2)), 1)
        x = F.relu(inner + layer(block, 3, x, 2))
        maps.append(x)
    return maps


# By the sections' names, in the order of our configs.
TAPS = {"vggish": _vggish, "scnn_loops": _short_chunk}


def _mixed(d: Tensors, path: str, maps: list[Tensor]) -> list[Tensor]:
    mixed: list[Tensor] = []
    for scale in reversed(range(SCALES)):
        x = F.conv2d(maps[scale], d[f"{path}/channels_{scale}"])
        x = x + mixed[0] if mixed else x
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        mixed.insert(0, F.conv2d(x, d[f"{path}/scales_{scale}"], padding=1))
    return mixed


def _small(d: Tensors, path: str, x: Tensor) -> Tensor:
    for number in range(count(d, f"{path}/block_{{}}/depthwise/kernel")):
        block = f"{path}/block_{number}"
        x = F.conv2d(x, d[f"{block}/depthwise/kernel"], padding=1, groups=x.shape[1])
        x = F.conv2d(x, d[f"{block}/pointwise/kernel"]).float()
        scale, bias = (d[f"{block}/normalization/{part}"] for part in ("scale", "bias"))
        x = F.avg_pool2d(F.leaky_relu(F.batch_norm(x, None, None, scale, bias, training=True), 0.2), 2)
    return F.conv2d(minibatch_stddev(x.float()), d[f"{path}/score/kernel"])
