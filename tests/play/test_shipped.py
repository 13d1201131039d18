"""The model that comes with the package, and what the README points to."""

import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from drumgan_jax.audio.files import resample
from drumgan_jax.audio.onsets import find_onsets
from drumgan_jax.configs import pca_gan
from drumgan_jax.core.digests import file_hash
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import read_weights
from drumgan_jax.data.patterns import GENRES
from drumgan_jax.evaluation.embedders import build_embedder
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import FORMAT, PACKAGED, SHIPPED, load
from drumgan_jax.weights.catalogue import CATALOGUE, INSTRUMENTS

pytestmark = pytest.mark.usefixtures("unoptimized")
SOUNDS = 32
# Every figure of the packaged instruments is against these.
HELD_OUT = {"sonic-pi", "tr808-fischer", "uzu-drumkit"}


@pytest.fixture(scope="module")
def instrument() -> Instrument:
    return load()


@pytest.mark.smoke
def test_it_is_small_and_says_what_it_is(instrument: Instrument) -> None:
    assert SHIPPED.stat().st_size < 12 * 2**20
    assert SHIPPED.with_suffix(".md").is_file()
    assert instrument.label_names == pca_gan.CLASSES
    assert (instrument.sample_rate, instrument.num_samples) == (44_100, 44_544)
    assert len(instrument.components()) > 0


@pytest.mark.parametrize("name", sorted(PACKAGED))
def test_what_is_packaged_was_not_trained_on_the_held_out_sources(name: str) -> None:
    sources = read_weights(PACKAGED[name], FORMAT, "an instrument").header["card"]["sources"]
    assert sources
    assert not HELD_OUT & set(sources)


def test_its_classes_are_heard_as_such(instrument: Instrument) -> None:
    """Most sounds are of the class that was asked, by the packaged classifier; none is silent or beyond full scale."""
    classifier = build_embedder("drums")
    predict = jax.jit(classifier.embed)
    # As the classifier names them; it knows no other class.
    asked = {"kick": "kick", "snare": "snare", "closed_hat": "cymbal", "open_hat": "cymbal", "cymbal": "cymbal"}
    for name, wanted in asked.items():
        waveforms = instrument.sample(range(SOUNDS), labels=name).waveforms
        assert np.isfinite(waveforms).all()
        assert np.abs(waveforms).max(axis=1).min() > 0.05
        assert np.abs(waveforms).max() <= 1.0
        windows = np.stack([resample(one, instrument.sample_rate, classifier.sample_rate) for one in waveforms])
        windows = windows[:, : classifier.window]
        windows = np.pad(windows, ((0, 0), (0, classifier.window - windows.shape[1])))
        heard = np.asarray(predict(classifier.variables, windows).logits).argmax(axis=1)
        assert np.mean(heard == classifier.classes.index(wanted)) > 0.5, name


def test_a_sound_is_encoded_and_played_again(instrument: Instrument) -> None:
    sounds = instrument.sample([7], labels="kick")
    again = instrument.render(instrument.vary(instrument.encode(sounds.waveforms[0], instrument.sample_rate), 0.1, 3))
    assert again.waveforms.shape == sounds.waveforms.shape
    assert np.isfinite(again.waveforms).all()


def test_the_packaged_loops_are_bars_of_two_seconds_that_repeat_on_the_grid() -> None:
    assert PACKAGED["loops"].stat().st_size < 12_000_000
    assert PACKAGED["loops"].with_suffix(".md").is_file()
    loops = load(packaged="loops")
    assert (loops.sample_rate, loops.num_samples) == (22_050, 44_100)
    assert set(loops.label_names) == set(GENRES)
    bars = loops.sample(range(14)).waveforms
    assert np.isfinite(bars).all()
    assert 0.1 < np.abs(bars).max(axis=1).min() <= np.abs(bars).max() <= 1.0
    largest = np.abs(np.diff(bars, axis=1)).max(axis=1)
    assert np.median(np.abs(bars[:, 0] - bars[:, -1]) / largest) < 0.1
    sixteenth = 0.125
    late = []
    for bar in bars:
        times = find_onsets(np.tile(bar, 3), loops.sample_rate)
        late.append(np.median(np.abs((times + sixteenth / 2) % sixteenth - sixteenth / 2)))
    assert np.mean(np.asarray(late) < 0.01) >= 0.8


@pytest.mark.parametrize("name", INSTRUMENTS)
def test_a_released_instrument_is_the_catalogues_and_plays(
    name: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = repository / "release" / f"{name}.npz"
    assert (file.stat().st_size, file_hash(file)) == (CATALOGUE[name].size, CATALOGUE[name].sha256)
    sources = read_weights(file, FORMAT, "an instrument").header["card"]["sources"]
    assert sources
    assert not HELD_OUT & set(sources)
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path))
    with pytest.raises(BadInput, match=f"drumgan weights get {name}"):
        load(packaged=name)
    fetched = tmp_path / "weights" / f"{name}.npz"
    fetched.parent.mkdir()
    shutil.copy(file, fetched)
    instrument = load(name)
    sounds = instrument.sample(range(8), labels="snare")
    assert np.isfinite(sounds.waveforms).all()
    assert 0.05 < np.abs(sounds.waveforms).max(axis=1).min() <= np.abs(sounds.waveforms).max() <= 1.0
    again = instrument.render(instrument.encode(sounds.waveforms[0], instrument.sample_rate))
    assert again.waveforms.shape == (1, instrument.num_samples)
    content = bytearray(fetched.read_bytes())
    content[len(content) // 2] ^= 1
    fetched.write_bytes(content)
    with pytest.raises(BadInput, match="SHA-256"):
        load(packaged=name)


def test_what_the_readme_points_to_is_there(repository: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (repository / "README.md").read_text())
    assert len(links) > 5
    missing = [link for link in links if "://" not in link and not (repository / link).exists()]
    assert not missing
