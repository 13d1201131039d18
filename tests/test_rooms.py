"""The rooms of the design: imports go down the list only, and the package itself stays cheap to import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

FLOORS = {
    "cli": 0,
    "commands": 1,
    "instrument": 2,
    "packed": 2,
    "training": 3,
    "evaluation": 4,
    "latents": 4,
    "encoder": 5,
    "gan": 5,
    "vocoder": 5,
    "features": 5,
    "growth": 6,
    "weight_file": 7,
    "classifier": 5,
    "audio": 6,
    "objectives": 6,
    "networks": 6,
    "parts": 7,
    "weights": 8,
    "errors": 9,
    "atomic": 9,
}
SAME_FLOOR_APART = {"audio", "objectives", "networks"}


def imported_rooms(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.smoke
def test_imports_go_down_the_rooms_only(repository: Path) -> None:
    wrong, seen = [], 0
    for source in sorted((repository / "drumgan_jax").rglob("*.py")):
        room = source.relative_to(repository / "drumgan_jax").parts[0].removesuffix(".py")
        for name in imported_rooms(source):
            if name.split(".")[0] in ("configs", "data_pipelines", "launch", "benchmarks", "tests"):
                wrong.append(f"{source.name} imports {name}")
            target = name.split(".")[1] if name.startswith("drumgan_jax.") else None
            if target not in FLOORS or room not in FLOORS or target == room:
                continue
            seen += 1
            apart = {room, target} <= SAME_FLOOR_APART
            if FLOORS[target] < FLOORS[room] or apart:
                wrong.append(f"{source.relative_to(repository)} imports drumgan_jax.{target}")
    assert seen > 20
    assert not wrong


@pytest.mark.smoke
def test_the_package_and_its_help_import_neither_jax_nor_tensorflow() -> None:
    code = (
        "import sys, drumgan_jax, drumgan_jax.cli; drumgan_jax.cli.overview();"
        "print([name for name in ('jax', 'tensorflow', 'apache_beam') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_playing_a_run_imports_no_tensorflow() -> None:
    code = (
        "import sys, drumgan_jax; drumgan_jax.load; import drumgan_jax.training.loop, drumgan_jax.commands.generate;"
        "print([name for name in ('tensorflow', 'apache_beam', 'librosa', 'pedalboard') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
