"""Our own system: an autoencoding GAN on log-magnitude frames that starts as principal components.

    drumgan prepare --config=pca_gan --audio=ONE_SHOTS --data_dir=data
    drumgan train --config=pca_gan --config.data.dir=data/pca_gan --workdir=runs/pca_gan
    drumgan evaluate --run=runs/pca_gan
    drumgan pack --run=runs/pca_gan --step=last --precision=bytes --out=drums.npz

Training begins at principal components: synthesis and encoder are linear maps plus networks that add nothing at first
(networks/frame_generator.py). The mapping is not trained: w stay near those of recordings. The rest learns together,
from reconstructions and from discriminators over frames, the first of them and bands
(networks/frame_discriminator.py), with the relativistic pairing loss, R1 and R2. All values are ours; docs/quality.md
has the ablations.
"""

from typing import Any

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults

CLASSES = ("kick", "snare", "clap", "rim", "tom", "closed_hat", "open_hat", "cymbal", "percussion")


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small, packaged, loops or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """1.0 s at 44.1 kHz: 1024 bins x 88 frames."""
    config = defaults.gan()
    adam = {"beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8}
    config.name = "pca_gan"
    config.representation = {
        "kind": "log_magnitude",
        "sample_rate": 44_100,
        "n_fft": 2048,
        "hop_length": 512,
        "num_frames": 88,
        "floor": 3e-2,  # 85 dB below a full-scale sine (79 at n_fft 1024): what is softer counts for little
    }
    config.decoder = {
        "kind": "griffin_lim",
        "iterations": 32,
        "momentum": 0.99,
        "phases": "noise",  # or "onset", "random"
        "silence": 0.0015,  # s; recordings begin 2 ms before the onset
    }
    config.slicing = {
        "kind": "one_shot",
        "onset_db": -40.0,
        "pre_roll": 0.002,
        "fade_in": 0.0005,
        "fade_out": 0.01,
        "min_seconds": 0.005,
    }
    config.preparation.update(test_fraction=0.1, split_by="source", labels=CLASSES, hats=True)
    config.data_augmentation = {
        "kind": "drums",
        "speed_probability": 0.6,
        "speed": 2.0,  # semitones
        "decay_probability": 0.4,
        "decay": 6.0,  # 1 / s
        "tilt_probability": 0.0,  # a tilt moves the distribution
        "tilt": 1.0,  # dB per octave
        "fade": 0.01,  # s
        "reconstructions_only": True,  # a discriminator that sees the changes moves the distribution
    }
    config.generator = {
        "kind": "frames",
        "z_dim": 64,
        "w_dim": 64,
        "features": 256,
        "hidden": 256,
        "anchors": 1024,
        "spread": 0.6,
    }
    config.discriminator = {"kind": "frames", "features": 256, "hidden": 256, "band_features": 32, "onset_frames": 6}
    config.objective = {
        "kind": "autoencoding",
        "r1_gamma": 0.1,
        "r2_gamma": 0.1,
        "interval": 4,
        "log_magnitude": 6.0,
        "log_mel": 0.2,
        "spectra": 0.1,
        "octaves": 0.3,
        "noisiness": 9.0,
        "adversarial": 0.3,
        "latent_noise": 0.1,
    }
    config.optimizer = {
        "generator": {"learning_rate": 1.5e-4, **adam},
        "discriminator": {"learning_rate": 2e-4, **adam},
    }
    config.task.conditional = True
    config.train.update(batch_size=32, total_images=2_000_000, ema_half_life_images=20_000)
    config.train.update(class_balance=1.0, source_balance=0.5)
    config.evaluation.update(metrics=("fid:drums", "kid:drums", "prdc:drums", "fid:log_mel"), metric="fid/drums")
    return config


def small() -> ConfigDict:
    """One GPU, minutes: half the width, fewer examples."""
    config = full()
    for network in (config.generator, config.discriminator):
        network.features = 128
    config.discriminator.band_features = 24
    config.train.total_images = 200_000
    return config


def packaged() -> ConfigDict:
    """The packaged instrument: as `small`, twenty minutes on two idle CPU cores."""
    config = small()
    config.train.total_images = 38_400
    config.optimizer = falling(config)
    config.logging.samples_every = 0
    config.checkpoint.every = 200
    config.evaluation.every = 0
    return config


def loops() -> ConfigDict:
    """The packaged loops: a bar at 120 BPM, 2.0 s at 22.05 kHz as 256 bins x 350 frames that repeat, by genre."""
    config = small()
    # Short windows: with 1024 samples, onsets came out 4 ms early or more.
    config.representation.update(sample_rate=22_050, n_fft=512, hop_length=126, num_frames=350, circular=True)
    config.generator.update(z_dim=96, w_dim=96)  # a bar has more to it than a hit
    config.decoder.silence = 0.0
    config.slicing = {"kind": "bar", "tempo": 120.0, "bars": 1, "beats": 4, "prior": 120.0, "max_stretch": 2.0}
    config.preparation.update(labels=(), hats=False)
    config.data_augmentation = {"kind": "none"}  # another speed would be another tempo
    config.train.total_images = 19_200
    config.optimizer = falling(config)
    config.logging.samples_every = 0
    config.checkpoint.every = 100
    config.evaluation.every = 0
    return config


def falling(config: ConfigDict) -> dict[str, Any]:
    """The optimisers of a config, with learning rates that fall to a fiftieth over the training."""

    def settings(optimizer: ConfigDict) -> dict[str, Any]:
        start = optimizer.learning_rate
        rate = {"kind": "cosine", "start": start, "end": start / 50, "images": config.train.total_images}
        return {**optimizer.to_dict(), "learning_rate": rate}

    return {player: settings(optimizer) for player, optimizer in config.optimizer.items()}


def tiny() -> ConfigDict:
    """CPU, CI: 0.5 s at 8 kHz as 128 bins x 32 frames; the same code."""
    config = packaged()
    config.optimizer = full().optimizer.to_dict()
    config.representation.update(sample_rate=8_000, n_fft=256, hop_length=128, num_frames=32)
    config.decoder.iterations = 4
    config.preparation.split_by = "hash"
    config.preparation.update(labels=(), hats=False)
    config.generator.update(z_dim=6, w_dim=6, features=8, hidden=8, anchors=12)
    config.discriminator.update(features=8, hidden=8, band_features=4, onset_frames=3)
    config.train.update(batch_size=8, total_images=64, ema_half_life_images=100)
    config.logging.update(every=4, num_samples=4)
    config.checkpoint.every = 4
    config.evaluation.num_samples = 32
    return config


VARIANTS = {
    "full": defaults.Variant(full, "GPU or TPU"),
    "small": defaults.Variant(small, "one GPU"),
    "packaged": defaults.Variant(
        packaged,
        "two CPU cores, twenty minutes",
        "fid/drums 3.8 where PCA has 6.2, class as asked .86 and .88 (docs/quality.md)",
    ),
    "loops": defaults.Variant(
        loops,
        "two CPU cores, an hour",
        "fid/log_mel 7.8 where PCA has 9.3; 97 % of bars on the grid (docs/loops.md)",
    ),
    "tiny": defaults.Variant(tiny, "CPU"),
}
