"""DrumGAN VST: a progressive GAN on complex spectrograms of drum sounds, with soft labels (Nistal et al. 2022).

    drumgan prepare --config=drumgan_vst --audio=ONE_SHOTS --data_dir=data
    drumgan label --data_dir=data/drumgan_vst --train=drum_classifier --workdir=runs/classes
    drumgan train --config=drumgan_vst --config.data.dir=data/drumgan_vst --workdir=runs/vst
    drumgan train --config=drumgan_vst_encoder --config.task.run=runs/vst \
        --config.data.dir=data/drumgan_vst --workdir=runs/vst/encoder

`drumgan label --classifier=drums` labels by the packaged classifier of kicks, snares and cymbals instead. (P) marks the
paper's values, (R) those of the DrumGAN release, (O) ours if both give none. The paper reports IS 1.83, KID 0.009 and
FAD 1.49 on 300 thousand private sounds. `full` and `small` are not yet trained; data, commands, time and figures of
`packaged` are in docs/one_shots.md.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small, packaged or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The paper: 0.55 s at 44.1 kHz as 1024 bins x 48 frames x 2."""
    config = defaults.gan()
    channels = (256, 256, 128, 128, 128, 64)  # R
    adam = {"learning_rate": 0.001, "beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8}  # R
    config.name = "drumgan_vst"
    config.representation = {
        "kind": "complex",
        "sample_rate": 44100,  # P
        "n_fft": 2048,  # P
        "hop_length": 512,  # P; 75 % overlap
        "num_frames": 48,  # O; 24,064 samples, the paper's 0.55 s
        "compression": 0.4,  # O; otherwise the loudest bins dominate
        "centred": True,  # O; otherwise the averages of neighbouring bins that the first stages see cancel
    }
    config.slicing = {
        "kind": "one_shot",
        "onset_db": -40.0,
        "pre_roll": 0.002,
        "fade_in": 0.0005,
        "fade_out": 0.01,
        "min_seconds": 0.005,
    }
    config.preparation.update(
        test_fraction=0.1,  # P
        split_by="source",  # O; recordings of one session resemble each other
        labels=("kick", "snare", "cymbal"),  # P
    )
    config.generator = {"kind": "progressive", "z_dim": 128, "base": (32, 3), "channels": channels}  # P, O, R
    config.discriminator = {"kind": "progressive", "base": (32, 3), "channels": channels, "stddev_group": 4}  # R
    config.objective = {
        "kind": "wasserstein",
        "penalty_weight": 10.0,  # O; the paper gives none (Gulrajani et al. 2017, which it follows, 10); a batch's mean
        "drift_weight": 0.001,  # R; averaged likewise
        "label_weight": 1.0,  # O
    }
    config.optimizer = {"generator": dict(adam), "discriminator": dict(adam)}
    config.growth = {
        "kind": "progressive",
        "images": (600_000, 600_000, 600_000, 900_000, 900_000, 2_400_000),  # O; real examples per stage
        "fade": 0.5,  # O; share of a stage over which it fades in
    }
    config.task.update(conditional=True, soft_labels=True)  # P
    config.task.independent_classes = True  # P; sliders. In training the classifier's probabilities, which sum to 1
    config.train.update(
        batch_size=32,  # O
        total_images=6_000_000,  # O
        ema_half_life_images=22_000,  # R; 0.999 per step
    )
    config.evaluation.update(metrics=("fid:drums", "kid:drums", "prdc:drums", "is:drums", "fid:log_mel"))
    return config


def small() -> ConfigDict:
    """One GPU, tens of minutes: half the width, a third of the examples."""
    config = full()
    narrow(config, (32, 3), (128, 128, 64, 64, 64, 32))
    config.growth.images = (100_000, 100_000, 150_000, 200_000, 300_000, 600_000)
    config.train.total_images = 1_450_000
    config.logging.samples_every = 5_000
    return config


def packaged() -> ConfigDict:
    """A CPU core, an hour and a half: 0.55 s at 22.05 kHz as 256 bins x 48 frames x 2, much narrower."""
    config = full()
    config.representation.update(sample_rate=22050, n_fft=512, hop_length=256)
    narrow(config, (8, 3), (64, 64, 48, 32, 16, 8))
    config.generator.z_dim = 64
    config.preparation.pitch_shifts = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # few recordings; as in style_drumsynth
    # Full size after 480 images. What follows is O, where the paper has a gradient penalty: as in style_drumsynth.
    config.growth.images = (80, 80, 80, 80, 160, 10_000)
    config.objective = {"kind": "relativistic", "r1_gamma": 10.0, "r2_gamma": 10.0, "interval": 4, "energy": 4.0}
    for name in ("r1_gamma", "r2_gamma"):
        defaults.schedule(config.objective, name, kind="cosine", start=10.0, end=2.0, images=66_000)
    config.discriminator.label_projection = True
    config.task.consistent = True
    config.train.update(batch_size=16, total_images=66_000, ema_half_life_images=3_000)
    config.train.update(class_balance=1.0, source_balance=0.5)
    # Networks of equalised learning rate need a larger one; the critic wins if its own is as large.
    for player, rate in (("generator", 4e-3), ("discriminator", 1e-3)):
        optimizer = config.optimizer[player]
        defaults.schedule(optimizer, "learning_rate", kind="cosine", start=rate, end=rate / 15, images=66_000)
    config.logging.update(every=50, samples_every=5_000)
    config.checkpoint.every = 1_000
    config.evaluation.every = 0
    return config


def tiny() -> ConfigDict:
    """CPU, CI: 0.5 s at 8 kHz as 64 bins x 32 frames x 2; the same code."""
    config = full()
    config.representation.update(sample_rate=8000, n_fft=128, hop_length=128, num_frames=32)
    config.preparation.split_by = "hash"
    narrow(config, (16, 16), (8, 8, 4))
    config.generator.z_dim = 8
    config.growth.images = (96, 96, 192)
    config.train.update(batch_size=8, total_images=384, ema_half_life_images=100)
    config.logging.update(every=8, samples_every=24, num_samples=4)
    config.checkpoint.every = 12
    config.evaluation.update(every=0, num_samples=32)
    return config


def narrow(config: ConfigDict, base: tuple[int, int], channels: tuple[int, ...]) -> None:
    """Set the initial size (freq, time) and the number of feature maps per stage of both networks, in place."""
    for network in (config.generator, config.discriminator):
        network.update(base=base, channels=channels)


VARIANTS = {
    "full": defaults.Variant(full, "GPU or TPU"),
    "small": defaults.Variant(small, "one GPU"),
    "packaged": defaults.Variant(
        packaged, "a CPU core, an hour and a half", "fid/drums 4.7 where PCA has 6.5, recall .55 (docs/one_shots.md)"
    ),
    "tiny": defaults.Variant(tiny, "CPU"),
}
