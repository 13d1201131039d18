"""Trivial baselines of every table of quality: noise, procedural drums, principal components, recordings.

All are sets of a rate, a length and a list of classes, at the same peak.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.audio.representations import settings_of
from drumgan_jax.audio.spectrograms import LogMagnitude
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import Dataset
from drumgan_jax.data.patterns import GENRES
from drumgan_jax.data_pipelines import synthetic
from drumgan_jax.evaluation.class_mix import items_at_mix
from drumgan_jax.evaluation.quality.sets import SoundSet
from drumgan_jax.play.pca_gaussian import PcaInstrument
from drumgan_jax.systems.pca_gaussian import PcaGaussianSettings, fit_pca_gaussian, most_examples

NOISE, PROCEDURAL, PCA = "noise", "procedural", "PCA"
TRAINING, OTHERS, HELD_OUT = "training recordings", "other recordings", "held-out recordings"
# dBFS, as of prepared data sets.
_PEAK = 10 ** (-1.0 / 20.0)
# Seconds from which unlabelled sounds are taken for loops.
_LOOP = 1.0
# Of the procedural drums: the packaged classifier was trained on those of seed 0.
_SEED = 1
_BATCH = 64
# Recordings that principal components are fitted to, at most.
_FITTED = 2_000
# Seconds of a window of the principal components.
_WINDOW = 0.0464


@dataclasses.dataclass(frozen=True)
class Form:
    """What all sets of a table share.

    Attributes:
        sample_rate: in Hz.
        num_samples: length of a sound.
        label_names: classes; empty without.
    """

    sample_rate: int
    num_samples: int
    label_names: tuple[str, ...]

    def set_of(self, name: str, waveforms: np.ndarray, classes: np.ndarray) -> SoundSet:
        """A set of this form; its classes are dropped if the form has none."""
        known = classes if self.label_names else None
        return SoundSet(name, waveforms.astype(np.float32), self.sample_rate, known, self.label_names)


def noise_bursts(form: Form, classes: np.ndarray, seed: int = 0) -> SoundSet:
    """Noise in a random band with a random decay, one for each class number [sounds], which it does not heed."""
    rng = np.random.default_rng(seed)
    time = np.arange(form.num_samples) / form.sample_rate
    hertz = np.fft.rfftfreq(form.num_samples, 1 / form.sample_rate)
    sounds = []
    for _ in classes:
        low, high = np.sort(np.exp(rng.uniform(math.log(30.0), math.log(form.sample_rate / 2), 2)))
        spectrum = np.fft.rfft(rng.standard_normal(form.num_samples)) * ((hertz >= low) & (hertz <= max(high, 2 * low)))
        decaying = np.fft.irfft(spectrum, form.num_samples) * np.exp(-time / np.exp(rng.uniform(-4.0, -1.0)))
        sounds.append(_at_peak(decaying))
    return form.set_of(NOISE, np.stack(sounds), classes)


def procedural(form: Form, classes: np.ndarray) -> SoundSet | None:
    """Our own synthesis (`synthetic:`), one sound for each class number [sounds]; None if it has not these classes."""
    loops = form.num_samples >= _LOOP * form.sample_rate
    if form.label_names:
        names = [form.label_names[number] for number in classes]
        if set(form.label_names) <= set(synthetic.VOICES):
            return form.set_of(PROCEDURAL, _voices(form, names), classes)
        if set(form.label_names) <= set(GENRES):
            return form.set_of(PROCEDURAL, _bars(form, names), classes)
        return None
    cycled = list(GENRES if loops else synthetic.VOICES)
    names = [cycled[item % len(cycled)] for item in range(len(classes))]
    return form.set_of(PROCEDURAL, _bars(form, names) if loops else _voices(form, names), classes)


def pca_set(instrument: PcaInstrument, form: Form, classes: np.ndarray, seed: int = 0) -> SoundSet:
    """Sounds of principal components with a Gaussian per class, one for each class number [sounds]."""
    labels = np.eye(len(form.label_names), dtype=np.float32)[classes] if form.label_names else None
    latents = instrument.draw(range(seed, seed + len(classes)), labels)
    return form.set_of(PCA, instrument.render(latents).waveforms[:, : form.num_samples], classes)


def fit_baseline(sounds: SoundSet) -> PcaInstrument:
    """Fit principal components to recordings, in a representation that suits their rate and length.

    Raises:
        BadInput: there are too few recordings, or a class has none.
    """
    rate, samples = sounds.sample_rate, sounds.waveforms.shape[1]
    n_fft = 2 ** round(math.log2(_WINDOW * rate))
    hop = n_fft // 4
    representation = LogMagnitude(
        sample_rate=rate, n_fft=n_fft, hop_length=hop, num_frames=max(4, math.ceil(samples / hop)) + 1, floor=1e-2
    )
    count = min(_FITTED, most_examples(representation), len(sounds))
    settings = PcaGaussianSettings(kind="pca_gaussian", components=max(1, min(64, count - 1)))
    behind = representation.num_samples - samples
    starts = range(0, count, _BATCH)
    padded = (np.pad(sounds.waveforms[start : min(start + _BATCH, count)], ((0, 0), (0, behind))) for start in starts)
    labels = np.zeros((count, 0), np.float32)
    if sounds.classes is not None:
        labels = np.eye(len(sounds.label_names), dtype=np.float32)[sounds.classes[:count]]
    fitted, shown = fit_pca_gaussian(padded, labels, representation, settings)
    config: Mapping[str, Any] = {
        "representation": settings_of(shown),
        "decoder": {"kind": "griffin_lim", "phases": "noise"},
    }
    return PcaInstrument(fitted, sounds.label_names, config)


def recorded(dataset: Dataset, split: str, most: int, name: str) -> SoundSet:
    """Up to `most` recordings of a split of a data set, always the same ones, with their classes."""
    representation = dataset.representation
    form = Form(representation.sample_rate, representation.num_samples, dataset.label_names)
    waveforms = np.concatenate(list(dataset.waveforms(split, most, _BATCH)))
    classes = dataset.class_weights(split, most)
    return form.set_of(name, waveforms, classes.argmax(axis=1) if classes.shape[1] else np.zeros(len(classes), int))


def at_mix(sounds: SoundSet, shares: np.ndarray, count: int) -> SoundSet:
    """As many of a set's sounds as there are at a mix of classes [classes], at most `count`.

    Raises:
        BadInput: a class of the mix is missing.
    """
    if sounds.classes is None:
        return sounds.take(np.arange(min(count, len(sounds))))
    try:
        return sounds.take(items_at_mix(sounds.classes, shares, count, sounds.label_names))
    except BadInput as problem:
        raise BadInput(f"{sounds.name}: {problem} Prepare the data set with recordings of it.") from problem


def _voices(form: Form, names: list[str]) -> np.ndarray:
    sounds = []
    for item, name in enumerate(names):
        # Hats count as cymbals where there is no class of hats.
        voice = "hat" if name == "cymbal" and "hat" not in form.label_names and item % 2 else name
        sounds.append(_fitted(form, synthetic.one_shot(voice, item, _SEED)))
    return np.stack(sounds)


def _bars(form: Form, names: list[str]) -> np.ndarray:
    bpm = 240.0 * form.sample_rate / form.num_samples
    return np.stack(
        [_fitted(form, synthetic.bars(item, _SEED, bpm=bpm, genre=name)[0]) for item, name in enumerate(names)]
    )


def _fitted(form: Form, waveform: np.ndarray) -> np.ndarray:
    """A synthetic sound at the form's rate and length, its end faded."""
    sound = resample(waveform, synthetic.SAMPLE_RATE, form.sample_rate)[: form.num_samples]
    fade = min(len(sound), round(0.01 * form.sample_rate))
    sound = np.concatenate([sound[:-fade], sound[-fade:] * np.linspace(1.0, 0.0, fade, dtype=np.float32)])
    return _at_peak(np.pad(sound, (0, form.num_samples - len(sound))))


def _at_peak(waveform: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = (waveform * (_PEAK / max(np.abs(waveform).max(), 1e-9))).astype(np.float32)
    return scaled
