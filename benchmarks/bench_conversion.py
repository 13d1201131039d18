"""How near a representation, converted, comes to the feature networks' own front ends on the same sounds.

    python -m benchmarks.bench_conversion [--count=64] [--json=PATH]

Sounds of 1.92 s at 16 kHz, peak 1: one-shots and the beginnings of loops from beside the checkout if they are there,
else procedural ones. The representations are pjloopgan's of `full` and `tiny`, and one by the bins of VGGish's own
window. Errors are in the target's units: VGGish's in natural logarithms, the short-chunk network's in decibels,
musicnn's in powers of ten, of frames and bands above -50 dB, for those below are at the representations' floor. Beside
them is what comes of taking each band for the nearest one, scaled by their widths.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from drumgan_jax.audio.conversion import MUSICNN, SHORT_CHUNK, VGGISH, Conversion, MelScale
from drumgan_jax.audio.files import read_audio, resample
from drumgan_jax.audio.musicnn_mel import musicnn_log_mel
from drumgan_jax.audio.representations import LogMagnitude, LogMel
from drumgan_jax.audio.short_chunk_mel import decibel_mel
from drumgan_jax.audio.vggish_mel import vggish_log_mel

RECORDINGS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "drums"
MATERIALS = {"one-shots": "one_shots/*/*/*.flac", "loops": "loops/*/*.flac"}
RATE, SAMPLES = 16_000, 30_720
REPRESENTATIONS = {
    "64 bands, hop 160": LogMel(sample_rate=RATE, n_fft=512, hop_length=160, num_mels=64, num_frames=192),
    "32 bands, hop 320": LogMel(sample_rate=RATE, n_fft=512, hop_length=320, num_mels=32, num_frames=96),
    "VGGish's bins, hop 40": LogMagnitude(sample_rate=RATE, n_fft=512, win_length=400, hop_length=40, num_frames=769),
}
TARGETS = {"vggish": VGGISH, "short_chunk": SHORT_CHUNK, "musicnn": MUSICNN}
AUDIBLE = -50.0


def sounds(material: str, count: int) -> np.ndarray:
    """Recordings of the material [count, SAMPLES], each alone; what is short is followed by silence."""
    paths = sorted(RECORDINGS.glob(MATERIALS[material]))
    rng = np.random.default_rng(0)
    if not paths:
        noise = rng.standard_normal((count, SAMPLES)) * np.exp(-np.arange(SAMPLES) / rng.uniform(500, 9000, (count, 1)))
        return (noise / np.abs(noise).max(axis=1, keepdims=True)).astype(np.float32)
    made = []
    for index in rng.permutation(len(paths))[:count]:
        audio = read_audio(paths[index])
        sound = resample(audio.samples.mean(axis=1), audio.sample_rate, RATE)[:SAMPLES]
        made.append(np.pad(sound, (0, SAMPLES - len(sound))) / max(np.abs(sound).max(), 1e-9))
    return np.stack(made).astype(np.float32)


def front_end(target: MelScale, waveforms: np.ndarray, first: int, frames: int) -> np.ndarray:
    """What a network's own front end makes [batch, bands, frames], of frames centred from sample `first` on."""
    if target is VGGISH:
        padded = np.pad(waveforms, ((0, 0), (200, 800)), mode="reflect")[:, first:]
        return np.asarray(jax.jit(vggish_log_mel)(padded))[:, :frames].swapaxes(1, 2)
    padded = np.pad(waveforms, ((0, 0), (0, 800)), mode="reflect")[:, first:]
    if target is MUSICNN:
        return np.asarray(jax.jit(musicnn_log_mel)(padded))[:, :, :frames]
    return np.asarray(jax.jit(decibel_mel)(padded))[:, :, :frames]


def nearest(representation: LogMel, target: MelScale, features: np.ndarray, frames: int) -> np.ndarray:
    """What comes of taking each of the target's bands and frames for the nearest of `features`."""
    source = representation._filters()
    wanted = target.bands.filters()
    totals = wanted.sum(axis=1)
    hz = np.arange(source.shape[1])
    centres, places = source @ hz / source.sum(axis=1), wanted @ hz / np.maximum(totals, 1e-9)
    bands = np.abs(centres - places[:, None]).argmin(axis=1)
    columns = np.linspace(0, features.shape[2] - 1, frames).round().astype(int)
    density = (10.0 ** features[..., 0] / source.sum(axis=1)[:, None])[:, bands][:, :, columns]
    linear = target.gain * density**target.exponent * totals[:, None]
    return target.unit * np.log(np.maximum(linear, target.floor) + target.offset)


def error(found: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    """Figures of all frames but those that reach beyond the ends."""
    inside = expected[:, :, 2:-2] > (AUDIBLE if expected.min() < AUDIBLE else -np.inf)
    found, expected = found[:, :, 2:-2][inside], expected[:, :, 2:-2][inside]
    off = np.abs(found - expected)
    return {
        "mean": float(off.mean()),
        "p99": float(np.quantile(off, 0.99)),
        "largest": float(off.max()),
        "correlation": float(np.corrcoef(found, expected)[0, 1]),
    }


def measure(name: str, target_name: str, waveforms: np.ndarray) -> dict[str, Any]:
    """Errors of a conversion, and of the nearest bands where the representation has bands."""
    representation, target = REPRESENTATIONS[name], TARGETS[target_name]
    waveforms = waveforms[:, : representation.num_samples]
    features = np.asarray(jax.jit(representation.transform)(waveforms))
    axes = (0, 2, 3) if isinstance(representation, LogMel) else (0, 1, 2, 3)
    mean, std = (statistic(features, axis=axes, keepdims=True)[0] for statistic in (np.mean, np.std))
    fitted = representation.with_normalization(mean, std)
    conversion = Conversion(fitted, target)
    found = np.asarray(jax.jit(conversion)(jax.jit(fitted.encode)(waveforms)))[..., 0]
    hop = target.hop_length
    # Both grids are centred on the example.
    first = round((representation.num_samples - (found.shape[2] - 1) * hop) / 2)
    first -= first % 40 if isinstance(representation, LogMagnitude) else 0
    expected = front_end(target, waveforms, first, found.shape[2])
    result = {"representation": name, "target": target_name, "ours": error(found, expected)}
    if isinstance(representation, LogMel):
        result["nearest"] = error(nearest(representation, target, features, found.shape[2]), expected)
    return result


def main() -> None:
    """Print the table; write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=64, help="sounds of each material")
    parser.add_argument("--json", help="file to write the results to")
    arguments = parser.parse_args()
    results = []
    for material in MATERIALS:
        waveforms = sounds(material, arguments.count)
        for name in REPRESENTATIONS:
            for target in TARGETS if name != "VGGish's bins, hop 40" else ("vggish",):
                result = {"material": material, **measure(name, target, waveforms)}
                results.append(result)
                for form in ("ours", "nearest"):
                    if form in result:
                        figures = ", ".join(f"{key} {value:.4g}" for key, value in result[form].items())
                        print(f"{material}, {name} to {target}, {form}: {figures}", flush=True)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"results": results}, file, indent=2)


if __name__ == "__main__":
    main()
