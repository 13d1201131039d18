"""Chips that runs are planned for: what their makers say of them."""

import dataclasses

GIB = 2**30


@dataclasses.dataclass(frozen=True)
class Chip:
    """One accelerator, as its maker describes it.

    Attributes:
        name: as --topology takes it.
        platform: tpu or cuda.
        memory: bytes of its HBM that programs may take. libtpu keeps the rest of a TPU's; of a card's, JAX takes three
            quarters, unless XLA_PYTHON_CLIENT_MEM_FRACTION says otherwise.
        peak_flops: a second, of products of bfloat16 without sparsity.
        memory_bandwidth: bytes a second between the HBM and the cores.
        link_bandwidth: bytes a second that it sends to the other chips of its slice or host.
        per_host: chips of a host.
        largest: chips of the largest slice along each axis; of cards, none.
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
    largest: tuple[int, ...]
    network_bandwidth: float
    source: str


_SHARE = 0.75
_TPU, _CARD = "cloud.google.com/tpu/docs", "nvidia.com/en-us/data-center"
# Of links, their maker tells the sum of both directions; half of it is sent.
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v5e", "tpu", int(15.75 * GIB), 197e12, 819e9, 400e9 / 2, 4, (16, 16), 2 * 100e9 / 8, f"{_TPU}/v5e"),
        Chip("v5p", "tpu", int(95.74 * GIB), 459e12, 2765e9, 1200e9 / 2, 4, (16, 16, 24), 200e9 / 8, f"{_TPU}/v5p"),
        Chip("v6e", "tpu", int(31.25 * GIB), 918e12, 1638e9, 800e9 / 2, 4, (16, 16), 4 * 200e9 / 8, f"{_TPU}/v6e"),
        Chip(
            "a100",
            "cuda",
            int(_SHARE * 80 * GIB),
            312e12,
            2039e9,
            600e9 / 2,
            8,
            (),
            8 * 200e9 / 8,
            f"{_CARD}/a100, SXM 80 GB",
        ),
        Chip(
            "h100",
            "cuda",
            int(_SHARE * 80 * GIB),
            989e12,
            3350e9,
            900e9 / 2,
            8,
            (),
            8 * 400e9 / 8,
            f"{_CARD}/h100, SXM",
        ),
    )
}
