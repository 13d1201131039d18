"""What embeddings do not show: clicks, offsets, copies, classes that are not heard. Each case is wrong without it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.synthetic import one_shot
from drumgan_jax.evaluation.quality import METRICS
from drumgan_jax.evaluation.quality.judge import (
    Judge,
    fit_judge,
    judge_waveforms,
    load_judge,
    packaged_judge,
    save_judge,
)
from drumgan_jax.evaluation.quality.novelty import nearest_distances, novelty
from drumgan_jax.evaluation.quality.round_trip import envelope_decibels, mel_decibels, nearest_sounds, round_trip
from drumgan_jax.evaluation.quality.sets import MeasuredSet, SoundSet, load_set, measure, save_set
from drumgan_jax.evaluation.quality.sound import (
    SoundFamily,
    attack,
    common_energy,
    compare_attacks,
    compare_sound,
    end_click,
    likeness,
    offset,
    rumble,
    sound_family,
    start_click,
)
from drumgan_jax.evaluation.quality.table import AS_ASKED, COPIED, compare_sets, quality_text, sound_text
from drumgan_jax.evaluation.quality.thumbnails import SHAPE, decibels, thumbnails
from drumgan_jax.evaluation.suite import Suite

pytestmark = pytest.mark.usefixtures("unoptimized")
RATE, SAMPLES = 22_050, 12_032
NAMES = ("kick", "snare", "cymbal")
FADE = np.linspace(0.0, 1.0, 40, dtype=np.float32)


def drums(first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Procedural drums [count, SAMPLES], and their classes in turn."""
    classes = np.arange(count) % 3
    sounds = np.zeros((count, SAMPLES), np.float32)
    for item, number in enumerate(classes):
        sound = one_shot(NAMES[number], first + item, seed=5)[::2][:SAMPLES]
        sounds[item, : len(sound)] = 0.8 * sound / np.abs(sound).max()
        sounds[item, :40] *= FADE
        sounds[item, -40:] *= FADE[::-1]
    return sounds, classes


@pytest.fixture(scope="module")
def recordings() -> tuple[np.ndarray, np.ndarray]:
    return drums(0, 60)


@pytest.fixture(scope="module")
def others() -> tuple[np.ndarray, np.ndarray]:
    return drums(1000, 60)


@pytest.fixture(scope="module")
def family(recordings: tuple[np.ndarray, np.ndarray]) -> SoundFamily:
    return sound_family(recordings[0], RATE)


def alarms(waveforms: np.ndarray, family: SoundFamily) -> set[str]:
    figures = compare_sound(sound_family(waveforms, RATE), family)
    return {name for name, figure in figures.items() if figure.alarm}


def test_sounds_of_the_same_kind_raise_no_alarm(others: tuple[np.ndarray, np.ndarray], family: SoundFamily) -> None:
    assert not alarms(others[0], family)


@pytest.mark.parametrize(
    ("fault", "wanted"),
    [
        (lambda w: np.concatenate([np.full((len(w), 1), 0.3), w[:, 1:]], axis=1), {"start"}),
        (lambda w: np.concatenate([w[:, :-1], np.full((len(w), 1), 0.05)], axis=1), {"end"}),
        (lambda w: np.where(np.arange(len(w))[:, None] % 6 == 0, 1.5 * w, w), {"clipped"}),
        (lambda w: np.where(np.arange(len(w))[:, None] % 6 == 0, 1e-5 * w, w), {"silent"}),
        (lambda w: w + 0.2 * np.sin(2 * np.pi * 7.3 * np.arange(SAMPLES) / RATE) * np.hanning(SAMPLES), {"rumble"}),
        (lambda w: w + 0.02 * np.hanning(SAMPLES), {"dc"}),
        (lambda w: 0.05 * w, {"level"}),
        (lambda w: w + 0.4 * w[:1], {"common", "likeness"}),
    ],
)
def test_each_fault_raises_its_alarm(fault, wanted: set[str], others: tuple[np.ndarray, np.ndarray], family) -> None:
    assert wanted <= alarms(fault(others[0]).astype(np.float32), family)


def test_descriptors_are_those_of_numpy(recordings: tuple[np.ndarray, np.ndarray]) -> None:
    waveforms = recordings[0][:6].astype(np.float64)
    peak = np.abs(waveforms).max(axis=1)
    np.testing.assert_allclose(start_click(waveforms, RATE), np.abs(waveforms[:, 0]) / peak)
    np.testing.assert_allclose(end_click(waveforms, RATE), np.abs(waveforms[:, -1]) / peak)
    np.testing.assert_allclose(offset(waveforms, RATE), np.abs(waveforms.mean(1)) / waveforms.std(1), rtol=0.05)
    tone = np.sin(2 * np.pi * np.array([[10.0], [50.0]]) * np.arange(RATE) / RATE)
    np.testing.assert_allclose(rumble(tone, RATE), [1.0, 0.0], atol=1e-6)
    ramp = np.minimum(np.arange(4410) / 441.0, 1.0)[None] * np.sign(np.sin(np.arange(4410)))
    # 20 ms from nothing to full: 16 ms from 10 to 90 %.
    np.testing.assert_allclose(attack(ramp, RATE), 16.0, atol=1.1)


