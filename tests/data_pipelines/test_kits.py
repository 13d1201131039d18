"""Libraries of one-shots as kits, and the source `sequenced:` that plays bars on them."""

import json
from collections import Counter

import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.patterns import GENRES
from drumgan_jax.data_pipelines import kits, sources, synthetic
from drumgan_jax.data_pipelines.prepare import prepare
from drumgan_jax.data_pipelines.sources import list_items, read_item

# TFDS asks protobuf for a field's label when it reads what it wrote.
pytestmark = pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning")

FREE = ["licence=CC0-1.0|Unlicense|Public domain (repo README)|Public Domain (per-folder README)"]


@pytest.fixture
def library(tmp_path):
    """Folders acme and zeta of three classes each, two sounds of each class, and a manifest of acme's."""
    rows = ["path,label,source,licence,subclass"]
    for seed, source in enumerate(("acme", "zeta")):
        for label, voice in (("kick", "kick"), ("clap", "clap"), ("cymbal", "hat")):
            for number in range(2):
                path = tmp_path / source / label / f"{'closed' if voice == 'hat' else voice}_{number}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, synthetic.one_shot(voice, number, seed), 44100)
                licence = "CC0-1.0" if number else "GPL"
                rows.append(f"{path.relative_to(tmp_path)},{label},{source},{licence},")
    (tmp_path / "manifest.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("label", "name", "voice"),
    [
        ("kick", "kick_01", "kick"),
        ("Snares", "rimshot", "snare"),
        ("hat", "a", "closed_hat"),
        ("Hats", "hat_open_2", "open_hat"),
        ("hihat", "808 OH", "open_hat"),
        ("cymbal", "hihat_closed", "closed_hat"),
        ("cymbal", "hihat_half", "open_hat"),
        ("cymbal", "CHH 3", "closed_hat"),
        ("cymbal", "ride_bell", "ride"),
        ("cymbal", "splash", "crash"),
        ("cymbal", "CY7550", "crash"),
        ("percussion", "open conga", "percussion"),
        ("loop", "hat loop", None),
        ("bass", "kick", None),
    ],
)
def test_voices_of_one_shots(label, name, voice):
    assert kits.voice_of(label, name) == voice


@pytest.mark.smoke
def test_a_kit_needs_a_kick_a_snare_or_clap_and_a_cymbal():
    acme = {"kick": ["a"], "clap": ["b"], "ride": ["c"]}
    poor = {"snare": ["a"], "tom": ["b"]}
    assert kits.whole({"acme": acme, "poor": poor}, "here") == {"acme": acme}
    with pytest.raises(BadInput, match=r"here has no library .*; add a kick and a cymbal or hat to poor"):
        kits.whole({"poor": poor, "rest": {"rim": ["a"]}}, "here")
    with pytest.raises(BadInput, match="no one-shots of the classes kick, snare"):
        kits.whole({}, "here")


def test_sounds_begin_at_their_onset_and_what_cannot_be_used_is_told(tmp_path):
    sound = np.concatenate([np.zeros(4000), np.ones(40_000)]).astype(np.float32)
    soundfile.write(tmp_path / "late.wav", np.stack([sound, sound], axis=1), 22050)
    soundfile.write(tmp_path / "silent.wav", np.zeros(4000), 22050)
    kit = kits.draw({"kick": [str(tmp_path / "late.wav")]}, np.random.default_rng(0))
    assert len(kit["kick"]) == round(0.6 * 44100)
    assert np.argmax(kit["kick"] > 0.5) < 0.003 * 44100
    for name, word in (("silent", "silent"), ("absent", "cannot be opened")):
        with pytest.raises(BadInput, match=rf"{name}\.wav .*{word}"):
            kits.draw({"kick": [str(tmp_path / f"{name}.wav")]}, np.random.default_rng(0))


@pytest.mark.smoke
def test_bars_are_spread_evenly_and_are_the_same_in_any_process(library):
    items = list_items([f"sequenced:{library}?count=28&seed=5"])
    assert Counter(item.label for item in items) == dict.fromkeys(GENRES, 4)
    assert Counter((item.label, item.source) for item in items) == {(g, s): 2 for g in GENRES for s in ("acme", "zeta")}
    assert {item.bpm for item in items} == {120.0}
    assert len({item.path for item in items}) == 28
    bars = [read_item(item) for item in items]
    assert all(bar.samples.shape == (88_200, 1) and bar.sample_rate == 44_100 for bar in bars)
    # As a worker starts: nothing listed, nothing read.
    sources._libraries.cache_clear()
    kits._sound.cache_clear()
    np.testing.assert_array_equal(read_item(items[17]).samples, bars[17].samples)
    assert not np.array_equal(bars[0].samples, bars[14].samples)
    other = list_items([f"sequenced:{library}?count=28&seed=6"])
    assert not np.array_equal(read_item(other[0]).samples, bars[0].samples)


