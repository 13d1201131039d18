"""Silence is counted and left out, and long sounds are neither read far ahead nor kept."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from evaluation_cases import HOP, RATE, WINDOW, linear_embedder, noises, stream

from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation import suite as suites
from drumgan_jax.evaluation.collecting import EMBEDDINGS, MOMENTS, SILENCE, Sound, Stream, embed, windows_of
from drumgan_jax.evaluation.suite import Suite

ALL = {"linear": {MOMENTS, EMBEDDINGS}}


def with_tail(sound: np.ndarray, samples: int) -> np.ndarray:
    return np.pad(sound, (0, samples))


def test_silent_sounds_and_windows_are_counted_and_left_out() -> None:
    drum, short = noises(1, samples=160)[0], noises(1, samples=20, seed=1)[0]
    quiet = np.full(160, 0.9 * SILENCE, np.float32)
    seen = embed(
        stream([np.zeros(160, np.float32), with_tail(drum, 10 * HOP), quiet, short]), [linear_embedder()], ALL
    )["linear"]
    matrix = linear_embedder().variables["embedding"].astype(np.float64)
    # The window that holds the end of the drum is no silence, nor is the padding of a short sound.
    audible = windows_of(with_tail(drum, 2 * HOP), WINDOW, HOP)[:4]
    expected = np.concatenate([audible, with_tail(short, WINDOW - 20)[None]]) @ matrix
    np.testing.assert_allclose(seen.embeddings, expected, atol=1e-5)
    assert seen.sound_of_row.tolist() == [1, 1, 1, 1, 3]
    assert (seen.sounds, seen.rows, seen.total.count) == (2, 5, 5)
    assert (seen.silent_sounds, seen.silent_windows) == (2, 9)


def test_silent_tails_have_no_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "build_embedder", linear_embedder)
    suite = Suite.of(["prdc:linear"])
    real = suite.embed(stream([*noises(30), *(with_tail(one, 2 * HOP) for one in noises(3, seed=1))]))
    loud = [with_tail(one, 10 * HOP) for one in noises(20, seed=2, level=100.0)]
    results = suite.compare(real, suite.embed(stream([*loud, np.zeros(160, np.float32)])))
    assert results.scores["precision/linear"] == 0.0
    figure = results.figures["precision/linear"]
    assert (figure["samples"], figure["silent_sounds"], figure["silent_windows"]) == (20, 1, 180)
    assert (figure["reference_silent_sounds"], figure["reference_silent_windows"]) == (0, 3)
    assert results.warnings[-2:] == [
        "1 of 21 measured sounds and 180 windows of the others are silent (peak below -80 dB of full scale); linear "
        "leaves them out.",
        "3 windows of the 33 reference sounds are silent (peak below -80 dB of full scale); linear leaves them out.",
    ]


def test_nothing_but_silence_is_one_sentence() -> None:
    with pytest.raises(BadInput, match=r"^all 3 sounds are silent, such as sound 0 .* that can be heard\.$"):
        embed(stream(np.zeros((3, 160), np.float32)), [linear_embedder()], ALL)


def test_a_silent_sound_can_be_kept_as_one_window() -> None:
    waveforms = [np.zeros(160, np.float32), *noises(2)]
    seen = embed(stream(waveforms), [linear_embedder()], ALL, keep_silent_sounds=True)["linear"]
    assert seen.sound_of_row.tolist() == [0, 1, 1, 1, 2, 2, 2]
    assert (seen.sounds, seen.silent_sounds, seen.silent_windows) == (3, 0, 0)
    assert not seen.embeddings[0].any()


def test_long_sounds_are_not_read_far_ahead() -> None:
    asked, most, done = 0, 0, 0

    def sounds() -> Iterator[Sound]:
        nonlocal asked, most
        yield Sound(noises(1)[0], RATE, "audible")
        for _ in range(6):
            asked += 1
            most = max(most, asked - done)
            # Two million samples that take no memory.
            yield Sound(np.broadcast_to(np.float32(0.0), 2**21), RATE, "long")

    def progress(count: int) -> None:
        nonlocal done
        done = count

    embed(Stream(7, sounds()), [linear_embedder()], ALL, progress=progress)
    assert done == 7
    assert most <= 2


def test_a_long_sound_is_let_go_when_its_windows_are_taken() -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    def sounds() -> Iterator[Sound]:
        for _ in range(4):
            waveform = np.zeros(2**22, np.float32)
            waveform[:WINDOW] = 0.5
            alive.append(weakref.ref(waveform))
            yield Sound(waveform, RATE, "long")
            del waveform
            # The block that was just embedded may still be referred to.
            assert not any(one() is not None for one in alive[:-1])

    assert embed(Stream(4, sounds()), [linear_embedder()], ALL)["linear"].rows == 8
