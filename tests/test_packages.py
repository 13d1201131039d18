"""What is installed: no folder of the package is forgotten, and no file of it is left out of the repository."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest


def setuptools_section(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["setuptools"]


def folders_of_the_package(repository: Path) -> dict[str, Path]:
    """Every folder that has modules, by the name of the package that it is."""
    roots = {"drumgan_jax": "drumgan_jax", **setuptools_section(repository)["package-dir"]}
    found = {}
    for package, root in roots.items():
        for folder in {source.parent for source in (repository / root).rglob("*.py")}:
            found[".".join([package, *folder.relative_to(repository / root).parts])] = folder
    return found


@pytest.mark.smoke
def test_every_folder_is_listed_as_a_package(repository: Path) -> None:
    folders = folders_of_the_package(repository)
    assert sorted(setuptools_section(repository)["packages"]) == sorted(folders)
    assert [name for name, folder in folders.items() if not (folder / "__init__.py").is_file()] == []


@pytest.mark.smoke
def test_git_ignores_no_file_of_the_package(repository: Path) -> None:
    if not (shutil.which("git") and (repository / ".git").exists()):
        pytest.skip("not a checkout of git")
    sources = [str(path) for folder in folders_of_the_package(repository).values() for path in folder.glob("*.py")]
    command = ["git", "check-ignore", "--no-index", *sources]
    assert subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False).stdout == ""
