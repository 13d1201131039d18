"""Four simulated devices, strict dtype promotion and one compilation cache for all tests."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Before the first import of jax anywhere: XLA reads these once. Subprocesses of tests inherit them.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
# NumPy's threads wait for each other by spinning, which costs more than they gain where tests run side by side.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
REPOSITORY = Path(__file__).resolve().parent.parent
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(REPOSITORY / ".cache" / "xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
# No test reads what another run kept of a reference, nor a user's weights unless it asks for them.
_USERS_CACHE = os.environ.get("DRUMGAN_CACHE", "")
_CACHE = tempfile.TemporaryDirectory(prefix="drumgan-tests-")
os.environ["DRUMGAN_CACHE"] = _CACHE.name

import jax  # noqa: E402
import pytest  # noqa: E402
from quick_compilation import quick_compilation  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")


# The files that take half a minute or more go first, so that no process is left with one of them at the end.
LONG = ("test_cli", "test_devices", "test_projected_task", "test_vocoder_task", "test_loop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put LONG first, the rest in their order."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(scope="module")
def unoptimized() -> Iterator[None]:
    """Compiles quickly, for modules where nothing that is asked depends on how: see quick_compilation."""
    with quick_compilation():
        yield


@pytest.fixture
def users_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's own folder of weights, for tests that skip without them."""
    monkeypatch.setenv("DRUMGAN_CACHE", _USERS_CACHE)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout's root."""
    return REPOSITORY


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of real recordings beside the checkout; skips where it is absent."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not (folder / "drums" / "manifest.csv").is_file():
        pytest.skip(f"no real recordings beside the checkout ({folder.name}/drums/manifest.csv)")
    return folder
