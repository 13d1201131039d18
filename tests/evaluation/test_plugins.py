"""Embedders of other packages: a distribution that lies somewhere on sys.path, found by its entry point."""

import json
from pathlib import Path

import numpy as np
import pytest
from verbs import drumgan

from drumgan_jax.audio.files import write_audio
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedders import build_embedder
from drumgan_jax.evaluation.suite import Suite

RATE = 8000
BANDS = '''
"""A package that knows this project by its public names only."""

import numpy as np

from drumgan_jax.evaluation.embedder import EmbedderOutput, HostEmbedder


def build(**changes):
    def function(windows):
        spectra = np.abs(np.fft.rfft(windows))[:, :256].reshape(len(windows), 8, 32).mean(axis=2)
        return EmbedderOutput(np.log(spectra + 1e-3))

    fields = {"name": "bands", "sample_rate": 8000, "window": 512, "hop": 512, "dimensions": 8, "weights_hash": ""}
    return HostEmbedder(**{**fields, "function": function, **changes})


def of_model(model="own"):
    return build(name="bands" if model == "own" else f"bands@{model}")


def bands_of_rate_zero():
    return build(sample_rate=0)


def other_name():
    return build(name="stripes")


def no_embedder():
    return 3


def needs_more():
    import a_package_that_is_nowhere


not_a_function = 3
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A function that lays a distribution with entry points on sys.path, as an installer does."""

    def lay(package: str = "acme-bands", module: str = "acme_bands", source: str = BANDS, **points: str) -> None:
        folder = tmp_path / package
        info = folder / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[drumgan_jax.embedders]", *lines]) + "\n")
        monkeypatch.syspath_prepend(folder)
        build_embedder.cache_clear()

    yield lay
    build_embedder.cache_clear()


def sounds(folder: Path, seed: int, low: float) -> Path:
    """A folder of decaying tones from `low` Hz up."""
    folder.mkdir()
    random, time = np.random.default_rng(seed), np.arange(RATE // 4) / RATE
    for i in range(24):
        tone = np.sin(2 * np.pi * random.uniform(low, 3 * low) * time) * np.exp(-time * random.uniform(5, 30))
        write_audio(folder / f"{i}.wav", tone, RATE)
    return folder


def test_a_package_outside_the_project_measures(install, tmp_path: Path) -> None:
    install(bands="acme_bands:build")
    real = sounds(tmp_path / "real", 0, 100)
    values = {}
    for name, seed, low in (("alike", 1, 100), ("unlike", 2, 900)):
        out = tmp_path / f"{name}.json"
        wavs = sounds(tmp_path / name, seed, low)
        drumgan("evaluate", f"--wavs={wavs}", f"--reference={real}", "--metrics=fid:bands,prdc:bands", f"--out={out}")
        figures = json.loads(out.read_text())["figures"]
        assert figures["fid/bands"]["embedder"] == "bands"
        assert figures["fid/bands"]["embeddings"] == 24 * 3
        values[name] = figures["fid/bands"]["value"]
    assert values["alike"] < 0.25 * values["unlike"]


def test_a_module_stands_for_its_function_build(install) -> None:
    install(bands="acme_bands")
    assert build_embedder("bands").window == 512


@pytest.mark.parametrize(
    ("point", "sentence"),
    [
        ("acme_bands:bands_of_rate_zero", "the embedder bands has sample_rate 0; it must be a whole number"),
        ("acme_bands:other_name", "registers the embedder bands, which calls itself stripes"),
        ("acme_bands:no_embedder", "embedder bands of the package acme-bands is a int; its function must return"),
        ("acme_bands:not_a_function", "is no function that builds an embedder"),
        ("acme_bands:nowhere", "entry point acme_bands:nowhere of the package acme-bands has no such function"),
        (
            "acme_bands:needs_more",
            r"acme-bands cannot be imported \(No module named .*\); install a_package_that_is_no",
        ),
        ("acme_bonds:build", r"cannot be imported \(No module named 'acme_bonds'\); install acme_bonds"),
    ],
)
def test_a_package_at_fault_is_one_sentence(install, point: str, sentence: str) -> None:
    install(bands=point)
    with pytest.raises(BadInput, match=sentence):
        Suite.of(["fid:bands"])


def test_no_package_takes_the_name_of_a_built_in_one_or_of_another(install) -> None:
    install(log_mel="acme_bands:build")
    with pytest.raises(
        BadInput, match="the package acme-bands has an embedder log_mel, which is the name of a built-in"
    ):
        build_embedder("log_mel")
    install(package="first", bands="acme_bands:build")
    install(package="second", bands="acme_bands:build")
    with pytest.raises(BadInput, match="the packages first and second both have an embedder bands"):
        build_embedder("bands")


def test_a_package_may_take_other_weights(install) -> None:
    install(bands="acme_bands:of_model")
    assert [build_embedder(name).name for name in ("bands", "bands=loud")] == ["bands", "bands@loud"]


def test_the_names_that_are_known_include_those_of_packages(install) -> None:
    install(bands="acme_bands:build")
    with pytest.raises(
        BadInput, match=r"no embedder 'bonds'; there are drums, .*vggish, .*bands, and files written by"
    ):
        build_embedder("bonds")
    with pytest.raises(BadInput, match="the embedder bands has only its own weights; leave out =elsewhere"):
        build_embedder("bands=elsewhere")
