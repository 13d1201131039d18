"""Power spectra block by block, against librosa's of the whole."""

import librosa
import numpy as np
import pytest

from drumgan_jax.audio.power_spectra import mel_rises, power_spectra

RATE = 22_050


@pytest.mark.parametrize("samples", [1, 100, 1024, 128 * 1024 - 1, 128 * 1024, 3 * 128 * 1024 + 77])
def test_blocks_join_to_the_spectra_of_the_whole(samples):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, samples).astype(np.float32)
    blocks = list(power_spectra(sound, 1024, 128))
    assert max(len(block) for block in blocks) <= 1024
    whole = np.square(np.abs(librosa.stft(np.pad(sound, (512, 512)), n_fft=1024, hop_length=128, center=False))).T
    np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=1e-3, atol=1e-3)


def test_mel_rises_are_librosas_onset_strengths():
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 30_000).astype(np.float32)
    sound *= np.repeat([1.0, 0.01, 0.5], 10_000).astype(np.float32)
    mel = librosa.feature.melspectrogram(y=sound, sr=RATE, n_fft=1024, hop_length=128, n_mels=40, fmin=30.0)
    level = librosa.power_to_db(mel, ref=np.max, top_db=60)
    wanted = librosa.onset.onset_strength(S=level, sr=RATE, center=False)
    np.testing.assert_allclose(mel_rises(sound, RATE, 1024, 128, 40, 60.0).mean(1), wanted, atol=1e-3)


def test_silence_and_what_is_nearly_silent_rise_nowhere():
    for level in (0.0, 1e-25):
        assert not mel_rises(np.full(4000, level, np.float32), RATE, 1024, 128, 40, 60.0).any()
