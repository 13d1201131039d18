"""Devices of TPU slices and GPU hosts that are not here, for programs to be compiled for."""

import contextlib
import dataclasses
import importlib.util
import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import jax
from jax.experimental import topologies

from drumgan_jax.core.errors import BadInput, shown
from drumgan_jax.planning.chips import CHIPS, Chip

# What the compilers of a platform are installed as, and how.
_PACKAGES = {
    "tpu": ("libtpu", "pip install 'drumgan-jax[plan]'"),
    "cuda": ("jax_cuda12_plugin", "pip install jax-cuda12-plugin jax-cuda12-pjrt"),
}
_EXAMPLES = "v5e:16x16, 2xv5e:16x16 (two slices), v5p:2x2x4, v6e:4x4, h100:8, h100:4x8 (four hosts of eight)"
_WRITTEN = re.compile(r"(?:(\d+) ?x ?)?([a-z]\w*):(\d+(?:x\d+)*)")
# The slices of chips with two axes.
_FLAT = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
# What libtpu says if another process has it.
_LOCKED = ("libtpu multi-process lockfile", "already in use by")
_SHARED = "ALLOW_MULTIPLE_LIBTPU_LOAD"
# Compiling needs no device, so several processes may do it at once, also beside one that trains.
_ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    _SHARED: "1",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-1",
}
# As XLA describes a card to its compiler.
_CARDS = {
    "h100": {"cores": 132, "shared": 233472, "optin": 232448, "l2": 52428800, "clock": 1.98, "major": 9},
    "a100": {"cores": 108, "shared": 167936, "optin": 166912, "l2": 41943040, "clock": 1.41, "major": 8},
}


@dataclasses.dataclass(frozen=True)
class Topology:
    """Chips and how they are connected.

    Attributes:
        text: as it was written, such as "v5e:16x16".
        chip: one of them.
        slices: groups of chips that are connected by the data centre's network only; 1 for one slice.
        shape: chips of a slice along each of its axes; of GPUs, hosts and cards of each.
    """

    text: str
    chip: Chip
    slices: int
    shape: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> "Topology":
        """The topology that a text such as "v5e:16x16" or "2xv5e:16x16" means.

        Raises:
            BadInput: it is written otherwise, its chip is unknown, or there is no slice of this shape.
        """
        found = _WRITTEN.fullmatch(text.strip().lower())
        if found is None:
            raise BadInput(f"--topology {shown(text)} cannot be read; write it as in {_EXAMPLES}.")
        slices, name, sizes = found.groups()
        if name not in CHIPS:
            raise BadInput(f"--topology {shown(text)}: there is no chip {shown(name)}; it may be {', '.join(CHIPS)}.")
        shape = tuple(map(int, sizes.split("x")))
        if CHIPS[name].platform == "cuda" and len(shape) == 1:
            shape = (1, *shape)
        chip, count = CHIPS[name], int(slices or 1)
        if not count or not all(shape) or (chip.platform == "cuda" and (count > 1 or len(shape) > 2)):
            raise BadInput(f"--topology {shown(text)} cannot be read; write it as in {_EXAMPLES}.")
        if chip.platform == "tpu" and not _is_sold(shape, chip.largest):
            largest = "x".join(map(str, chip.largest))
            flat = ", ".join(f"{one}x{other}" for one, other in _FLAT)
            raise BadInput(
                f"--topology {shown(text)}: a slice of {name} is one of {flat}."
                if len(chip.largest) == 2
                else f"--topology {shown(text)}: a slice of {name} has {len(chip.largest)} axes, the first two of even"
                f" lengths since a host has 2x2 chips, and at most {largest} of them."
            )
        return cls(text.strip().lower(), chip, count, shape)

    @property
    def chips(self) -> int:
        """Chips of all slices."""
        count = self.slices
        for size in self.shape:
            count *= size
        return count

    @property
    def hosts(self) -> int:
        """Machines that the chips are in."""
        if self.chip.platform == "cuda":
            return self.shape[0]
        chips = self.chips // self.slices
        # Eight chips of the kinds with two axes are one machine.
        return self.slices * (1 if len(self.shape) == 2 and chips == 8 else max(1, chips // self.chip.per_host))

    @property
    def bandwidth(self) -> float:
        """Bytes a second that a chip sends to the others: where they share a network, its part of the host's."""
        if self.slices == 1 and (self.chip.platform == "tpu" or self.hosts == 1):
            return self.chip.link_bandwidth
        return min(self.chip.link_bandwidth, self.chip.network_bandwidth / self.chip.per_host)

    def devices(self) -> Sequence[Any]:
        """The devices, of which none is here; programs can be compiled for them.

        Raises:
            BadInput: the compiler is not installed, or knows no such shape.
        """
        self.check_compiler()
        try:
            with _environment():
                return topologies.get_topology_desc(**self._described()).devices
        except jax.errors.JaxRuntimeError as error:
            line = str(error).strip().splitlines()[0]
            if any(word in line for word in _LOCKED):
                raise BadInput(
                    f"another process holds the lock of libtpu, and {_SHARED} is {shown(os.environ.get(_SHARED))};"
                    " unset it, since compiling takes no TPU, or wait for that process."
                ) from error
            raise BadInput(f"--topology {self.text} cannot be compiled for ({line}); take another shape.") from error

    def check_compiler(self) -> None:
        """Raise BadInput if what compiles for these chips is not installed."""
        module, install = _PACKAGES[self.chip.platform]
        if importlib.util.find_spec(module) is None:
            raise BadInput(
                f"programs for {self.chip.name} are compiled by {module}, which is not installed; {install}."
                " --quick needs none."
            )

    def _described(self) -> dict[str, Any]:
        sizes = "x".join(map(str, self.shape))
        if self.chip.platform == "tpu":
            more = {"num_slices": self.slices} if self.slices > 1 else {}
            return {"platform": "tpu", "topology_name": f"{self.chip.name}:{sizes}", **more}
        hosts, cards = self.shape
        name = f"1x{hosts}x{cards}"
        return {"platform": "cuda", "topology_name": name, "topology": name, "target_config": self._card()}

    def _card(self) -> str:
        card, chip = _CARDS[self.chip.name], self.chip
        return (
            "gpu_device_info { threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048"
            f" shared_memory_per_block: 49152 shared_memory_per_core: {card['shared']}"
            f" shared_memory_per_block_optin: {card['optin']} core_count: {card['cores']} fpus_per_core: 128"
            " registers_per_core_limit: 65536 registers_per_block_limit: 65536 block_dim_limit_x: 2147483647"
            f" block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: {int(chip.memory_bandwidth)}"
            f" l2_cache_size: {card['l2']} clock_rate_ghz: {card['clock']} device_memory_size: {chip.memory}"
            f" cuda_compute_capability {{ major: {card['major']} }} }}"
            ' platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 } runtime_version { major: 12 minor: 8 }'
        )


def _is_sold(shape: tuple[int, ...], largest: tuple[int, ...]) -> bool:
    if len(largest) == 2:
        return tuple(sorted(shape)) in _FLAT
    if len(shape) != len(largest) or any(size % 2 for size in shape[:2]):
        return False
    return all(size <= most for size, most in zip(sorted(shape), largest, strict=True))


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Variables that libtpu reads when it is loaded, unless they are set."""
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    # Where there is no TPU, JAX sets some to a warning, of which libtpu complains on the terminal.
    unset = [name for name, value in before.items() if value is None or value.startswith("WARNING")]
    os.environ.update({name: _ENVIRONMENT[name] for name in unset})
    try:
        yield
    finally:
        for name in unset:
            del os.environ[name]
