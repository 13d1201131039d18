"""Sources: folders, manifests, procedural sets, TFDS data sets; and the splits of what they list."""

from collections import Counter

import numpy as np
import pytest
import soundfile

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines import synthetic
from drumgan_jax.data_pipelines.conditioning import Preparation
from drumgan_jax.data_pipelines.sources import Item, class_of, list_items, read_item
from drumgan_jax.data_pipelines.splits import assign_splits, group_of


def write(path, seconds=0.1, rate=22050, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (round(seconds * rate), channels))
    soundfile.write(path, samples, rate)
    return path


@pytest.mark.smoke
def test_a_folder_gives_labels_sources_and_a_stable_order(tmp_path):
    for name in ("acme/kick/b.wav", "acme/kick/a.flac", "acme/snare/Loop 93 BPM.wav", "acme/snare/._a.wav"):
        write(tmp_path / name)
    write(tmp_path / "top.wav")
    (tmp_path / "acme" / "notes.txt").write_text("not audio")
    items = list_items([str(tmp_path)])
    assert [(item.path, item.source, item.label) for item in items] == [
        ("top.wav", tmp_path.name, tmp_path.name),
        ("acme/kick/a.flac", "acme", "kick"),
        ("acme/kick/b.wav", "acme", "kick"),
        ("acme/snare/Loop 93 BPM.wav", "acme", "snare"),
    ]
    assert read_item(items[1]).samples.shape == (2205, 1)


def test_a_pattern_gives_labels_where_it_matches(tmp_path):
    write(tmp_path / "all" / "BD_01.wav")
    write(tmp_path / "all" / "x.wav")
    items = list_items([str(tmp_path)], label_pattern=r"([A-Z]{2})_\d+")
    assert [item.label for item in items] == ["bd", "all"]
    for pattern, word in (("(", "regular expression"), ("BD", "group")):
        with pytest.raises(BadInput, match=word):
            list_items([str(tmp_path)], label_pattern=pattern)


def test_a_manifest_gives_labels_tempo_and_conditions(tmp_path):
    write(tmp_path / "wav" / "ä ö.wav")
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        "path,label,source,licence,bpm,group\n"
        "wav/ä ö.wav,kick,acme,CC0-1.0,128.5,g1\n"
        "wav/b.wav,snare,acme,GPL-3.0,,\n"
        "wav/c.wav,,,Public domain,,\n",
        encoding="utf-8",
    )
    items = list_items([str(manifest)])
    assert [(i.path, i.label, i.source, i.bpm, i.group) for i in items] == [
        ("wav/ä ö.wav", "kick", "acme", 128.5, "g1"),
        ("wav/b.wav", "snare", "acme", None, ""),
        ("wav/c.wav", "wav", tmp_path.name, None, ""),
    ]
    assert read_item(items[0]).sample_rate == 22050
    kept = list_items([str(manifest)], where=["licence=CC0-1.0|Public domain", "source=acme"])
    assert [item.path for item in kept] == ["wav/ä ö.wav"]
    with pytest.raises(BadInput, match="no column 'license'"):
        list_items([str(manifest)], where=["license=CC0-1.0"])
    manifest.write_text("path,bpm\na.wav,fast\n")
    with pytest.raises(BadInput, match="line 2: bpm is 'fast'"):
        list_items([str(manifest)])
    manifest.write_bytes(b"path\n\xff\xfe.wav\n")
    with pytest.raises(BadInput, match="UTF-8"):
        list_items([str(manifest)])


def test_procedural_sets():
    drums = list_items(["synthetic:drums?count=8&seed=3"])
    assert [item.label for item in drums[:7]] == [*synthetic.VOICES, "kick"]
    np.testing.assert_array_equal(read_item(drums[6]).samples[:, 0], synthetic.one_shot("kick", 1, seed=3))
    bars = list_items(["synthetic:bars?count=2&bars=2&bpm=125"])
    assert [item.bpm for item in bars] == [125.0, 125.0]
    assert len(read_item(bars[1]).samples) == round(8 * 60 / 125 * 44100)


