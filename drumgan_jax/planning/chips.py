"""Chips that runs are planned for: what their makers say of them."""

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One accelerator, as its maker describes it.

    Attributes:
        name: as --topology takes it.
        platform: tpu or cuda.
        memory: bytes of its HBM.
        peak_flops: a second, of products of bfloat16 without sparsity.
        memory_bandwidth: bytes a second between the HBM and the cores.
        link_bandwidth: bytes a second that it sends to the other chips of its slice or host.
        per_host: chips of a host.
        network_bandwidth: bytes a second that a host sends to other hosts of cards, or to another slice.
        source: where the figures are published.
    """

    name: str
    platform: str
    memory: int
    peak_flops: float
    memory_bandwidth: float
    link_bandwidth: float
    per_host: int
    network_bandwidth: float
    source: str


_TPU, _CARD = "cloud.google.com/tpu/docs", "nvidia.com/en-us/data-center"
# Of links, their maker tells the sum of both directions; half of it is sent.
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v5e", "tpu", 16 * GIB, 197e12, 819e9, 400e9 / 2, 4, 2 * 100e9 / 8, f"{_TPU}/v5e"),
        Chip("v5p", "tpu", 95 * GIB, 459e12, 2765e9, 1200e9 / 2, 4, 200e9 / 8, f"{_TPU}/v5p"),
        Chip("v6e", "tpu", 32 * GIB, 918e12, 1638e9, 800e9 / 2, 4, 4 * 200e9 / 8, f"{_TPU}/v6e"),
        Chip(
            "a100",
            "cuda",
            80 * GIB,
            312e12,
            2039e9,
            600e9 / 2,
            8,
            8 * 200e9 / 8,
            f"{_CARD}/a100, SXM 80 GB",
        ),
        Chip(
            "h100",
            "cuda",
            80 * GIB,
            989e12,
            3350e9,
            900e9 / 2,
            8,
            8 * 400e9 / 8,
            f"{_CARD}/h100, SXM",
        ),
    )
}