def test_the_mean_waveform_does_not_depend_on_the_number_of_sounds() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((400, 500))
    for count in (50, 400):
        assert common_energy(noise[:count]) < 0.002
        shared = noise[:count] + np.sqrt(1 / 3) * noise[:1] * np.sqrt(3)
        assert common_energy(shared) == pytest.approx(0.5, abs=0.06)
    pairs = np.abs(np.corrcoef(noise[:50]))
    assert likeness(noise[:50]) == pytest.approx(pairs[~np.eye(50, dtype=bool)].mean(), rel=0.05)


def some(share: float, faulty: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """A share of the sounds with a fault, the others without."""
    return np.where((np.arange(len(clean)) % 10 < 10 * share)[:, None], faulty, clean).astype(np.float32)


def test_a_fault_of_some_sounds_raises_its_alarm(others: tuple[np.ndarray, np.ndarray], family: SoundFamily) -> None:
    waveforms = np.tile(others[0], (3, 1))
    clicks = waveforms.copy()
    clicks[:, :3] = 0.6
    assert "start" in alarms(some(0.4, clicks, waveforms), family)
    assert "dc" in alarms(some(0.4, waveforms + 0.05, waveforms), family)
    assert "level" in alarms(some(0.4, 0.003 * waveforms, waveforms), family)
    crackling = waveforms.copy()
    crackling[np.arange(180), np.random.default_rng(0).integers(4000, 9000, 180)] += 0.4
    assert "crackle" in alarms(crackling, family)
    assert "crackle" in alarms(some(0.4, crackling, waveforms), family)
    # Clipped before it was written: no peak is above full scale.
    assert "clipped" in alarms(np.clip(4.0 * waveforms, -1.0, 1.0), family)


def test_the_attack_is_told_by_class(family: SoundFamily, recordings: tuple[np.ndarray, np.ndarray]) -> None:
    waveforms, classes = recordings
    alike = compare_attacks(family, family, (classes, classes), (*NAMES, "tom"))
    assert list(alike) == [f"attack of {name}" for name in NAMES]
    assert not any(figure.alarm for figure in alike.values())
    values = attack(waveforms, RATE)
    assert alike["attack of snare"].value == pytest.approx(np.median(values[classes == 1]))
    # As slow a rise for every class: the median of all sounds hides it, that of the snares does not.
    slow = sound_family(waveforms * np.minimum(np.arange(SAMPLES) / 1500.0, 1.0), RATE)
    assert compare_attacks(slow, family, (classes, classes), NAMES)["attack of snare"].alarm


def test_thumbnails_do_not_depend_on_the_level_or_the_rate(recordings: tuple[np.ndarray, np.ndarray]) -> None:
    kept = thumbnails(recordings[0][:5], RATE)
    assert kept.shape == (5, *SHAPE)
    assert decibels(kept).max(axis=(1, 2)).tolist() == [60.0] * 5
    softer = thumbnails(0.01 * recordings[0][:5], RATE)
    assert np.abs(decibels(softer) - decibels(kept)).max() <= 1.0
    assert not thumbnails(np.zeros((1, 500), np.float32), RATE).any()


def test_copies_of_training_sounds_are_found(
    recordings: tuple[np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray]
) -> None:
    training, held_out = thumbnails(recordings[0], RATE), thumbnails(others[0][:30], RATE)
    new = novelty(thumbnails(others[0][30:], RATE), training, held_out)
    assert new.copied.value < 0.3
    assert new.distance == pytest.approx(new.held_out, rel=0.4)
    softer = 0.5 * recordings[0]
    assert novelty(thumbnails(softer, RATE), training, held_out).copied.value == 1.0
    # Later, and through an equaliser: no sample is equal.
    late = np.pad(recordings[0], ((0, 0), (600, 0)))[:, :SAMPLES]
    assert novelty(thumbnails(late, RATE), training, held_out).copied.value > 0.9
    spectra = np.fft.rfft(recordings[0], axis=1)
    tilted = np.fft.irfft(spectra * 10 ** (np.linspace(-4.0, 4.0, spectra.shape[1]) / 20.0), SAMPLES, axis=1)
    assert novelty(thumbnails(tilted, RATE), training, held_out).copied.value > 0.6
    # Faster by 3 %.
    faster = np.stack([np.interp(np.arange(SAMPLES) * 1.03, np.arange(SAMPLES), one) for one in recordings[0]])
    disguised = novelty(thumbnails(faster, RATE), training, held_out)
    assert disguised.copied.value > 2.0 * new.copied.value
    assert disguised.distance < 0.7 * new.distance
    x, y = decibels(held_out).reshape(30, -1), decibels(training).reshape(60, -1)
    by_hand = [min(np.sqrt(np.mean((one - other) ** 2)) for other in y) for one in x]
    np.testing.assert_allclose(nearest_distances(held_out, training), by_hand, rtol=1e-5)
    with pytest.raises(BadInput, match="novelty needs training sounds"):
        novelty(held_out, training[:0], held_out)


@pytest.fixture(scope="module")
def judge(recordings: tuple[np.ndarray, np.ndarray]) -> Judge:
    return fit_judge(thumbnails(recordings[0], RATE), recordings[1], NAMES, {"sounds": 60})


def test_the_judge_hears_classes(judge: Judge, others: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    heard = judge_waveforms(judge, others[0], RATE)
    np.testing.assert_allclose(heard.sum(axis=1), 1.0)
    assert np.mean(heard.argmax(axis=1) == others[1]) > 0.95
    save_judge(tmp_path / "judge.npz", judge)
    again = load_judge(tmp_path / "judge.npz")
    np.testing.assert_allclose(judge_waveforms(again, others[0], RATE), heard, atol=1e-4)
    assert [again.classes, again.about] == [NAMES, {"sounds": 60}]
    assert packaged_judge().classes == NAMES
    turned = judge.in_order(("cymbal", "kick", "snare"))
    assert turned is not None
    np.testing.assert_allclose(judge_waveforms(turned, others[0], RATE), heard[:, [2, 0, 1]])
    assert judge.in_order(("kick", "snare", "tom")) is None
    with pytest.raises(BadInput, match=r"two or more classes with a sound each, not \{'kick': 3, 'snare': 0\}"):
        fit_judge(np.zeros((3, *SHAPE), np.uint8), np.zeros(3, int), NAMES[:2], {})
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "judge.npz").read_bytes()[:500])
    with pytest.raises(BadInput, match=r"damaged .*; write it with `drumgan fit --config=judge`"):
        load_judge(tmp_path / "damaged.npz")


