"""The sequencer: where strokes fall in each genre, and how they are mixed."""

import numpy as np
import pytest

from drumgan_jax.data import patterns as sequencing
from drumgan_jax.data.patterns import GENRES, SAMPLE_RATE, VOICES, Stroke, mix, play, strokes, tempo_of
from drumgan_jax.data_pipelines import synthetic

# By genre: steps that every bar has a kick on, steps that none has one on; the same of snares and claps struck hard.
PLACES = {
    "house": ({0, 4, 8, 12}, set(range(13)) - {0, 4, 8, 12}, {4, 12}, {0, 8}),
    "techno": ({0, 4, 8, 12}, set(range(16)) - {0, 4, 8, 12}, set(), {0, 4, 8}),
    "breakbeat": ({0}, {4, 8, 12}, {4}, {0, 8}),
    "half_time": ({0}, {4, 8, 12}, {8}, {0, 4, 12}),
    "hip_hop": ({0}, {4, 12}, {4, 12}, {0, 8}),
    "rock": ({0, 8}, {4, 12}, {4, 12}, {0, 8}),
    "dembow": ({0, 8}, {2, 6, 10, 14}, {3, 6, 11, 14}, {0, 4, 8, 12}),
}


def step_of(stroke, bpm=120.0):
    """The step that a stroke belongs to: swing and looseness make it late, never early."""
    return int(stroke.start / (15 / bpm) + 1e-9)


def one_bar(genre, seed):
    return strokes(genre, np.random.default_rng(seed), 1, 120.0)


@pytest.mark.smoke
@pytest.mark.parametrize("genre", GENRES)
def test_a_genre_is_told_by_its_kicks_and_snares(genre):
    kicks, no_kicks, snares, no_snares = PLACES[genre]
    for seed in range(60):
        bar = one_bar(genre, seed)
        kicked = {step_of(stroke) for stroke in bar if stroke.voice == "kick"}
        struck = {step_of(stroke) for stroke in bar if stroke.voice in ("snare", "clap") and stroke.velocity > 0.6}
        assert kicks <= kicked
        assert not no_kicks & kicked
        assert snares <= struck
        assert not no_snares & struck


@pytest.mark.smoke
def test_lines_are_whole_bars_of_known_voices():
    assert set(PLACES) == set(GENRES)
    for genre in GENRES.values():
        assert set(genre.lines) <= set(VOICES)
        assert {len(line) for lines in genre.lines.values() for line in lines} <= {0, 16}


def test_bars_of_a_genre_differ_and_can_be_made_again():
    assert one_bar("techno", 3) == one_bar("techno", 3)
    assert len({tuple(one_bar("techno", seed)) for seed in range(40)}) == 40
    long = strokes("breakbeat", np.random.default_rng(1), 2, 120.0)
    bars = [[(s.voice, step_of(s) % 16) for s in long if (step_of(s) >= 16) == late] for late in (False, True)]
    assert bars[0] != bars[1]


@pytest.mark.parametrize("genre", GENRES)
def test_odd_steps_swing_and_strokes_are_late_by_as_much_as_the_genre_says(genre):
    style, step = GENRES[genre], 15 / 120
    for seed in range(20):
        offsets = [(s.voice, step_of(s) % 2, s.start - step_of(s) * step) for s in one_bar(genre, seed)]
        for voice, odd, late in offsets:
            behind = style.laid_back if voice in ("snare", "clap") else (0.0, 0.0)
            lowest = odd * style.swing[0] * step + behind[0]
            highest = odd * style.swing[1] * step + behind[1] + style.loose
            assert lowest - 1e-9 <= late <= highest + 1e-9


