"""The persistent compilation cache, with which a second start compiles nothing."""

import os
from pathlib import Path

import jax
from absl import logging


def enable_compilation_cache() -> Path | None:
    """Keep compiled steps in the user's cache folder, unless JAX_COMPILATION_CACHE_DIR names another folder.

    Returns:
        The folder; None if it cannot be created, in which case every start compiles again.
    """
    chosen = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "drumgan_jax" / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logging.warning("no compilation cache: %s cannot be created (%s).", folder, error.strerror)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Cache small functions too: a start compiles dozens of them, which together take seconds.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    return folder
