"""An Inception-style classifier of drum sounds on 128 mel bands (Nistal et al. 2022, drumgan_vst, section 3).

    drumgan prepare --config=configs/drum_classifier.py:small --audio=ONE_SHOTS --data_dir=data
    drumgan train --config=configs/drum_classifier.py:small --config.data.dir=data/drum_classifier --workdir=runs/drums
    drumgan pack --run=runs/drums --out=drums.npz

(P) marks the paper's values, (O) ours where it is silent. `small` is the packaged classifier, whose data, commands,
time and held-out accuracy are in drumgan_jax/evaluation/embedders/drums.md. `full`: not yet trained.
"""

from ml_collections import ConfigDict

from configs import defaults


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small or tiny."""
    return defaults.pick({"full": full, "small": small, "tiny": tiny}, variant)


def full() -> ConfigDict:
    """For a large library: sounds of 0.55 s at 44.1 kHz, a network of 2 million parameters."""
    return ConfigDict(
        {
            "name": "drum_classifier",
            "seed": 0,
            "representation": {
                "kind": "waveform",
                "sample_rate": 44100,  # P
                "num_samples": 24064,  # P; 0.55 s
            },
            "slicing": {
                "kind": "one_shot",
                "onset_db": -40.0,
                "pre_roll": 0.002,
                "fade_in": 0.0005,
                "fade_out": 0.01,
            },
            "preparation": {
                "channel": "mix",
                "normalization": "peak",
                "level": -1.0,
                "pitch_shifts": (0.0,),
                "min_activity": 0.0,
                "activity_db": -50.0,
                "test_fraction": 0.1,
                "split_by": "source",  # neighbours of one recording session are no test
                "test_sources": (),  # rather than a fraction, these
                "labels": ("kick", "snare", "cymbal"),  # P
                "label_pattern": "",
            },
            "front_end": {
                "n_fft": 2048,  # O
                "hop_length": 512,  # O
                "num_mels": 128,  # P
                "fmin": 20.0,  # O; Hz
                "floor_db": -110.0,  # O
                "mean": -90.0,  # O; dB
                "std": 20.0,  # O; dB
            },
            "network": {"kind": "mel_inception", "width": 64, "dropout": 0.3},  # O
            "augmentation": {
                "gain_db": 18.0,  # O, as all here
                "shift": 0.02,  # seconds
                "band_limit": 0.3,  # probability
                "lowest_band_limit": 3_500.0,  # Hz
                "equalizer_db": 6.0,
                "mask_bands": 12,
                "mask_frames": 4,
            },
            "optimizer": {
                "classifier": {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
            },
            "task": {"kind": "classifier", "balanced": True},
            "train": {
                "batch_size": 128,  # O
                "total_images": 5_000_000,
                "accumulation": 1,
                "compute_dtype": "float32",
                "ema_half_life_images": 20_000,
                "ema_rampup": 0.1,
            },
            "data": {"dir": "", "prefetch": 2},
            "mesh": {"data": -1, "fsdp": 1},
            "logging": {"every": 50, "samples_every": 0, "num_samples": 1},
            "checkpoint": {"every": 1_000, "keep": 2},
            "evaluation": {"every": 500, "patience": 10, "metric": "loss"},  # on the whole split "test"
        }
    )


def small() -> ConfigDict:
    """For some hundred sounds, minutes on a CPU: 120 thousand parameters, 37 million operations a sound."""
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
