"""PEAQ of whole sounds: monotone degradations, equal sounds, the rule for short ones, and refusals."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from drumgan_jax.audio.files import read_audio
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data_pipelines.synthetic import bars, one_shot
from drumgan_jax.evaluation.peaq import peaq
from drumgan_jax.evaluation.peaq.model import LEAD_IN
from drumgan_jax.evaluation.peaq.network import LOWEST, VARIABLES, grade

START_UP = ("WinModDiff1B", "AvgModDiff1B", "AvgModDiff2B", "RmsNoiseLoudB")

# Of three sources of real loops, the first by name that is a whole drum beat; none was chosen by its grades.
LOOPS = (
    "garden/psr-gx76_acidDrum.flac",
    "lmms/beats_break01_-_168_BPM.flac",
    "sonic-pi/loop_breakbeat.flac",
)


def with_noise(sound: np.ndarray, snr_db: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(sound.shape)
    return sound + noise * np.sqrt(np.mean(sound**2) / np.mean(noise**2)) * 10.0 ** (-snr_db / 20.0)


def low_passed(sound: np.ndarray, hz: float, sample_rate: int) -> np.ndarray:
    spectrum = np.fft.rfft(sound, axis=0)
    frequency = np.fft.rfftfreq(len(sound), 1.0 / sample_rate)
    gain = 1.0 / np.sqrt(1.0 + (frequency / hz) ** 16)
    return np.fft.irfft(spectrum * gain.reshape(-1, *[1] * (sound.ndim - 1)), len(sound), axis=0)


def clipped(sound: np.ndarray, below_peak_db: float) -> np.ndarray:
    limit = np.abs(sound).max() * 10.0 ** (-below_peak_db / 20.0)
    return np.clip(sound, -limit, limit)


@pytest.fixture(params=["synthesised", *LOOPS])
def loop(request: pytest.FixtureRequest) -> tuple[np.ndarray, int]:
    if request.param == "synthesised":
        return bars(3, count=1)[0].astype(np.float64), 44100
    folder: Path = request.getfixturevalue("recordings") / "drums" / "loops"
    audio = read_audio(folder / request.param)
    return audio.samples[: 3 * audio.sample_rate].astype(np.float64), audio.sample_rate


@pytest.mark.parametrize(
    ("degrade", "steps"),
    [
        (lambda sound, rate, db: with_noise(sound, db), (70, 50, 40, 30, 20, 10)),
        (lambda sound, rate, hz: low_passed(sound, hz, rate), (16000, 12000, 8000, 4000)),
        (lambda sound, rate, db: clipped(sound, db), (3, 6, 12, 18, 24)),
    ],
    ids=["noise", "low-pass", "clipping"],
)
def test_grade_falls_with_every_step_of_degradation(
    loop: tuple[np.ndarray, int], degrade: Callable[[np.ndarray, int, float], np.ndarray], steps: tuple[float, ...]
) -> None:
    sound, rate = loop
    grades = [peaq(sound, degrade(sound, rate, step), rate).odg for step in steps]
    assert all(better > worse for better, worse in itertools.pairwise(grades)), grades
    assert grades[0] > -1.0
    assert grades[-1] < -1.5


@pytest.mark.smoke
def test_equal_sounds_are_graded_as_not_to_be_told_apart(loop: tuple[np.ndarray, int]) -> None:
    found = peaq(*(loop[0],) * 2, loop[1])
    assert 0.0 < found.odg < 0.22
    assert found.variables["ADBB"] == found.variables["MFPDB"] == found.variables["RelDistFramesB"] == 0.0
    for name in START_UP:
        assert found.variables[name] == pytest.approx(0.0, abs=1e-9)
    assert found.variables["TotalNMRB"] < -100.0


def test_grade_is_that_of_the_variables() -> None:
    sound = bars(5, count=1)[0]
    found = peaq(sound, with_noise(sound, 40.0), 44100)
    assert found.missing == ()
    assert tuple(found.variables) == VARIABLES
    assert found.inputs == found.variables
    assert (found.di, found.odg) == grade(found.inputs)
    assert found.notes == ("The sounds were resampled from 44100 Hz to 48000 Hz.",)


def test_two_equal_channels_are_one() -> None:
    sound = bars(5, count=1)[0]
    noisy = with_noise(sound, 30.0)
    mono = peaq(sound, noisy, 48000)
    stereo = peaq(np.stack([sound, sound], axis=1), np.stack([noisy, noisy], axis=1), 48000)
    assert stereo.odg == pytest.approx(mono.odg, rel=1e-12)
    half = peaq(np.stack([sound, sound], axis=1), np.stack([noisy, sound], axis=1), 48000)
    assert half.odg > mono.odg
    # Detection is by the better ear, the rest is the mean of both.
    assert half.variables["MFPDB"] == pytest.approx(mono.variables["MFPDB"], rel=1e-12)
    assert half.variables["RelDistFramesB"] == pytest.approx(mono.variables["RelDistFramesB"] / 2, rel=1e-12)


@pytest.mark.smoke
@pytest.mark.parametrize("voice", ["kick", "snare", "clap"])
def test_short_sounds_lack_the_start_up_variables_and_say_so(voice: str) -> None:
    sound = one_shot(voice, 1)[: int(0.4 * 44100)]
    grades = []
    for snr in (70.0, 50.0, 30.0, 10.0):
        found = peaq(sound, with_noise(sound, snr), 44100)
        # The noise can hide what little a kick has above 8 kHz.
        assert set(START_UP) <= set(found.missing) <= {*START_UP, "BandwidthRefB", "BandwidthTestB"}
        assert all(found.variables[name] is None for name in START_UP)
        assert tuple(found.inputs) == VARIABLES
        assert any("after 0.52 s of silence" in note for note in found.notes)
        grades.append(found.odg)
    assert all(better > worse for better, worse in itertools.pairwise(grades)), grades
    same = peaq(sound, sound, 44100)
    assert 0.0 < same.odg < 0.22


def test_lead_in_of_a_short_sound_is_silence_before_it() -> None:
    sound = one_shot("snare", 3)[:16000]
    noisy = with_noise(sound, 40.0)
    short = peaq(sound, noisy, 48000)
    led_in = peaq(np.pad(sound, (LEAD_IN, 0)), np.pad(noisy, (LEAD_IN, 0)), 48000)
    assert led_in.missing == ()
    assert short.odg == pytest.approx(led_in.odg, rel=1e-12)
    assert short.inputs == pytest.approx(led_in.variables, rel=1e-12)


def test_every_length_has_a_grade_and_tells_what_is_missing() -> None:
    sound = one_shot("cymbal", 2)
    noisy = with_noise(sound, 40.0)
    for samples in (1, 4, 100, 1000, 2000, 5000, 24575, 25600, 28672, 29000):
        found = peaq(sound[200 : 200 + samples], noisy[200 : 200 + samples], 48000)
        assert -3.98 <= found.odg <= 0.22
        assert found.missing == tuple(name for name in VARIABLES if found.variables[name] is None)
        assert (found.missing == ()) == (samples > 28672 - 1024)
        for name, value in found.inputs.items():
            if f"{name} is not defined" in " ".join(found.notes):
                assert value == LOWEST[name]


def test_a_dull_sound_has_no_bandwidth() -> None:
    sound = low_passed(bars(3, count=1)[0].astype(np.float64), 1500.0, 44100)
    found = peaq(sound, with_noise(sound, 60.0), 48000)
    assert found.missing == ("BandwidthRefB", "BandwidthTestB")
    assert found.inputs["BandwidthRefB"] == LOWEST["BandwidthRefB"]
    assert "8.1 kHz" in found.notes[0]


@pytest.mark.parametrize("silent", ["reference", "test", "reference and the test"])
def test_silence_has_no_grade(silent: str) -> None:
    sound = one_shot("snare", 1)
    nothing = np.zeros_like(sound)
    found = peaq(nothing if "reference" in silent else sound, nothing if "test" in silent else sound, 44100)
    assert found.odg is None
    assert found.di is None
    assert found.missing == VARIABLES
    assert f"the {silent} is silent" in found.notes[-1]


def test_silence_around_the_sound_does_not_count() -> None:
    sound = bars(4, count=1)[0]
    noisy = with_noise(sound, 35.0)
    plain = peaq(sound, noisy, 48000)
    after = peaq(np.pad(sound, (0, 30000)), np.pad(noisy, (0, 30000)), 48000)
    np.testing.assert_allclose(after.odg, plain.odg, rtol=0, atol=0.02)


def test_lengths_and_levels_that_do_not_fit_are_said() -> None:
    sound = bars(3, count=1)[0].astype(np.float64)
    found = peaq(1.5 * sound, 1.5 * sound[:-100], 48000)
    assert f"{len(sound)} and {len(sound) - 100} samples" in found.notes[0]
    assert "beyond full scale were clipped" in found.notes[1]


@pytest.mark.parametrize(
    ("reference", "test", "word"),
    [
        (np.zeros(0), np.zeros(0), "reference has shape"),
        (np.zeros(9), np.zeros((9, 3)), "test has shape"),
        (np.zeros(9), np.zeros((2, 9, 1)), "test has shape"),
        (np.zeros((9, 2)), np.zeros(9), "2 channels and the test 1"),
        (np.zeros(9), np.full(9, np.nan), "test holds NaN"),
        (np.full(9, np.inf), np.zeros(9), "reference holds NaN or infinite"),
    ],
)
def test_unusable_sounds_are_refused(reference: np.ndarray, test: np.ndarray, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        peaq(reference, test, 48000)
