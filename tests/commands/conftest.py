"""What the tests of verbs play."""

from pathlib import Path

import pytest
from verbs import write_toy


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a toy GAN with an encoder."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    write_toy(folder)
    return folder
