"""What comes before the first step: joining processes, the compilation cache."""

import jax
import pytest

from drumgan_jax.core import distributed
from drumgan_jax.core.compilation import enable_compilation_cache
from drumgan_jax.core.errors import BadInput


@pytest.fixture
def environment(monkeypatch):
    for name in distributed.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.smoke
def test_alone_without_variables(environment):
    distributed.join()
    assert not jax.distributed.is_initialized()


def test_incomplete_variables_are_named(environment):
    environment.setenv("JAX_NUM_PROCESSES", "2")
    with pytest.raises(BadInput, match="JAX_NUM_PROCESSES is set but JAX_COORDINATOR_ADDRESS, JAX_PROCESS_ID is not"):
        distributed.join()
    environment.setenv("JAX_COORDINATOR_ADDRESS", "localhost:1")
    environment.setenv("JAX_PROCESS_ID", "first")
    with pytest.raises(BadInput, match="must be whole numbers"):
        distributed.join()


def test_compilation_cache_is_the_users_unless_chosen(monkeypatch, tmp_path):
    before = jax.config.jax_compilation_cache_dir
    least = jax.config.jax_persistent_cache_min_compile_time_secs
    assert str(enable_compilation_cache()) == before
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        assert enable_compilation_cache() == tmp_path / "drumgan_jax" / "xla"
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "drumgan_jax" / "xla")
        jax.config.update("jax_compilation_cache_dir", None)
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert enable_compilation_cache() is None
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", least)
