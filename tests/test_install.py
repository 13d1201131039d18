"""The package as others get it: built, installed without extras outside the repository, and used from any folder."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

UV = Path(sys.executable).with_name("uv")
# What a package is built from.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "drumgan_jax", "configs", "data_pipelines", "launch")
EXTRAS = ("apache_beam", "clu", "librosa", "pedalboard", "pyloudnorm", "tensorflow")
# A network of a few channels, two steps, no evaluation.
SMALL = [
    "--config.generator.base=(16,16)",
    "--config.discriminator.base=(16,16)",
    "--config.generator.channel_max=8",
    "--config.generator.mapping_layers=2",
    "--config.discriminator.channel_max=8",
    "--config.train.batch_size=8",
    "--config.train.total_images=16",
    "--config.logging.samples_every=0",
    "--config.evaluation.every=0",
]


def called(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints; asserts that it ends well."""
    run = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source archive, of a copy without what earlier builds left."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("built")
    for name in SOURCES:
        if (repository / name).is_dir():
            shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(repository / name, source / name)
    called(UV, "build", "--sdist", "--wheel", "--out-dir", out, source, cwd=source)
    return out


@pytest.fixture(scope="module")
def installed(built: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that has the wheel and no extra."""
    place = tmp_path_factory.mktemp("environment") / "venv"
    called(UV, "venv", "--python", sys.executable, place, cwd=built)
    wheel = next(built.glob("*.whl"))
    constraints = repository / "constraints.txt"
    called(UV, "pip", "install", "--python", place / "bin" / "python", "-c", constraints, wheel, cwd=built)
    return place / "bin"


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has nothing to do with the repository."""
    return tmp_path_factory.mktemp("elsewhere")


def drumgan(installed: Path, elsewhere: Path, *arguments: str) -> str:
    """What the installed command prints, on one device, compiled without optimisation."""
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0", "HOME": str(elsewhere)}
    return called(installed / "drumgan", *arguments, cwd=elsewhere, **quick)


def test_the_wheel_holds_the_package_alone(built: Path, repository: Path) -> None:
    names = contents(next(built.glob("*.whl")))
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"drumgan_jax"}
    assert len(tops) == 2
    for folder in ("configs", "data_pipelines", "launch"):
        for path in (repository / folder).rglob("*.py"):
            assert f"drumgan_jax/{path.relative_to(repository)}" in names
    for path in (repository / "drumgan_jax").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert str(path.relative_to(repository)) in names


def test_the_source_archive_builds_the_same_wheel(built: Path, tmp_path: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    called(UV, "build", "--wheel", "--out-dir", tmp_path / "out", next(tmp_path.iterdir()), cwd=tmp_path)
    assert contents(next((tmp_path / "out").glob("*.whl"))) == contents(next(built.glob("*.whl")))


def test_no_extra_is_installed(installed: Path, elsewhere: Path) -> None:
    code = f"import importlib.util as u; print([name for name in {EXTRAS} if u.find_spec(name)])"
    assert called(installed / "python", "-c", code, cwd=elsewhere) == "[]\n"


def test_the_commands_tell_what_there_is(installed: Path, elsewhere: Path) -> None:
    assert "turn folders of audio into a data set" in drumgan(installed, elsewhere, "--help")
    assert "splice_loops: StyleGAN2 on drum-loop spectrograms" in drumgan(installed, elsewhere, "configs")
    assert "--grid=electrogan_grid" in drumgan(installed, elsewhere, "sweep", "--help")


def test_the_packaged_model_plays(installed: Path, elsewhere: Path) -> None:
    drumgan(installed, elsewhere, "generate", "--count=2", "--out=sounds")
    assert len(list((elsewhere / "sounds").glob("*.wav"))) == 2


def test_prepare_train_and_evaluate(installed: Path, elsewhere: Path) -> None:
    config = "--config=splice_loops:tiny"
    told = drumgan(installed, elsewhere, "prepare", config, "--audio=synthetic:drums?count=40", "--data_dir=data")
    assert "40 of 40 files gave 40 examples" in told
    drumgan(installed, elsewhere, "train", config, "--config.data.dir=~/data", "--workdir=run", *SMALL)
    assert (elsewhere / "run" / "checkpoints" / "2").is_dir()
    figures = drumgan(installed, elsewhere, "evaluate", "--run=run", "--metrics=fid:log_mel", "--samples=16")
    assert "fid/log_mel" in figures
