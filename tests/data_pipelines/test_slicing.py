"""Slicing rules: lengths, starts, fades, reasons."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drumgan_jax.audio.one_shot import SLICING_KINDS
from drumgan_jax.audio.signal import Signal
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines import slicing, synthetic
from drumgan_jax.data_pipelines.beats import find_beats
from drumgan_jax.data_pipelines.conditioning import to_mono
from drumgan_jax.data_pipelines.slicing import SLICINGS, Bar, Loop, Mix, OneShot, Skip, Slice, build_slicing
from drumgan_jax.data_pipelines.sources import list_items, open_item

RATE = 8000


def noise(length, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, length).astype(np.float32)


def test_players_know_the_kinds():
    assert set(SLICING_KINDS) == set(SLICINGS)


@pytest.mark.smoke
def test_one_shot_starts_before_the_onset_and_fades():
    samples = np.concatenate([np.full(1000, 1e-4, np.float32), np.ones(2000, np.float32)])
    rule = OneShot(onset_db=-40, pre_roll=0.01, fade_in=0.0, fade_out=0.1)
    (piece,) = rule.slices(samples, RATE, 2500, None)
    assert piece.start == (1000 - 80) / RATE
    assert len(piece.waveform) == 2500
    np.testing.assert_array_equal(piece.waveform[2080:], 0)
    ramp = piece.waveform[1280:2080]
    np.testing.assert_allclose(ramp, np.arange(800, 0, -1) / 801, rtol=1e-6)
    np.testing.assert_array_equal(piece.waveform[80:1280], 1)


@pytest.mark.smoke
@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(0, 3000),
    num_samples=st.integers(1, 1000),
    seconds=st.sampled_from([0.0, 0.01, 0.05]),
    stride=st.sampled_from([0.0, 0.013, 0.1]),
    min_fill=st.sampled_from([0.25, 1.0]),
    silent=st.booleans(),
)
def test_lengths_are_exact_and_starts_increase(length, num_samples, seconds, stride, min_fill, silent):
    samples = np.zeros(length, np.float32) if silent else noise(length)
    for rule in (OneShot(), Loop(seconds=seconds, stride=stride, min_fill=min_fill)):
        pieces = list(rule.slices(samples, RATE, num_samples, None))
        assert pieces, "every file gives slices or a reason"
        slices = [piece for piece in pieces if isinstance(piece, Slice)]
        assert all(piece.waveform.shape == (num_samples,) for piece in slices)
        assert all(piece.waveform.dtype == np.float32 for piece in slices)
        starts = [piece.start for piece in slices]
        assert starts == sorted(set(starts))
        if silent:
            assert not any(np.any(piece.waveform) for piece in slices)


def test_slicing_does_not_change_its_input():
    samples = noise(3000)
    before = samples.copy()
    for rule in (OneShot(fade_out=0.1), Loop()):
        list(rule.slices(samples, RATE, 1000, None))
    np.testing.assert_array_equal(samples, before)


def test_loops_cover_the_file():
    samples = noise(1000)
    pieces = list(Loop(stride=0.0125, min_fill=0.5).slices(samples, RATE, 300, None))
    assert [round(piece.start * RATE) for piece in pieces] == [0, 100, 200, 300, 400, 500, 600, 700, 800]
    np.testing.assert_array_equal(pieces[3].waveform, samples[300:600])
    np.testing.assert_array_equal(pieces[8].waveform, np.pad(samples[800:], (0, 100)))
    assert list(Loop().slices(samples[:200], RATE, 300, None)) == [Skip("shorter than one slice")]


def test_bars_of_a_known_tempo_are_cut_on_the_bar():
    samples, bpm = synthetic.bars(3, count=4, bpm=120)
    pieces = list(Bar(tempo=120).slices(samples, synthetic.SAMPLE_RATE, 88200, bpm))
    assert [piece.start for piece in pieces] == [0, 2, 4, 6]
    for number, piece in enumerate(pieces):
        own = samples[number * 88200 : (number + 1) * 88200]
        faded = round(0.005 * synthetic.SAMPLE_RATE)
        np.testing.assert_array_equal(piece.waveform[:-faded], own[:-faded])
        # The last 5 ms lead to what comes before the bar, so that it repeats without a seam.
        share = (np.arange(faded) + 1) / (faded + 1)
        before = np.roll(samples, faded - number * 88200)[:faded]
        np.testing.assert_allclose(piece.waveform[-faded:], own[-faded:] * (1 - share) + before * share, atol=1e-6)
    uncut = list(Bar(tempo=120, crossfade=0.0).slices(samples, synthetic.SAMPLE_RATE, 88200, bpm))
    np.testing.assert_array_equal(np.concatenate([piece.waveform for piece in uncut]), samples)
    # Where fewer samples are wanted than a bar has, its end is cut off, and nothing is faded.
    cut = list(Bar(tempo=120).slices(samples, synthetic.SAMPLE_RATE, 80000, bpm))
    np.testing.assert_array_equal(cut[1].waveform, samples[88200 : 88200 + 80000])


def test_bars_are_stretched_to_the_tempo():
    samples, _ = synthetic.bars(1, count=4, bpm=100)
    rate = synthetic.SAMPLE_RATE
    pieces = list(Bar(tempo=125).slices(samples, rate, round(4 * 60 / 125 * rate), 100.0))
    assert len(pieces) == 4
    np.testing.assert_allclose([piece.start for piece in pieces], np.arange(4) * 2.4, atol=1e-3)
    # The kick on one is at the start of each bar, within the stretching's few milliseconds.
    for piece in pieces:
        loud = np.abs(piece.waveform) > 0.2 * np.abs(piece.waveform).max()
        assert np.argmax(loud) < 0.015 * rate


def test_bars_of_an_unknown_tempo_are_found():
    samples, bpm = synthetic.bars(5, count=4)
    length = 2 * synthetic.SAMPLE_RATE
    pieces = list(Bar(tempo=120).slices(samples, synthetic.SAMPLE_RATE, length, None))
    assert len(pieces) == 4
    np.testing.assert_allclose([piece.start for piece in pieces], np.arange(4) * 240 / bpm, atol=0.02)


@pytest.mark.parametrize(
    ("samples", "bpm", "rule", "reason"),
    [
        (noise(6 * 22050), None, Bar(), "no tempo: .* write its BPM in the name, .* or in the manifest's column bpm"),
        (
            noise(5 * 22050),
            120.0,
            Bar(),
            "no downbeat: it is not a whole number of bars long at its BPM, .* cut it from downbeat",
        ),
        (noise(8 * 22050), 60.0, Bar(max_stretch=1.2), "tempo too far from 120 BPM: .* raise config.slicing.max_str"),
        (noise(22050 // 2), None, Bar(), "shorter than a whole bar of 4 beats .* or give a longer recording"),
        (noise(4 * 22050), 120.0, Bar(bars=4), "shorter than 4 whole bars .* lower config.slicing.bars"),
    ],
)
def test_bars_say_in_one_sentence_why_there_are_none_and_the_mend(samples, bpm, rule, reason):
    (skip,) = rule.slices(samples, 22050, 2 * 22050, bpm)
    assert re.match(reason, skip.reason)


def test_real_loops_give_bars_or_a_reason(recordings):
    items = list_items([str(recordings / "drums" / "manifest.csv")], where=["label=loop"])[::5]
    with_bars = 0
    for item in items:
        samples = to_mono(open_item(item), "mix", 16_000)
        pieces = list(Bar().slices(samples, 16_000, 30_720, item.bpm))
        bars = [piece.waveform for piece in pieces if isinstance(piece, Slice)]
        assert all(bar.shape == (30_720,) for bar in bars)
        assert bars or ["; " in piece.reason for piece in pieces] == [True]
        # What has its tempo in its name and is cut as a loop gives all its bars.
        count = len(samples) / 16_000 * item.bpm / 240 if item.bpm else 0.5
        assert len(bars) == round(count) or abs(count - round(count)) > 0.02 * count
        with_bars += bool(bars)
    assert with_bars >= 0.8 * len(items)


def lazy(samples, block=3000):
    """The samples behind memory, in blocks."""
    return Signal(len(samples), lambda: (samples[at : at + block] for at in range(0, len(samples), block)))


def test_bars_of_a_long_recording_follow_each_other_part_by_part(monkeypatch):
    monkeypatch.setattr(slicing, "_ONE_BEAT", 15.0)
    rate = synthetic.SAMPLE_RATE // 2
    samples = synthetic.bars(0, count=30, bpm=125, genre="rock")[0][::2]
    samples = samples[round(0.7 * rate) :]  # It starts off the bar.
    parts = []

    def tracked(part, *rest, **how):
        parts.append(len(part))
        return find_beats(part, *rest, **how)

    monkeypatch.setattr(slicing, "find_beats", tracked)
    pieces = list(Bar(tempo=120).slices(lazy(samples), rate, 2 * rate, 125.0))
    assert len(parts) >= 4
    assert max(parts) == 15 * rate
    # Every bar from the first downbeat on, whatever part it is in.
    np.testing.assert_allclose([piece.start for piece in pieces], 1.92 * np.arange(1, 30) - 0.7, atol=0.02)
    assert all(piece.tempo == pytest.approx(125, rel=2e-3) for piece in pieces)
    again = list(Bar(tempo=120).slices(samples, rate, 2 * rate, 125.0))
    for one, other in zip(pieces, again, strict=True):
        np.testing.assert_array_equal(one.waveform, other.waveform)


def test_rules_take_signals_as_they_take_arrays():
    samples = np.concatenate([np.zeros(1500, np.float32), noise(9000), 1e-3 * noise(1500)])
    for rule in (OneShot(), Loop(stride=0.05, min_fill=0.5)):
        pieces = list(rule.slices(lazy(samples, 700), RATE, 1000, None))
        for one, other in zip(pieces, rule.slices(samples, RATE, 1000, None), strict=True):
            assert one.start == other.start
            np.testing.assert_array_equal(one.waveform, other.waveform)


class TestMix:
    rate = 22050

    def mix(self, bpm, seconds=60):
        bars = int(np.ceil(seconds * bpm / 240))
        samples, _ = synthetic.bars(2, count=bars, bpm=bpm)
        return samples[::2][: seconds * self.rate]

    def test_clips_have_the_length_tempo_and_stride(self):
        length = round(23.77 * self.rate)
        pieces = list(Mix().slices(self.mix(125), self.rate, length, None))
        assert len(pieces) >= 7
        assert all(isinstance(piece, Slice) and piece.waveform.shape == (length,) for piece in pieces)
        strides = np.diff([piece.start for piece in pieces])
        # Up to the 5 ms before the beat, which the first clip may not have.
        np.testing.assert_allclose(strides, 8 * 60 / 125, atol=6e-3)
        grid = find_beats(pieces[1].waveform, self.rate, 130.0)
        assert abs(grid.tempo / 130 - 1) < 2e-3
        # Clips start on a beat, up to the few milliseconds kept before it.
        assert min(grid.first, abs(grid.period - grid.first)) < 0.02

    @pytest.mark.parametrize("bpm", [100, 160])
    def test_minutes_of_another_tempo_are_skipped(self, bpm):
        pieces = list(Mix().slices(self.mix(bpm), self.rate, 10 * self.rate, float(bpm)))
        assert [type(piece) for piece in pieces] == [Skip]
        assert "outside 120 to 145 BPM" in pieces[0].reason

    def test_minutes_without_beat_or_too_short_are_skipped(self):
        samples = np.concatenate([noise(60 * self.rate), noise(5 * self.rate)])
        reasons = [piece.reason for piece in Mix().slices(samples, self.rate, 10 * self.rate, None)]
        assert reasons == ["no beat found in the minute", "minute shorter than one clip"]


def test_settings_are_checked():
    assert build_slicing({"kind": "loop", "stride": 0.5}) == Loop(stride=0.5)
    assert set(SLICINGS) == {"one_shot", "loop", "bar", "mix"}
    for bad, word in [
        ({"kind": "loops"}, "kind"),
        ({"kind": "loop", "length": 1}, "length"),
        ({"kind": "loop", "stride": -1}, "stride"),
        ({"kind": "mix", "max_tempo": 100.0}, "max_tempo"),
        ({"kind": "bar", "tempo": 0}, "tempo"),
        ({"kind": "one_shot", "onset_db": 3.0}, "onset_db"),
    ]:
        with pytest.raises(BadInput, match=word):
            build_slicing(bad)