def test_a_mix_is_the_sum_of_its_strokes_around_the_loop():
    length, random = 30_000, np.random.default_rng(0)
    kit = {voice: random.normal(size=20_000).astype(np.float32) for voice in ("kick", "tom")}
    played = [Stroke("kick", 0.25, 1.0), Stroke("tom", 0.5, 1.0), Stroke("rim", 0.1, 1.0)]
    found = mix(played, kit, np.random.default_rng(5), length)
    draws = np.random.default_rng(5).uniform(-1, 1, len(VOICES)) * 2
    expected = np.zeros(length)
    for voice, start in (("kick", 0.25), ("tom", 0.5)):
        sound = kit[voice].astype(np.float64)
        windows = np.convolve(np.pad(sound**2, 2205), np.ones(2205), "valid")
        level = VOICES[voice].level + draws[list(VOICES).index(voice)]
        places = (round(start * SAMPLE_RATE) + np.arange(len(sound))) % length
        expected[places] += sound * 10 ** (level / 20) / np.sqrt(windows.max() / 2205)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_soft_strokes_are_quieter_and_duller():
    kit = {"snare": np.random.default_rng(0).normal(size=8000).astype(np.float32)}
    loud, soft = (mix([Stroke("snare", 0.0, v)], kit, np.random.default_rng(0), 10_000) for v in (1.0, 0.3))
    assert np.sqrt(np.mean(soft**2) / np.mean(loud**2)) < 0.3**2

    def brightness(sound):
        power = np.abs(np.fft.rfft(sound)) ** 2
        return power @ np.arange(len(power)) / power.sum()

    assert brightness(soft) < 0.8 * brightness(loud)


def test_an_open_hat_ends_at_the_next_hat_but_not_at_one_struck_with_it():
    kit = {"open_hat": np.ones(20_000, np.float32), "closed_hat": np.full(100, 1e-6, np.float32)}
    length = 30_000
    alone = [Stroke("open_hat", 0.0, 1.0), Stroke("closed_hat", 0.002, 1.0)]
    ringing = mix(alone, kit, np.random.default_rng(0), length)
    assert ringing[15_000] > 0.5 * ringing[300]
    choked = mix([*alone, Stroke("closed_hat", 0.2, 1.0)], kit, np.random.default_rng(0), length)
    assert choked[8_000] > 0.5 * choked[300]
    np.testing.assert_array_equal(choked[9_000:], 0)
    # The next one may be in the loop's next round.
    around = mix([Stroke("open_hat", 0.5, 1.0), Stroke("closed_hat", 0.0, 1.0)], kit, np.random.default_rng(0), length)
    np.testing.assert_array_equal(around[200:22_000], 0)


def test_stand_ins_play_what_a_kit_lacks():
    kick, clap, ride = (np.full(n, 0.1, np.float32) for n in (100, 200, 60_000))
    whole = sequencing.complete({"kick": kick, "clap": clap, "ride": ride})
    assert set(whole) == {"kick", "snare", "clap", "closed_hat", "open_hat", "ride"}
    np.testing.assert_array_equal(whole["snare"], clap)
    assert len(whole["closed_hat"]) == round(0.2 * SAMPLE_RATE)
    assert whole["closed_hat"][-1] < 0.001


@pytest.mark.parametrize(("bars", "bpm"), [(1, 120.0), (2, 93.0), (1, 300.0)])
def test_loops_are_whole_bars_at_their_level(bars, bpm):
    for genre in GENRES:
        loop = play(genre, {"kick": np.ones(100), "snare": np.ones(90_000)}, np.random.default_rng(0), bars, bpm)
        assert loop.dtype == np.float32
        assert loop.shape == (round(bars * 240 / bpm * SAMPLE_RATE),)
        assert 0.6 <= np.abs(loop).max() <= 0.951


def test_kicks_of_a_finished_bar_are_where_the_genre_has_them():
    click = np.zeros(400)
    click[0] = 1.0
    for genre, (must, never, _, _) in PLACES.items():
        loop = play(genre, {"kick": click}, np.random.default_rng(2), 1, 120.0)
        heard = set((np.flatnonzero(np.abs(loop) > 0.3) / SAMPLE_RATE / 0.125).astype(int).tolist())
        assert must <= heard
        assert not never & heard


def test_tempi():
    assert tempo_of(3, 0, 125) == 125.0
    tempi = [tempo_of(index, 0, 0) for index in range(300)]
    assert tempi == [tempo_of(index, 0, 0) for index in range(300)]
    assert min(tempi) < 95
    assert max(tempi) > 145
    assert all(90 <= tempo <= 150 for tempo in tempi)
    assert tempi != [tempo_of(index, 1, 0) for index in range(300)]


def test_procedural_bars_are_those_of_the_genre():
    own = [synthetic.bars(index, bpm=120, genre="half_time")[0] for index in range(3)]
    assert not np.array_equal(own[0], own[1])
    np.testing.assert_array_equal(own[1], synthetic.bars(1, bpm=120, genre="half_time")[0])
    # By turns where none is given.
    np.testing.assert_array_equal(synthetic.bars(3, bpm=120)[0], synthetic.bars(3, bpm=120, genre="half_time")[0])
