"""The rooms of the house: imports go down its floors only, and the package itself stays cheap to import."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# From the top. An import goes to a lower floor: neither up, nor to another room of its own floor.
FLOORS = (
    ("cli",),
    ("launch",),
    ("commands",),
    ("planning",),
    ("training",),
    ("play",),
    ("runs", "data_pipelines"),
    ("data",),
    ("evaluation", "latents"),
    ("systems",),
    ("weights", "objectives", "networks", "audio", "configs"),
    ("core",),
)
# The package's own file imports nothing of it; `__getattr__` reaches `play` when it is asked to.
ROOT = "__init__"
OUTSIDE = ("benchmarks", "tests")
BESIDE_THE_PACKAGE = ("configs", "data_pipelines", "launch")


def modules(repository: Path) -> Iterator[tuple[str, Path]]:
    """Every module's room and path: folders and root files of the package, and the folders beside it."""
    package = repository / "drumgan_jax"
    for source in sorted(package.rglob("*.py")):
        yield source.relative_to(package).parts[0].removesuffix(".py"), source
    for room in BESIDE_THE_PACKAGE:
        for source in sorted((repository / room).rglob("*.py")):
            yield room, source


def imported(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source} has a relative import, which this test does not follow"
            names |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def rooms_imported(source: Path) -> set[str]:
    return {name.split(".")[1] for name in imported(source) if name.startswith("drumgan_jax.")}


@pytest.mark.smoke
def test_every_module_is_in_a_known_room(repository: Path) -> None:
    known = {room for floor in FLOORS for room in floor} | {ROOT}
    assert {room for room, _ in modules(repository)} == known


@pytest.mark.smoke
def test_imports_go_down_the_floors_only(repository: Path) -> None:
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    wrong, arrows = [], set()
    for room, source in modules(repository):
        where = source.relative_to(repository)
        wrong += [f"{where} imports {name}" for name in imported(source) if name.split(".")[0] in OUTSIDE]
        wrong += [
            f"{where} imports {name}; it is drumgan_jax.{name}"
            for name in imported(source)
            if name.split(".")[0] in BESIDE_THE_PACKAGE
        ]
        if room == ROOT:
            continue
        for target in (rooms_imported(source) & floor_of.keys()) - {room}:
            arrows.add((room, target))
            if floor_of[target] <= floor_of[room]:
                wrong.append(f"{where} imports drumgan_jax.{target}")
    assert len(arrows) > 40
    assert not wrong


def test_the_page_on_the_architecture_has_these_floors(repository: Path) -> None:
    rows = re.findall(r"^\| (\d+) \| `([\w.]+)` \|", (repository / "docs" / "architecture.md").read_text(), flags=re.M)
    page: dict[int, set[str]] = {}
    for number, room in rows:
        page.setdefault(int(number), set()).add(room.removesuffix(".py"))
    assert page == {number: set(floor) for number, floor in enumerate(FLOORS, start=1)}


@pytest.mark.smoke
def test_the_package_and_its_help_import_neither_jax_nor_tensorflow() -> None:
    code = (
        "import sys, drumgan_jax, drumgan_jax.cli; drumgan_jax.cli.overview();"
        "print([name for name in ('jax', 'tensorflow', 'apache_beam') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_training_and_the_verbs_that_play_import_no_tensorflow() -> None:
    code = (
        "import sys, drumgan_jax; drumgan_jax.load; import drumgan_jax.training.loop, drumgan_jax.commands.generate;"
        "print([name for name in ('tensorflow', 'apache_beam', 'librosa', 'pedalboard') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_the_packaged_instrument_is_loaded_without_what_data_sets_and_checkpoints_need() -> None:
    code = (
        "import sys, drumgan_jax; drumgan_jax.load();"
        "print([name for name in ('grain', 'tensorflow_datasets', 'orbax', 'tensorflow') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
