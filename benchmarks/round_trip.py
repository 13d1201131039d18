"""What each representation loses: waveform -> encode -> decode, at the systems' full sizes.

    python benchmarks/round_trip.py [--sounds=8] [--json=PATH]

Recorded one-shots, one after the other, from beside the checkout if they are there, else procedural noise bursts;
electrogan's representation is made for dense music and is measured on the mixes as well. Statistics are fitted on
the same sounds. Exact representations: signal to noise ratio against the waveform less what the Nyquist bin holds,
at least 80 dB. Those without phase: spectral convergence (0 is perfect, 1 is as far as silence), first of the encoded
magnitudes against the waveform's (the floor, the clip, the mel bands), then of the decoded waveform against the encoded
ones (Griffin-Lim), and of the decoded waveform against the first.
"""

import argparse
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import librosa
import numpy as np

from drumgan_jax.audio.files import read_audio, resample
from drumgan_jax.audio.phase import spectral_convergence
from drumgan_jax.audio.representations import build_representation, encode, transform
from drumgan_jax.audio.stft import stft
from drumgan_jax.core import parts
from drumgan_jax.systems.decoders import build_decoder

RECORDINGS = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
MATERIALS = {"one-shots": "drums/one_shots/*/*/*.flac", "mixes": "mixes/**/*.flac"}

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
    },
    "pjloopgan": {"kind": "log_mel", "sample_rate": 16000, "n_fft": 1024, "hop_length": 160, "num_frames": 192},
}


def sounds(material: str, sample_rate: int, length: int, count: int) -> np.ndarray:
    """Recordings of the material one after the other, as many as fill `length`: [count, length], peak 1."""
    paths = sorted(RECORDINGS.glob(MATERIALS[material]))
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
    raw = np.asarray(transform(representation, waveform), np.float64)
    axes = (0, *(axis + 1 for axis, size in enumerate(representation.normalization_shape) if size == 1))
    return representation.with_normalization(
        raw.mean(axis=axes, keepdims=True)[0], raw.std(axis=axes, keepdims=True)[0]
    )


def measure(system: str, material: str, count: int) -> dict:
    """The round trip's figures of one system's representation on one material."""
    representation = build_representation(SYSTEMS[system])
    waveform = jnp.asarray(sounds(material, representation.sample_rate, representation.num_samples, count))
    representation = fitted(representation, waveform)
    x = encode(representation, waveform)
    decoder = build_decoder({}, representation)
    back = jax.jit(decoder.decode)(x, jax.random.split(jax.random.key(0), len(x)))
    result = {"system": system, "kind": SYSTEMS[system]["kind"], "material": material, "sounds": count}
    result["shape"] = list(representation.shape)
    result["x_min"], result["x_max"] = float(x.min()), float(x.max())
    result["beyond_1"] = float(jnp.mean(jnp.abs(x) > 1.0))
    if result["kind"] in ("waveform", "complex"):
        wanted = waveform
        if result["kind"] == "complex":
            # In float64 and by another's transform, so that the figure holds all of our rounding.
            n_fft, hop = representation.framing.n_fft, representation.framing.hop_length
            spectrum = librosa.stft(np.asarray(waveform, np.float64), n_fft=n_fft, hop_length=hop)
            spectrum[:, -1] = 0.0
            wanted = librosa.istft(spectrum, n_fft=n_fft, hop_length=hop, length=representation.num_samples)
        wanted, noise = np.asarray(wanted, np.float64), np.asarray(back, np.float64) - np.asarray(wanted, np.float64)
        ratio = np.sum(wanted**2, axis=1) / np.maximum(np.sum(noise**2, axis=1), 1e-30)
        result["snr_db_lowest"] = float(10 * np.log10(ratio.min()))
        return result
    left = representation.magnitude(x)
    original = jnp.abs(stft(waveform, representation.framing))
    lost = jnp.linalg.norm(left - original, axis=(1, 2)) / jnp.linalg.norm(original, axis=(1, 2))
    found = spectral_convergence(left, back, framing=representation.framing)
    total = spectral_convergence(original, back, framing=representation.framing)
    for name, distance in (("encoding", lost), ("phases", found), ("all", total)):
        result[f"spectral_convergence_{name}"] = float(jnp.mean(distance))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sounds", type=int, default=8)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = [*((system, "one-shots") for system in SYSTEMS), ("electrogan", "mixes")]
    results = [measure(system, material, arguments.sounds) for system, material in rows]

    names = ["snr_db_lowest", *(f"spectral_convergence_{of}" for of in ("encoding", "phases", "all"))]
    titles = (
        "system, representation, shape, material, x from - to, beyond 1, lowest SNR dB, SC encoding, SC phases, SC all"
    )
    print(f"| {titles.replace(', ', ' | ')} |")
    print("|---" * 10 + "|")
    for r in results:
        shown = " | ".join(f"{r[name]:.3f}" if name in r else "" for name in names)
        shape = " x ".join(map(str, r["shape"]))
        span = f"{r['x_min']:.2f}, {r['x_max']:.2f} | {100 * r['beyond_1']:.2f} %"
        print(f"| {r['system']} | {r['kind']} | {shape} | {r['material']} | {span} | {shown} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
