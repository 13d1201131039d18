"""Compilation without optimisation: a fifth of the time, for tests where nothing that is asked depends on it."""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import jax
from jax._src import compiler

# Of what is left, the newer of XLA's two code generators for CPUs takes half.
_OLDER_GENERATOR = {"xla_cpu_use_fusion_emitters": False}


@functools.cache
def _has_older_generator() -> bool:
    """Whether this XLA knows the option: it refuses those that it does not."""
    try:
        jax.jit(lambda: 0, compiler_options=_OLDER_GENERATOR).lower().compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


def quick_flags(devices: int) -> str:
    """XLA_FLAGS of a process that compiles so, on simulated devices."""
    generator = " --xla_cpu_use_fusion_emitters=false" if _has_older_generator() else ""
    return f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0{generator}"


@contextlib.contextmanager
def quick_compilation() -> Iterator[None]:
    """This process compiles so."""
    options = compiler.get_compile_options

    def quick(*arguments: Any, env_options_overrides: dict[str, Any] | None = None, **named: Any) -> Any:
        chosen = {**_OLDER_GENERATOR, **(env_options_overrides or {})}
        return options(*arguments, env_options_overrides=chosen, **named)

    if _has_older_generator():
        compiler.get_compile_options = quick
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        compiler.get_compile_options = options
        jax.config.update("jax_disable_most_optimizations", False)
