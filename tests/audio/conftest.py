"""Drum sounds for the audio tests: synthesised ones always, recorded ones where the recordings are."""

from collections.abc import Callable

import numpy as np
import pytest

from drumgan_jax.audio.files import read_audio, resample

Sounds = Callable[[int, int], np.ndarray]


@pytest.fixture(params=["synthesised", "recorded"])
def sounds(request: pytest.FixtureRequest) -> Sounds:
    """Function of (sample rate, samples) to one-shots [6, samples] with a peak of 1."""
    if request.param == "synthesised":
        return synthesised_sounds
    folder = request.getfixturevalue("recordings") / "drums" / "one_shots"
    # The first file of a class in a source: different sounds, the same ones each time.
    paths = [min(group.glob("*.flac")) for group in sorted(folder.glob("*/*")) if any(group.glob("*.flac"))]
    paths = paths[:: len(paths) // 6][:6]

    def recorded(sample_rate: int, samples: int) -> np.ndarray:
        cut = []
        for path in paths:
            audio = read_audio(path)
            mono = resample(audio.samples.mean(axis=1), audio.sample_rate, sample_rate)[:samples]
            cut.append(np.pad(mono, (0, samples - len(mono))))
        return _peak_of_one(np.stack(cut))

    return recorded


def synthesised_sounds(sample_rate: int, samples: int) -> np.ndarray:
    """Decaying sweeps and noise bursts [6, samples], each followed by silence or a tail."""
    rng = np.random.default_rng(7)
    time = np.arange(samples) / sample_rate
    made = []
    for index, (frequency, decay, noise) in enumerate(
        [(55, 9, 0.0), (110, 6, 0.02), (200, 20, 0.5), (330, 12, 0.2), (6000, 40, 1.0), (9000, 3, 1.0)]
    ):
        tone = np.sin(2 * np.pi * frequency * (time + 0.02 * (1 - np.exp(-30 * time))))
        hit = ((1 - noise) * tone + noise * rng.standard_normal(samples)) * np.exp(-decay * time)
        made.append(np.roll(hit, 37 * index))
    return _peak_of_one(np.stack(made))


def _peak_of_one(sounds: np.ndarray) -> np.ndarray:
    return (sounds / np.abs(sounds).max(axis=1, keepdims=True)).astype(np.float32)
