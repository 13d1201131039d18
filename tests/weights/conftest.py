"""A cache folder of the test's own."""

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; the `weights/` under it is not made yet."""
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