def test_options_of_bars(library):
    some = list_items([f"sequenced:{library}?count=4&genres=rock+half_time&bars=2&bpm=0"])
    assert [item.label for item in some] == ["rock", "half_time"] * 2
    for item in some:
        assert len(read_item(item).samples) == round(2 * 240 / item.bpm * 44100)
    own = list_items(["synthetic:bars?count=4&genres=techno+house&bpm=125"])
    assert [item.label for item in own] == ["techno", "house"] * 2
    np.testing.assert_array_equal(
        read_item(own[2]).samples[:, 0], synthetic.bars(2, count=1, bpm=125, genre="techno")[0]
    )


def test_conditions_and_patterns_reach_the_worker(library):
    (item,) = list_items([f"sequenced:{library / 'manifest.csv'}?count=1"], where=["licence=CC0-1.0"])
    bar = read_item(item).samples
    for path in library.rglob("*_0.wav"):  # The others' licence.
        path.unlink()
    sources._libraries.cache_clear()
    kits._sound.cache_clear()
    np.testing.assert_array_equal(read_item(item).samples, bar)
    folder = library / "flat"
    folder.mkdir()
    for path in library.rglob("*_1.wav"):
        path.rename(folder / f"{path.parent.name}-{path.parent.parent.name}{path.name}")
    (item,) = list_items([f"sequenced:{folder}?count=1"], label_pattern="^([a-z]+)-")
    sources._libraries.cache_clear()
    assert np.any(read_item(item).samples)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ("genres=house+polka", r"genres has 'polka'; give some of house\+techno"),
        ("genres=", "genres has no names"),
        ("bpm=12", "bpm is 12; it must be from 30 to 300, or 0"),
        ("bpm=400", "bpm is 400"),
        ("bpm=fast", "bpm is 'fast'; it must be a whole number"),
        ("swing=1", "no option 'swing'; there are count, seed, bars, bpm, genres"),
        ("count=0", "1 or more"),
        ("bars=0", "1 or more"),
    ],
)
def test_unfit_options_are_told(library, options, word):
    for source in (f"sequenced:{library}", "synthetic:bars"):
        with pytest.raises(BadInput, match=word):
            list_items([f"{source}?{options}"])


def test_folders_without_a_kit_are_told(tmp_path, library):
    with pytest.raises(BadInput, match="does not exist"):
        list_items(["sequenced:nowhere"])
    with pytest.raises(BadInput, match=r"add a snare or clap to acme"):
        list_items([f"sequenced:{library / 'manifest.csv'}"], where=["source=acme", "label=kick|cymbal"])


def test_whole_libraries_are_held_out_and_a_damaged_sound_is_told(library):
    (library / "acme" / "clap" / "clap_0.wav").write_bytes(b"RIFF")
    config = ConfigDict(
        {
            "name": "bars",
            "representation": {"kind": "waveform", "sample_rate": 8000, "num_samples": 15_360},
            "slicing": {"kind": "bar"},
            "preparation": {"test_sources": ("zeta",)},
        }
    )
    result = prepare(config, [f"sequenced:{library}?count=28"], library / "data", workers=1)
    rows = json.loads((result.directory / "report.json").read_text())["files"]
    assert {(row["source"], row["split"]) for row in rows} == {("acme", "train"), ("zeta", "test")}
    assert all(row["kept"] == 1 for row in rows if row["source"] == "zeta")
    (reason,) = {skip["reason"] for row in rows for skip in row.get("skipped", ())}
    assert "clap_0.wav cannot be decoded" in reason
    assert 0 < sum(row["kept"] for row in rows if row["source"] == "acme") < 14


def test_bars_of_real_recordings(recordings):
    items = list_items([f"sequenced:{recordings / 'drums' / 'manifest.csv'}?count=98&genres=house+half_time"], FREE)
    assert len({item.source for item in items}) >= 7
    rises = {"house": [], "half_time": []}
    for item in items:
        bar = read_item(item).samples[:, 0].astype(np.float64)
        assert np.isfinite(bar).all()
        assert 0.6 <= np.abs(bar).max() <= 0.951
        spectrum = np.abs(np.fft.rfft(np.pad(bar, (441, 0))[:88_200].reshape(-1, 441), axis=1)) ** 2
        # The rise of the lows (to 200 Hz) and of the rest within 30 ms of each step.
        bands = np.log(np.stack([spectrum[:, 1:3].sum(1), spectrum[:, 5:].sum(1)], axis=1) + 1e-4)
        steps = 1 + np.round(np.arange(16) * 12.5).astype(int)
        after = np.stack([bands[(steps + late) % 200] for late in range(4)]).max(0)
        rises[item.label].append(after - bands[(steps - 2) % 200])
    house, half = (np.median(rises[genre], axis=0) for genre in ("house", "half_time"))
    others = np.setdiff1d(np.arange(16), [0, 4, 8, 12])
    assert house[[0, 4, 8, 12], 0].min() > house[others, 0].max() + 1
    # Of the backbeat's steps, only three is struck.
    assert half[8, 1] > half[[4, 12], 1].max() + 1
