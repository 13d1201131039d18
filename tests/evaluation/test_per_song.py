"""Fréchet distance of each sound: its definition, its interval, and aliens among drums."""

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg

from drumgan_jax.audio.files import read_audio, resample
from drumgan_jax.data_pipelines.synthetic import one_shot
from drumgan_jax.evaluation.collecting import EMBEDDINGS, Embeddings, Sound, Stream
from drumgan_jax.evaluation.frechet import frechet_figure
from drumgan_jax.evaluation.moments import Moments
from drumgan_jax.evaluation.per_song import as_json, per_song, ranking_table, single_embeddings
from drumgan_jax.evaluation.suite import Suite

RATE = 44_100


def side(*sounds: np.ndarray) -> Embeddings:
    """Sounds given by their embeddings [rows, dimensions]; every second place of the stream was silent."""
    index = np.repeat(2 * np.arange(len(sounds)), [len(one) for one in sounds])
    return Embeddings(len(sounds), len(index), None, np.concatenate(sounds).astype(np.float32), None, index)


def names(count: int) -> list[str]:
    return [f"sound {place}" for place in range(2 * count)]


@pytest.mark.parametrize("rows", [1, 2, 5, 6, 7, 40])
def test_distance_is_the_definition_whatever_the_rank(rows: int) -> None:
    rng = np.random.default_rng(rows)
    real = Moments.of(rng.standard_normal((200, 6)) @ rng.standard_normal((6, 6)))
    fake = side(rng.standard_normal((rows, 6)) + 1.0)
    (found,) = per_song(real, fake, names(1))
    sound = fake.embeddings.astype(np.float64)
    covariance = np.cov(sound, rowvar=False) if rows > 1 else np.zeros((6, 6))
    # By the symmetric root of the reference, which is never singular.
    root = scipy.linalg.sqrtm(real.covariance).real
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ covariance @ root), 0.0)).sum()
    means = np.sum((sound.mean(axis=0) - real.mean) ** 2)
    expected = means + np.trace(real.covariance) + np.trace(covariance) - 2 * cross
    assert found.distance == pytest.approx(expected, rel=1e-6)
    assert found.mean_distance == pytest.approx(means, rel=1e-9)
    assert found.embeddings == rows


def test_interval_is_the_jackknife_over_consecutive_parts() -> None:
    rng = np.random.default_rng(0)
    real = Moments.of(rng.standard_normal((100, 4)))
    sounds = [rng.standard_normal((rows, 4)) for rows in (3, 35)]
    fake = side(*sounds)
    for one in per_song(real, fake, names(2)):
        rows = fake.embeddings[fake.sound_of_row == int(one.sound.split()[1])].astype(np.float64)
        figure = frechet_figure(real, [Moments.of(part) for part in np.array_split(rows, min(len(rows), 10))])
        assert (one.low, one.high) == (pytest.approx(figure.low), pytest.approx(figure.high))
        assert one.low < one.distance < one.high


def test_one_embedding_costs_the_references_trace_and_has_no_interval() -> None:
    rng = np.random.default_rng(1)
    real = Moments.of(rng.standard_normal((100, 4)))
    ranked = per_song(real, side(rng.standard_normal((1, 4)), rng.standard_normal((9, 4))), names(2))
    (single,) = (one for one in ranked if one.embeddings == 1)
    assert single.distance - single.mean_distance == pytest.approx(np.trace(real.covariance))
    assert (single.low, single.high) == (None, None)
    (sentence,) = single_embeddings("fad/x", ranked, real)
    assert sentence.startswith("fad/x: 1 of 2 sounds have one embedding and no covariance")
    assert single_embeddings("fad/x", [single], real) == []
    assert as_json([single])[0]["low"] is None


def test_the_farthest_come_first_and_the_table_shows_both_ends() -> None:
    real = Moments.of(np.random.default_rng(2).standard_normal((100, 3)))
    ranked = per_song(real, side(*(np.full((2, 3), float(place)) for place in range(25))), names(25))
    assert [one.sound for one in ranked] == [f"sound {2 * place}" for place in reversed(range(25))]
    lines = ranking_table(ranked).splitlines()
    assert len(lines) == 2 + 10 + 1 + 10
    assert [lines[row].split()[1] for row in (2, 11, 13, 22)] == ["48", "30", "18", "0"]
    assert "..." in lines[12].split()


def ranked_among(drums: list[np.ndarray], aliens: dict[str, np.ndarray], metric: str) -> list[str]:
    """Names, the farthest first, of aliens and of every second drum measured against the other drums."""
    suite = Suite.of([metric])
    measured = [(f"drum {place}", one) for place, one in enumerate(drums[1::2])] + list(aliens.items())
    real, fake = (
        suite.embed(Stream(len(sounds), [Sound(one, RATE, name) for name, one in sounds]), also=(EMBEDDINGS,))
        for sounds in ([("reference", one) for one in drums[::2]], measured)
    )
    (embedder,) = suite.embedders
    ranked = per_song(real[embedder.name].total, fake[embedder.name], [name for name, _ in measured])
    return [one.sound for one in ranked]


@pytest.mark.parametrize("metric", ["fid:drums", "fid:log_mel"])
def test_an_alien_comes_first_among_synthesised_snares(metric: str) -> None:
    time = np.arange(2 * RATE) / RATE
    chord = sum(0.1 * np.sign(np.sin(2 * np.pi * hertz * time)) for hertz in (220.0, 277.2, 329.6))
    drums = [one_shot("snare", seed) for seed in range(60)]
    assert ranked_among(drums, {"chord": np.asarray(chord, np.float32)}, metric)[0] == "chord"


# In log-mel frames, two of the kicks are farther than the last two chords.
@pytest.mark.parametrize(("metric", "first"), [("fid:drums", 5), ("fid:vgg16", 5), ("fid:log_mel", 3)])
def test_chords_come_first_among_recorded_kicks(recordings: Path, metric: str, first: int) -> None:
    folder = recordings / "drums"
    kicks = sorted(folder.glob("one_shots/*/kick/*"))
    chords = sorted(folder.glob("loops/*/*_Chord_*"))
    assert len(chords) == 5

    def mono(path: Path) -> np.ndarray:
        audio = read_audio(path)
        return resample(audio.samples.mean(axis=1), audio.sample_rate, RATE)[: 4 * RATE]

    order = np.random.default_rng(0).permutation(len(kicks))[:120]
    ranked = ranked_among([mono(kicks[place]) for place in order], {path.name: mono(path) for path in chords}, metric)
    assert set(ranked[:first]) <= {path.name for path in chords}
