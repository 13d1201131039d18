"""What the tests of the data pipeline share."""

import builtins

import pytest


@pytest.fixture
def no_pedalboard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stretching library as if it were not installed."""
    load = builtins.__import__

    def without(name, *arguments, **options):
        if name == "pedalboard":
            raise ImportError(name)
        return load(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
