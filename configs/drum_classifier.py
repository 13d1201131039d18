"""An Inception-style classifier of drum sounds on 128 mel bands (Nistal et al. 2022, drumgan_vst, section 3).

    drumgan prepare --config=drum_classifier:small --audio=ONE_SHOTS --data_dir=data
    drumgan train --config=drum_classifier:small --config.data.dir=data/drum_classifier --workdir=runs/drums
    drumgan pack --run=runs/drums --out=drums.npz

(P) marks the paper's values, (O) ours if it gives none. `small` is the packaged classifier; its data, commands, time
and held-out accuracy are in drumgan_jax/evaluation/embedders/drums.md. `full` is not yet trained.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """For a large library: sounds of 0.55 s at 44.1 kHz, a network with 2 million parameters."""
    config = defaults.classifier()
    config.name = "drum_classifier"
    config.representation = {
        "kind": "waveform",
        "sample_rate": 44100,  # P
        "num_samples": 24064,  # P; 0.55 s
    }
    config.slicing = {
        "kind": "one_shot",
        "onset_db": -40.0,
        "pre_roll": 0.002,
        "fade_in": 0.0005,
        "fade_out": 0.01,
        "min_seconds": 0.005,
    }
    config.preparation.labels = ("kick", "snare", "cymbal")  # P
    config.front_end = {
        "n_fft": 2048,  # O
        "hop_length": 512,  # O
        "num_mels": 128,  # P
        "fmin": 20.0,  # O; Hz
        "floor_db": -110.0,  # O
        "mean": -90.0,  # O; dB
        "std": 20.0,  # O; dB
    }
    config.network = {"kind": "mel_inception", "width": 64, "dropout": 0.3}  # O
    return config


def small() -> ConfigDict:
    """For a few hundred sounds, minutes on a CPU: 120 thousand parameters, 37 million operations per sound."""
    config = full()
    config.network.width = 16
    config.train.update(batch_size=32, total_images=48_000, ema_half_life_images=2_000)
    config.logging.every = 25
    config.checkpoint.every = 50
    config.evaluation.update(every=50, patience=8)
    return config


def tiny() -> ConfigDict:
    """CPU, CI: sounds of 0.5 s at 8 kHz on 32 bands; the same code, seconds to learn synthetic drums."""
    config = small()
    config.representation.update(sample_rate=8000, num_samples=4096)
    config.front_end.update(n_fft=256, hop_length=128, num_mels=32)
    config.preparation.update(test_fraction=0.2, split_by="hash")
    config.network.width = 4
    config.augmentation.update(lowest_band_limit=2_000.0, mask_bands=3)
    config.train.update(batch_size=16, total_images=3_200, ema_half_life_images=500)
    config.logging.every = 10
    config.evaluation.every = 50
    return config


VARIANTS = {
    "full": defaults.Variant(full, "one GPU"),
    "small": defaults.Variant(
        small, "two CPU cores, minutes", "accuracy 0.953 on 106 held-out sounds (evaluation/embedders/drums.md)"
    ),
    "tiny": defaults.Variant(tiny, "CPU"),
}
