"""What the published musicnn makes of 20 recordings, for test_embedder_musicnn.py.

In an environment of its own, which needs neither this project nor JAX:

    pip install tensorflow-cpu tf_keras librosa soundfile && pip install --no-deps musicnn==0.1.0
    python tests/evaluation/make_musicnn_reference.py RECORDINGS > tests/evaluation/musicnn_reference.json

Writes seeded projections of the original graph's penultimate layer and of its logits, for the first 187 frames of each
recording. librosa makes the spectrogram as it did when the network was trained, with reflection at the ends; the
authors' rounding to float16, in which loud frames are infinite, is left out.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
import soundfile

SAMPLES, PROJECTIONS = 187 * 256, 8
# Recordings of each kind: one-shots, which are filled up with silence, and some that are longer than a window.
SHORT, LONG = 10, 10


def main(recordings: Path) -> None:
    """Print the reference as JSON."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow as tf
    from musicnn import models

    files = sorted(path.relative_to(recordings).as_posix() for path in recordings.rglob("*.flac"))
    loops = [file for file in files if "/loops/" in file or file.startswith("mixes/")]
    long = [file for file in loops if soundfile.info(recordings / file).duration > 3.2][::5][:LONG]
    short = [file for file in files if "/one_shots/" in file][::97][:SHORT]
    mels = {file: spectrogram(recordings / file) for file in [*long, *short]}
    found: dict[str, dict[str, list[float]]] = {file: {} for file in mels}
    tf.compat.v1.disable_eager_execution()
    for model in ("MSD_musicnn", "MTT_musicnn"):
        tf.compat.v1.reset_default_graph()
        x = tf.compat.v1.placeholder(tf.float32, [None, 187, 96])
        logits, *_, penultimate = models.define_model(x, tf.constant(False), model, 50)
        with tf.compat.v1.Session() as session:
            tf.compat.v1.train.Saver().restore(session, f"{Path(models.__file__).parent}/{model}/")
            for file, mel in mels.items():
                embedding, tags = session.run((penultimate, logits), {x: mel[None]})
                found[file][model] = [*projected(embedding[0]), *projected(tags[0])]
    json.dump(found, sys.stdout, indent=1)


def spectrogram(path: Path) -> np.ndarray:
    """The original's input [187, 96]."""
    import librosa

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = librosa.resample(samples.mean(axis=1), orig_sr=rate, target_sr=16_000, res_type="soxr_hq")
    mono = np.pad(mono, (0, max(0, SAMPLES - len(mono))))
    power = librosa.feature.melspectrogram(y=mono, sr=16_000, hop_length=256, n_fft=512, n_mels=96, pad_mode="reflect")
    return np.log10(10_000 * power + 1).T[:187].astype(np.float32)


def projected(vector: np.ndarray) -> list[float]:
    """Seeded random projections, each of about the vector's root mean square."""
    matrix = np.random.RandomState(0).standard_normal((PROJECTIONS, len(vector))) / np.sqrt(len(vector))
    return [round(float(value), 7) for value in matrix @ vector.astype(np.float64)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