def test_round_trips_tell_a_good_encoder_from_a_bad_one(
    judge: Judge, recordings: tuple[np.ndarray, np.ndarray], others: tuple[np.ndarray, np.ndarray]
) -> None:
    originals = others[0][:18]
    exact = round_trip(originals, originals, RATE, judge)
    assert [exact.log_mel_db.value, exact.envelope_db.value, exact.rank.value] == [0.0, 0.0, 1.0]
    near = round_trip(originals, 0.9 * originals, RATE, judge)
    nearest = round_trip(originals, recordings[0][nearest_sounds(originals, recordings[0], RATE)], RATE, judge)
    shifted = round_trip(originals, np.roll(originals, 1, axis=0), RATE, None)
    assert near.log_mel_db.value < nearest.log_mel_db.value < shifted.log_mel_db.value
    assert near.found.value == 1.0 > nearest.found.value >= shifted.found.value
    assert shifted.class_kept is None
    # -6.02 dB everywhere above the floors.
    loud = np.ones((2, 2205), np.float32)
    np.testing.assert_allclose(envelope_decibels(loud, RATE) - envelope_decibels(0.5 * loud, RATE), 6.0206, rtol=1e-4)
    assert mel_decibels(loud * 0.0, RATE).max() == pytest.approx(-80.0, abs=1e-3)
    with pytest.raises(BadInput, match="2 or more sounds of one length, not 1 and 1"):
        round_trip(originals[:1], originals[:1], RATE, judge)


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite.of(["fid:log_mel", "prdc:drums"])


@pytest.fixture(scope="module")
def reference(suite: Suite, others: tuple[np.ndarray, np.ndarray]) -> MeasuredSet:
    return measure(SoundSet("reference", others[0], RATE, others[1], NAMES), suite, {"sources": "own"})


