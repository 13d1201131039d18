"""How near encoded and decoded recordings are to their originals, beside what trivial encoders reach."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.files import resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedders.log_mel import SAMPLE_RATE, log_mel_frames
from drumgan_jax.evaluation.intervals import Figure, bootstrap
from drumgan_jax.evaluation.quality.judge import Judge, judge_waveforms
from drumgan_jax.evaluation.quality.thumbnails import DECIBELS_PER_NEPER
from drumgan_jax.evaluation.reconstruction import log_spectral_distance

_BATCH = 32
# Seconds of one value of the envelope, and dB below full scale at which it ends.
_ENVELOPE, _SOFTEST = 0.005, -60.0
_frames = jax.jit(log_mel_frames)


@dataclasses.dataclass(frozen=True)
class RoundTrip:
    """Figures of decoded sounds; see ROUND_TRIP for their meaning."""

    log_mel_db: Figure
    log_spectral_distance: Figure
    envelope_db: Figure
    class_kept: Figure | None
    rank: Figure
    found: Figure


ROUND_TRIP: dict[str, str] = {
    "log_mel_db": "mean absolute difference of 40 mel bands, in dB",
    "log_spectral_distance": "in units of 10 dB, see evaluation/reconstruction.py",
    "envelope_db": "mean absolute difference of the RMS envelope in steps of 5 ms, in dB",
    "class_kept": "share of sounds in which the judge hears the original's class",
    "rank": "mean rank of the right original among all, the nearest first",
    "found": "share of sounds whose nearest original is the right one",
}


def round_trip(originals: np.ndarray, decoded: np.ndarray, sample_rate: int, judge: Judge | None) -> RoundTrip:
    """Compare decoded sounds with their originals, both [sounds, samples], at a sample rate in Hz.

    Without a judge, `class_kept` is None.

    Raises:
        BadInput: there are fewer than two sounds, or the shapes differ.
    """
    if originals.shape != decoded.shape or len(originals) < 2:
        raise BadInput(
            f"a round trip compares 2 or more sounds of one length, not {len(originals)} and {len(decoded)}."
        )
    mels = [mel_decibels(side, sample_rate) for side in (originals, decoded)]
    envelopes = [envelope_decibels(side, sample_rate) for side in (originals, decoded)]
    ranks = retrieval_ranks(*mels)
    kept = None
    if judge is not None:
        heard = [judge_waveforms(judge, side, sample_rate).argmax(axis=1) for side in (originals, decoded)]
        kept = bootstrap((heard[0] == heard[1]).astype(float))
    distances = [
        np.asarray(log_spectral_distance(jnp.asarray(originals[i : i + 1]), jnp.asarray(decoded[i : i + 1])))[0]
        for i in range(len(originals))
    ]
    return RoundTrip(
        bootstrap(np.abs(mels[0] - mels[1]).mean(axis=(1, 2))),
        bootstrap(np.asarray(distances, np.float64)),
        bootstrap(np.abs(envelopes[0] - envelopes[1]).mean(axis=1)),
        kept,
        bootstrap(ranks.astype(float)),
        bootstrap((ranks == 1).astype(float)),
    )


def nearest_sounds(originals: np.ndarray, candidates: np.ndarray, sample_rate: int) -> np.ndarray:
    """Number of the candidate [candidates, samples] nearest to each original [sounds, samples], by mel bands."""
    return _squared_distances(*(mel_decibels(side, sample_rate) for side in (originals, candidates))).argmin(axis=1)


def retrieval_ranks(originals: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """Rank [sounds] of each decoded sound's original, 1 for the nearest; both are [sounds, time, freq] in dB."""
    distances = _squared_distances(decoded, originals)
    own = np.diagonal(distances)[:, None]
    ranks: np.ndarray = 1 + np.sum(distances < own, axis=1)
    return ranks


def mel_decibels(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """40 mel bands [sounds, time, freq] in dB, at least -80 dB, of waveforms [sounds, samples]; see log_mel."""
    resampled = np.stack([resample(np.asarray(one, np.float32), sample_rate, SAMPLE_RATE) for one in waveforms])
    parts = []
    for start in range(0, len(resampled), _BATCH):
        batch = resampled[start : start + _BATCH]
        padded = np.pad(batch, ((0, _BATCH - len(batch)), (0, 0)))
        parts.append(DECIBELS_PER_NEPER * np.asarray(_frames(jnp.asarray(padded)))[: len(batch)])
    return np.concatenate(parts)


def envelope_decibels(waveforms: np.ndarray, sample_rate: int) -> np.ndarray:
    """RMS envelope [sounds, steps] of 5 ms in dB, at least -60 dB, of waveforms [sounds, samples]."""
    size = max(1, round(_ENVELOPE * sample_rate))
    padded = np.pad(waveforms, ((0, 0), (0, -waveforms.shape[1] % size)))
    power = np.square(padded.astype(np.float64)).reshape(len(padded), -1, size).mean(axis=2)
    result: np.ndarray = 10.0 * np.log10(np.maximum(power, 10.0 ** (_SOFTEST / 10.0)))
    return result


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances [x sounds, y sounds] of [sounds, time, freq]."""
    flat, other = (one.reshape(len(one), -1).astype(np.float64) for one in (x, y))
    distances: np.ndarray = np.sum(flat**2, axis=1)[:, None] + np.sum(other**2, axis=1) - 2.0 * flat @ other.T
    return distances
