"""The baseline: principal components of log magnitudes, a Gaussian per class, Griffin-Lim. It is fitted, not trained.

    drumgan prepare --config=pca_gaussian --audio=ONE_SHOTS --data_dir=data
    drumgan fit --config=pca_gaussian --config.data.dir=data/pca_gaussian --workdir=runs/pca
    drumgan evaluate --run=runs/pca
    drumgan pack --run=runs/pca --out=pca.npz

A generator that does not beat it has not learned more than the mean and covariance of its data. Any data set with the
same sample rate and length will do, whatever its representation. Figures of `packaged` are in docs/quality.md.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, packaged or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """0.55 s at 44.1 kHz, the sounds of `drumgan_vst`: 1024 bins x 48 frames."""
    return ConfigDict(
        {
            "name": "pca_gaussian",
            "seed": 0,
            "representation": {
                "kind": "log_magnitude",
                "sample_rate": 44_100,
                "n_fft": 2048,
                "hop_length": 512,
                "num_frames": 48,
                "floor": 1e-2,  # 88 dB below a full-scale sine; what is softer is not heard
            },
            "decoder": {
                "kind": "griffin_lim",
                "iterations": 32,
                "momentum": 0.99,
                "phases": "noise",
                "silence": 0.0015,  # s; recordings begin 2 ms before the onset
            },
            "slicing": {
                "kind": "one_shot",
                "onset_db": -40.0,
                "pre_roll": 0.002,
                "fade_in": 0.0005,
                "fade_out": 0.01,
                "min_seconds": 0.005,
            },
            "preparation": {
                **defaults.PREPARATION,
                "test_fraction": 0.1,
                "split_by": "source",
                "labels": ("kick", "snare", "cymbal"),
            },
            "task": {"kind": "pca_gaussian", "components": 64, "ridge": 1e-3, "examples": 2_000},
            "data": {"dir": "", "prefetch": 2},
            "evaluation": {
                "every": 0,
                "num_samples": 1_024,
                "patience": 0,
                "metrics": ("fid:drums", "prdc:drums", "fid:log_mel"),
                "metric": "fid/log_mel",
            },
        }
    )


def packaged() -> ConfigDict:
    """1.0 s at 44.1 kHz, the sounds of the packaged instrument: 1024 bins x 88 frames."""
    config = full()
    config.representation.num_frames = 88
    return config


def tiny() -> ConfigDict:
    """0.5 s at 8 kHz, for tests."""
    config = full()
    config.representation.update(sample_rate=8_000, n_fft=256, hop_length=128, num_frames=32)
    config.decoder.iterations = 4
    config.preparation.split_by = "hash"
    config.task.components = 6
    return config


VARIANTS = {
    "full": defaults.Variant(full, "a CPU, a minute"),
    "packaged": defaults.Variant(packaged, "a CPU, seconds", "fid/drums 6.2, class as asked .88 (docs/quality.md)"),
    "tiny": defaults.Variant(tiny, "a CPU, seconds"),
}