@pytest.mark.smoke
@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("nowhere", "does not exist"),
        ("synthetic:guitars", "synthetic:drums"),
        ("synthetic:drums?number=3", "no option 'number'"),
        ("synthetic:drums?count=many", "whole number"),
        ("synthetic:drums?count=0", "1 or more"),
        ("tfds:no_such_data_set", "cannot be opened"),
    ],
)
def test_unknown_sources_are_told(source, word):
    with pytest.raises(BadInput, match=word):
        list_items([source])


def test_empty_sources_are_told(tmp_path):
    with pytest.raises(BadInput, match="has no audio"):
        list_items([str(tmp_path)])
    with pytest.raises(BadInput, match="--audio"):
        list_items([])
    (tmp_path / "a.txt").touch()
    with pytest.raises(BadInput, match=r"a\.txt is neither a folder, a manifest \(\.csv\) nor a WAV, .* file"):
        list_items([str(tmp_path / "a.txt")])
    with pytest.raises(BadInput, match="column=value"):
        list_items([str(tmp_path)], where=["CC0"])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("snare/14p_muted_top_sn_vl4_rr1.flac", "snare/14p_muted_oh_sn_vl1_rr2.flac", True),
        ("kick/KdrumL_10-KdrumL.flac", "kick/KdrumL_8-KdrumL.flac", True),
        ("tom/GMRockKit_Tom1-Softest.flac", "tom/GMRockKit_Tom1-Hardest.flac", True),
        ("kick/Deep 4.flac", "kick/Snappy 4.flac", False),
        ("kick/a_1.flac", "snare/a_1.flac", False),
    ],
)
def test_layers_of_a_hit_are_one_group(one, other, same):
    groups = [group_of(Item(path, path, "kit", "x")) for path in (one, other)]
    assert (groups[0] == groups[1]) is same


@pytest.mark.smoke
@pytest.mark.parametrize("split_by", ["source", "hash"])
def test_splits_keep_groups_together_and_do_not_depend_on_the_order(split_by):
    items = [
        Item(f"{s}/{w}{n}", f"{label}/{w}_{n}.wav", f"source{s}", label)
        for s in range(30)
        for label in ("kick", "snare")
        for w in ("deep", "dry", "big")
        for n in range(3)
    ]
    splits = assign_splits(items, Preparation(test_fraction=0.2, split_by=split_by))
    assert sum(len(members) for members in splits.values()) == len(items)
    assert 0.15 < len(splits["test"]) / len(items) < 0.3
    for key in ((lambda item: item.source) if split_by == "source" else group_of,):
        assert not {key(item) for item in splits["train"]} & {key(item) for item in splits["test"]}
    again = assign_splits(items[::-1], Preparation(test_fraction=0.2, split_by=split_by))
    assert set(again["test"]) == set(splits["test"])


def test_splits_of_too_few_groups_are_refused():
    items = [Item(str(n), f"kick/{n}.wav", "one", "kick") for n in range(50)]
    for split_by in ("source", "hash"):
        with pytest.raises(BadInput, match="test_fraction"):
            assign_splits(items, Preparation(test_fraction=0.1, split_by=split_by))


def test_splits_of_real_recordings(recordings):
    items = [i for i in list_items([str(recordings / "drums" / "manifest.csv")]) if i.label != "loop"]
    splits = assign_splits(items, Preparation(test_fraction=0.1))
    assert 0.08 < len(splits["test"]) / len(items) < 0.15
    assert len(Counter(item.label for item in splits["train"])) == 7
    assert not {group_of(i) for i in splits["train"]} & {group_of(i) for i in splits["test"]}


def test_a_folder_says_no_licences(tmp_path):
    write(tmp_path / "kick" / "a.wav")
    with pytest.raises(BadInput, match="is a folder, which says no licences; give a manifest"):
        list_items([str(tmp_path)], where=["licence~free"])


def test_hats_are_told_apart_by_finer_class_or_name() -> None:
    rows = [
        ("cymbal", "hihat_closed", "a.wav", "closed_hat"),
        ("cymbal", "hihat_half", "a.wav", "open_hat"),
        ("cymbal", "ride", "open.wav", "cymbal"),
        ("cymbal", "", "Open Hat 3.wav", "open_hat"),
        ("hat", "", "3.wav", "closed_hat"),
        ("snare", "", "open.wav", "snare"),
        ("loop", "", "hat.wav", "loop"),
    ]
    for label, subclass, path, expected in rows:
        assert class_of(Item(path, path, "source", label, subclass=subclass)) == expected
