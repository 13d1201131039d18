"""MelGAN: a vocoder from log-mel bands to waveforms (Kumar et al. 2019), with the mel scales of configs/pjloopgan.py.

    drumgan prepare --config=melgan:packaged --audio=RECORDINGS --data_dir=data
    drumgan train --config=melgan:packaged --config.data.dir=data/melgan --workdir=runs/melgan
    drumgan train --config=pjloopgan --config.decoder.path=runs/melgan ...

It is trained on the waveforms of any data set with the same mel scale, including pjloopgan's. (P) marks the paper's
values, (R) those of the loop generator's release, (O) ours. docs/loops.md has the results of `packaged`, which does not
beat Griffin-Lim; `full` and `small` are not yet trained.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults, pjloopgan


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small, packaged or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The paper's networks on bars of 2.0 s at 16 kHz, 64 bands every 10 ms."""
    config = defaults.gan()
    bars = pjloopgan.full()
    adam = {"learning_rate": 1e-4, "beta1": 0.5, "beta2": 0.9, "epsilon": 1e-8}  # P
    config.name = "melgan"
    config.representation = bars.representation
    config.slicing = bars.slicing
    config.vocoder = {
        "kind": "melgan",
        "ratios": (5, 4, 4, 2),  # R; the paper has 8, 8, 2, 2 for a hop of 256
        "width": 32,  # P
        "residual_blocks": 3,  # P
    }
    config.discriminator = {"kind": "multi_scale", "width": 16, "width_max": 1024, "strided": 4, "scales": 3}  # P
    config.optimizer = {"generator": dict(adam), "discriminator": dict(adam)}
    config.task = {
        "kind": "vocoder",
        "crop_frames": 50,  # R; 8,000 samples
        "matching_weight": 10.0,  # P; of the release's sum, see objectives/feature_matching.py
        "spectral_weight": 0.0,  # P: not used
        "bass_weight": 0.0,  # P: not used
        "warmup_images": 0,  # P: none
    }
    config.train.update(
        batch_size=16,  # P; the release has 128
        total_images=30_000_000,  # O
        compute_dtype="float32",
        ema_half_life_images=10_000,  # O
    )
    config.evaluation.update(num_samples=256, metrics=(), metric="vocoder/multi_scale_spectral")
    return config


def small() -> ConfigDict:
    """One GPU, tens of minutes: the same networks, guided by distances between sounds."""
    config = full()
    _guide(config)
    config.train.total_images = 320_000
    return config


def packaged() -> ConfigDict:
    """A CPU core, 30 minutes of warm-up: recordings of any kind in pieces of 0.64 s, a quarter of the width."""
    config = full()
    _guide(config)
    config.representation.update(num_frames=64, circular=False)
    # One-shots are padded with silence, and longer recordings are cut into pieces.
    config.slicing = {"kind": "loop", "seconds": 0.0, "stride": 0.0, "min_fill": 0.1}
    # Whole libraries are held out; they choose the best checkpoint.
    config.preparation.update(min_activity=0.3, split_by="source", test_fraction=0.1)
    config.vocoder.width = 8
    config.discriminator.update(width=4, width_max=128)
    for player in config.optimizer.values():
        player.update(beta1=0.8, beta2=0.99)  # O
    config.optimizer.generator.learning_rate = 2e-3  # O
    # Whole examples, because a crop of a long tone does not reveal its position in the tone.
    config.task.crop_frames = 64
    config.task.warmup_images = 40_000
    config.train.update(batch_size=4, total_images=60_000, ema_half_life_images=4_000, ema_rampup=0.2)
    config.logging.update(every=50, samples_every=0)
    config.checkpoint.every = 250
    config.evaluation.update(every=500, num_samples=78)
    return config


def tiny() -> ConfigDict:
    """CPU, CI: bars of 2.0 s as 32 bands x 100 frames; the same code, narrow."""
    config = full()
    _guide(config)
    config.representation = pjloopgan.tiny().representation
    config.vocoder.update(ratios=(5, 4, 4, 4), width=4)
    config.discriminator.update(width=4, width_max=16)
    config.task.crop_frames = 25
    config.task.warmup_images = 200
    config.train.update(batch_size=4, total_images=400, ema_half_life_images=100)
    config.logging.update(every=10, samples_every=50, num_samples=4)
    config.checkpoint.every = 50
    config.evaluation.update(every=50, num_samples=8)
    return config


def _guide(config: ConfigDict) -> None:
    """Adapt a config to training shorter than the paper's, in place: larger steps, and distances between sounds."""
    config.task.update(spectral_weight=5.0, bass_weight=150.0)  # O
    for player in config.optimizer.values():
        player.learning_rate = 1e-3  # O


VARIANTS = {
    "full": defaults.Variant(full, "GPU or TPU"),
    "small": defaults.Variant(small, "one GPU"),
    "packaged": defaults.Variant(
        packaged, "a CPU core, half an hour", "spectral loss 5.38; Griffin-Lim has 4.17 (docs/loops.md)"
    ),
    "tiny": defaults.Variant(tiny, "CPU"),
}
