"""Style-DrumSynth: a style-based GAN on waveforms of drum sounds (Drysdale et al. 2021).

    drumgan prepare --config=style_drumsynth --audio=ONE_SHOTS --data_dir=data
    drumgan train --config=style_drumsynth --config.data.dir=data/style_drumsynth --workdir=runs/style
    drumgan train --config=style_drumsynth_encoder --config.task.run=runs/style \
        --config.data.dir=data/style_drumsynth --workdir=runs/style/encoder

In a variant such as `full-loudness`, sounds keep the level of their recordings, so that loudness is a feature that is
learned and controlled like the others, as in the paper; without it, peaks are normalised. The data set, the run and its
encoder are of one variant.

(P) marks the paper's values, (R) those of the authors' release, (O) ours if both give none. The paper's learning rate
is 0.002, the release's 0.0002 with beta1 0.5; the variants here use the release's, and config.optimizer can set either.
The paper of drumgan_vst measured IS 1.64, KID 0.085 and FAD 1.72. `full` and `small` are not yet trained; data,
commands, time and figures of `packaged` are in docs/one_shots.md.
"""

import functools
from collections.abc import Callable

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small, packaged or tiny, with -loudness behind it or not."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The paper: 16,384 samples at 44.1 kHz."""
    config = defaults.gan()
    adam = {"learning_rate": 0.0002, "beta1": 0.5, "beta2": 0.99, "epsilon": 1e-8}  # R, R, O, O
    width = {"base": 16, "channel_base": 1024, "channel_min": 4, "channel_max": 1024}  # R
    config.name = "style_drumsynth"
    config.representation = {"kind": "waveform", "sample_rate": 44100, "num_samples": 16384}  # R
    config.slicing = {
        "kind": "one_shot",
        "onset_db": -40.0,  # O
        "pre_roll": 0.002,  # O
        "fade_in": 0.00037,  # R; 0.1 %
        "fade_out": 0.0743,  # R; 20 %
        "min_seconds": 0.005,
    }
    config.preparation.update(
        pitch_shifts=(-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0),  # P
        test_fraction=0.1,  # O
        split_by="source",  # O
        labels=("kick", "snare", "cymbal"),  # R
    )
    config.generator = {
        "kind": "style_waveform",
        "z_dim": 128,  # R
        "w_dim": 128,  # P
        "mapping_layers": 8,  # O; the release connects three of them
        "label_embedding": 50,  # R
        "style_mixing": 0.8,  # R; probability; one of its five cutoffs mixes nothing
        **width,
    }
    config.discriminator = {"kind": "style_waveform", "phase_shuffle": 2, **width}  # R
    config.objective = {"kind": "wasserstein", "penalty_weight": 10.0, "drift_weight": 0.0, "label_weight": 0.0}  # R
    config.optimizer = {"generator": dict(adam), "discriminator": dict(adam)}
    config.task.update(conditional=True, critic_steps=5)  # R
    config.train.update(
        batch_size=64,  # P
        total_images=64_000_000,  # P; 200 thousand generator steps of five batches each
        ema_half_life_images=50_000,  # O
    )
    config.evaluation.update(metrics=("fid:drums", "kid:drums", "prdc:drums", "is:drums", "fid:log_mel"))
    return config


def small() -> ConfigDict:
    """One GPU, tens of minutes: a quarter of the width."""
    config = full()
    narrow(config, 16, 1024, 16, 256)
    config.train.total_images = 6_400_000
    return config


def packaged() -> ConfigDict:
    """A CPU core, half an hour: 8,192 samples at 22.05 kHz, much narrower."""
    config = full()
    config.representation.update(sample_rate=22050, num_samples=8192)
    narrow(config, 16, 1024, 8, 64)
    # As many layers as the release connects: through eight, two directions of w kept 94 % of the variance.
    config.generator.update(z_dim=64, w_dim=64, mapping_layers=3, style_mixing=0.3)
    # O, where the paper has a gradient penalty and five critic steps: several times as many generator steps.
    # The energy distance keeps the sounds of a class various; without it w falls onto one direction.
    config.objective = {"kind": "relativistic", "r1_gamma": 1.0, "r2_gamma": 1.0, "interval": 4, "energy": 4.0}
    for name in ("r1_gamma", "r2_gamma"):
        defaults.schedule(config.objective, name, kind="cosine", start=0.1, end=0.01, images=80_000)
    config.discriminator.label_projection = True  # O; the class is heard in the logit itself
    config.task.critic_steps = 1
    config.train.update(batch_size=16, total_images=40_000, ema_half_life_images=4_000)
    config.train.update(class_balance=1.0, source_balance=0.5)
    for player, rate in (("generator", 6e-4), ("discriminator", 3e-4)):
        optimizer = config.optimizer[player]
        optimizer.beta1 = 0.0
        defaults.schedule(optimizer, "learning_rate", kind="cosine", start=rate, end=rate / 15, images=40_000)
    config.logging.update(every=100, samples_every=5_000)
    config.checkpoint.every = 1_000
    config.evaluation.every = 0
    return config


def tiny() -> ConfigDict:
    """CPU, CI: 2,048 samples at 8 kHz; the same code."""
    config = full()
    config.representation.update(sample_rate=8000, num_samples=2048)
    config.preparation.update(pitch_shifts=(0.0,), split_by="hash")
    narrow(config, 16, 64, 4, 8)
    config.generator.update(z_dim=8, w_dim=8, mapping_layers=2)
    config.train.update(batch_size=8, total_images=320, ema_half_life_images=100)
    config.logging.update(every=8, samples_every=20, num_samples=4)
    config.checkpoint.every = 10
    config.evaluation.update(every=0, num_samples=32)
    return config


def loudness(size: Callable[[], ConfigDict]) -> ConfigDict:
    """Sounds at the level of their recordings: loudness is a feature that is learned."""
    config = size()
    config.preparation.normalization = "none"
    return config


def narrow(config: ConfigDict, base: int, channel_base: int, channel_min: int, channel_max: int) -> None:
    """Set the width of both networks, in place: channels are halved at each doubling, within bounds."""
    for network in (config.generator, config.discriminator):
        network.update(base=base, channel_base=channel_base, channel_min=channel_min, channel_max=channel_max)


VARIANTS = {
    "full": defaults.Variant(full, "GPU or TPU"),
    "small": defaults.Variant(small, "one GPU"),
    "packaged": defaults.Variant(
        packaged, "a CPU core, half an hour", "fid/drums 4.5 where PCA has 6.3, recall .48 (docs/one_shots.md)"
    ),
    "tiny": defaults.Variant(tiny, "CPU"),
}
VARIANTS |= {
    f"{name}-loudness": defaults.Variant(functools.partial(loudness, variant.make), variant.hardware)
    for name, variant in VARIANTS.items()
}
