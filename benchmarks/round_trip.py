"""What each representation loses: waveform -> encode -> decode on one-shots, at the systems' full sizes.

    python benchmarks/round_trip.py [--sounds=24] [--json=PATH]

Statistics are fitted on the same sounds: recorded one-shots from beside the checkout if they are there, else
procedural noise bursts. Exact representations: signal to noise ratio against the waveform less what the Nyquist bin
holds, at least 80 dB. Those without phase: spectral convergence (0 is perfect, 1 is silence) of the decoded
waveform's magnitudes against the original's, and what of it was there before the phases were sought.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax import parts
from drumgan_jax.audio.files import read_audio, resample
from drumgan_jax.audio.phase import spectral_convergence
from drumgan_jax.audio.representations import build_representation, decode, encode, features
from drumgan_jax.audio.stft import istft, stft

ONE_SHOTS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "drums" / "one_shots"

SYSTEMS = {
    "style_drumsynth": {"kind": "waveform", "sample_rate": 44100, "num_samples": 16384},
    "drumgan_vst": {"kind": "complex", "sample_rate": 44100, "n_fft": 2048, "hop_length": 512, "num_frames": 48},
    "splice_loops": {"kind": "log_magnitude", "sample_rate": 22050, "n_fft": 512, "hop_length": 128, "num_frames": 512},
    "electrogan": {
        "kind": "log_power",
        "sample_rate": 44100,
        "n_fft": 2048,
        "hop_length": 1025,
        "num_frames": 1024,
        "griffin_lim_iterations": 10,
    },
    "pjloopgan": {"kind": "log_mel", "sample_rate": 16000, "n_fft": 1024, "hop_length": 160, "num_frames": 192},
}


def sounds(sample_rate: int, length: int, count: int) -> np.ndarray:
    """One-shots one after the other, as many as fill `length`: [count, length], peak 1."""
    paths = sorted(ONE_SHOTS.glob("*/*/*.flac"))
    rng = np.random.default_rng(0)
    made = []
    for _ in range(count):
        pieces: list[np.ndarray] = []
        while sum(map(len, pieces)) < length:
            if paths:
                audio = read_audio(paths[rng.integers(len(paths))])
                pieces.append(resample(audio.samples.mean(axis=1), audio.sample_rate, sample_rate))
            else:
                pieces.append(rng.standard_normal(sample_rate) * np.exp(-np.arange(sample_rate) / 3000.0))
        sound = np.concatenate(pieces)[:length]
        made.append(sound / np.abs(sound).max())
    return np.stack(made).astype(np.float32)


def fitted(representation: parts.Representation, waveform: jax.Array) -> parts.Representation:
    """The representation with the mean and standard deviation of these waveforms' features."""
    raw = np.asarray(features(representation, waveform), np.float64)
    axes = (0, *(axis + 1 for axis, size in enumerate(representation.statistics_shape) if size == 1))
    return representation.with_statistics(raw.mean(axis=axes, keepdims=True)[0], raw.std(axis=axes, keepdims=True)[0])


def measure(system: str, count: int) -> dict:
    """The round trip's figures for one system's representation."""
    representation = build_representation(SYSTEMS[system])
    waveform = jnp.asarray(sounds(representation.sample_rate, representation.num_samples, count))
    representation = fitted(representation, waveform)
    x = encode(representation, waveform)
    back = decode(representation, x, jax.random.key(0))
    result = {"system": system, "kind": SYSTEMS[system]["kind"], "shape": list(representation.shape)}
    result["x_min"], result["x_max"] = float(x.min()), float(x.max())
    result["outside_1"] = float(jnp.mean(jnp.abs(x) > 1.0))
    if result["kind"] in ("waveform", "complex"):
        wanted = waveform
        if result["kind"] == "complex":
            spectrum = stft(waveform, representation.framing).at[:, :, -1].set(0)
            wanted = istft(spectrum, representation.framing, representation.num_samples)
        wanted, noise = np.asarray(wanted, np.float64), np.asarray(back - wanted, np.float64)
        ratio = np.sum(wanted**2, axis=1) / np.maximum(np.sum(noise**2, axis=1), 1e-30)
        result["snr_db_lowest"] = float(10 * np.log10(ratio.min()))
        return result
    magnitude = jnp.abs(stft(waveform, representation.framing))
    distance = np.asarray(spectral_convergence(magnitude, back, framing=representation.framing))
    result["spectral_convergence_mean"] = float(distance.mean())
    result["spectral_convergence_worst"] = float(distance.max())
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=int, default=24)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = [measure(system, arguments.sounds) for system in SYSTEMS]

    print("| system | representation | shape | x from, to | outside [-1, 1] | lowest SNR dB | SC mean | SC worst |")
    print("|---|---|---|---|---|---|---|---|")
    for r in results:
        figures = [r.get(k) for k in ("snr_db_lowest", "spectral_convergence_mean", "spectral_convergence_worst")]
        shown = " | ".join("" if value is None else f"{value:.3f}" for value in figures)
        shape = " x ".join(map(str, r["shape"]))
        span = f"{r['x_min']:.2f}, {r['x_max']:.2f}"
        print(f"| {r['system']} | {r['kind']} | {shape} | {span} | {100 * r['outside_1']:.2f} % | {shown} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