def test_a_measured_set_is_kept(reference: MeasuredSet, suite: Suite, tmp_path: Path) -> None:
    save_set(tmp_path / "set.npz", reference)
    again = load_set(tmp_path / "set.npz")
    assert [again.name, again.seconds, again.label_names] == [reference.name, reference.seconds, NAMES]
    np.testing.assert_array_equal(again.classes, reference.classes)
    np.testing.assert_array_equal(again.thumbnails, reference.thumbnails)
    before, after = (compare_sets(one, [reference], suite).rows[0] for one in (reference, again))
    assert after.figures["fid/log_mel"].value < 1e-3
    assert after.figures["coverage/drums"].value == pytest.approx(before.figures["coverage/drums"].value, abs=0.05)
    assert after.sound["start"].high == pytest.approx(before.sound["start"].high, rel=1e-4)
    assert after.sound["likeness"].value == pytest.approx(before.sound["likeness"].value, rel=1e-4)
    (tmp_path / "damaged.npz").write_bytes((tmp_path / "set.npz").read_bytes()[:5000])
    with pytest.raises(BadInput, match="damaged"):
        load_set(tmp_path / "damaged.npz")
    with pytest.raises(BadInput, match="reference was not embedded by log_mel, only by"):
        compare_sets(dataclasses.replace(again, embeddings={"drums": again.embeddings["drums"]}), [reference], suite)


def test_silent_sounds_are_counted_where_a_set_is_kept(
    suite: Suite, others: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    waveforms = np.where(np.arange(60)[:, None] % 20 == 0, 0.0, others[0]).astype(np.float32)
    measured = measure(SoundSet("some", waveforms, RATE, others[1], NAMES), suite)
    save_set(tmp_path / "set.npz", measured)
    again = load_set(tmp_path / "set.npz")
    for one in (measured, again):
        assert (one.embeddings["drums"].sounds, one.embeddings["drums"].silent_sounds) == (57, 3)
    assert [group.count for group in again.embeddings["drums"].moments or ()] == [6, 6, 6, 5, 6, 6, 5, 6, 6, 5]


def test_the_table_compares_like_with_like(reference: MeasuredSet, suite: Suite, judge: Judge) -> None:
    waveforms, classes = drums(2000, 60)
    own = measure(SoundSet("own", waveforms, RATE, classes, NAMES), suite)
    wrong = dataclasses.replace(own, name="wrong classes", classes=(classes + 1) % 3)
    free = dataclasses.replace(own, name="free", classes=None, label_names=())
    found = compare_sets(reference, [own, wrong, free], suite, judge, own.thumbnails)
    assert found.judge is not None
    assert found.judge > 0.9
    assert [row.figures[AS_ASKED].value > 0.9 for row in found.rows[:2]] == [True, False]
    assert AS_ASKED not in found.rows[2].figures
    assert found.rows[0].figures[COPIED].value == 1.0
    text = quality_text(found, "own")
    assert "Against 60 sounds: reference (kick 33 %, snare 33 %, cymbal 33 %; level" in text
    assert "free: no classes." in text
    assert "attack of kick, ms" in sound_text(found, "own")
    assert "ALARM" not in sound_text(found, "own")
    clicking = np.concatenate([np.full((60, 1), 0.3, np.float32), waveforms[:, 1:]], axis=1)
    clicks = measure(SoundSet("clicks", clicking, RATE, classes, NAMES), suite)
    text = sound_text(compare_sets(reference, [clicks], suite), "clicks")
    assert text.endswith("start: first sample over the peak: a click")
    # Judging the recordings that it was fitted to says nothing, and neither does a distance from oneself.
    fitted = fit_judge(reference.thumbnails, reference.classes, NAMES, {})
    seen = compare_sets(reference, [reference, own], suite, fitted)
    assert seen.judge is None
    assert [AS_ASKED in row.figures for row in seen.rows] == [False, True]
    assert "reference: 60 of these sounds are in the reference too; every distance is too good." in seen.warnings

    kicks = measure(SoundSet("kicks", waveforms[classes == 0], RATE, classes[classes == 0], NAMES), suite)
    with pytest.raises(BadInput, match=r"kicks has kick 100 %, snare 0 %, cymbal 0 %; draw both at one mix"):
        compare_sets(reference, [kicks], suite)
    with pytest.raises(BadInput, match=r"the sounds of short last 0\.36 s and those of reference 0\.55 s"):
        compare_sets(reference, [dataclasses.replace(own, name="short", seconds=0.36)], suite)
    with pytest.raises(BadInput, match="own has the classes a, b, c and reference kick, snare, cymbal"):
        compare_sets(reference, [dataclasses.replace(own, label_names=("a", "b", "c"))], suite)


def test_sets_that_cannot_be_measured_are_told(suite: Suite) -> None:
    with pytest.raises(BadInput, match="at least 2 sounds, not 1"):
        measure(SoundSet("one", np.ones((1, 500), np.float32), RATE), suite)
    with pytest.raises(BadInput, match="all 3 sounds are silent"):
        measure(SoundSet("none", np.zeros((3, 500), np.float32), RATE), suite)


def test_the_packages_metrics_need_no_weights_from_elsewhere() -> None:
    assert {embedder.name for embedder in Suite.of(METRICS).embedders} == {"drums", "log_mel"}
