"""Large pages of memory for the arrays of a process: on Linux, training on a CPU is a tenth faster with them."""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

_TUNABLES, _TUNABLE = "GLIBC_TUNABLES", "glibc.malloc.hugetlb"
_KERNEL_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def with_large_pages(
    environment: Mapping[str, str], libc: tuple[str, str] | None = None, setting: Path = _KERNEL_SETTING
) -> dict[str, str] | None:
    """The environment in which the C library asks for large pages, or None where they cannot be asked for.

    Args:
        environment: the present one. A value of `glibc.malloc.hugetlb` in GLIBC_TUNABLES is respected, so 0 in it keeps
            small pages.
        libc: name and version of the C library; None for that of this process.
        setting: the kernel's file on transparent large pages. If it says "always", programs have them already.
    """
    name, version = libc or platform.libc_ver()
    tunables = environment.get(_TUNABLES, "")
    if name != "glibc" or tuple(map(int, version.split("."))) < (2, 35) or _TUNABLE in tunables:
        return None
    if not setting.exists() or "[madvise]" not in setting.read_text():
        return None
    return {**environment, _TUNABLES: ":".join(filter(None, [tunables, f"{_TUNABLE}=1"]))}


def restart_with_large_pages() -> None:
    """Start this program anew if the C library, which reads its settings at a start only, can give it large pages."""
    if environment := with_large_pages(os.environ):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
