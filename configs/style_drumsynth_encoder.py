"""The encoder of style-based drum synthesis, from a sound to w (Drysdale et al. 2021, section 2.1).

    drumgan train --config=style_drumsynth_encoder:small --config.task.run=runs/style \
        --config.data.dir=data/style_drumsynth --workdir=runs/style/encoder

The variant must be that of the generator's run. The encoder has the discriminator's architecture without labels and
is trained on 10,000 generated latents; `packaged` on recordings too (config.task.recording_weight). (P) marks the
paper's values, (O) ours if it gives none. The paper reports no figures; for reconstructed real training sounds of
this system, Nistal et al. 2022 report ODG -2.97, MSE 0.08, LSD 12.15 and SNR -3.60 dB. `full` and `small` are not yet
trained; `packaged` is for the packaged generator.
"""

import functools

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults, encoders, style_drumsynth


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small, packaged or tiny, with -loudness behind it or not."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The paper: as wide as the discriminator."""
    return _encoder(style_drumsynth.full())


def small() -> ConfigDict:
    """One GPU, tens of minutes: the width of the small discriminator."""
    config = _encoder(style_drumsynth.small())
    config.train.total_images = 960_000
    return config


def packaged() -> ConfigDict:
    """A CPU core, minutes: the width of the packaged discriminator."""
    config = _encoder(style_drumsynth.packaged())
    config.optimizer.encoder.learning_rate = 5e-4  # O; few steps
    config.task.recording_weight = 1.0  # O; generated sounds alone leave recordings far off
    config.train.update(batch_size=32, total_images=32_000, ema_half_life_images=2_000)
    config.checkpoint.every = 500
    config.evaluation.update(every=500, num_samples=256)
    return config


def tiny() -> ConfigDict:
    """CPU, CI: the width of the tiny discriminator; the same code."""
    config = _encoder(style_drumsynth.tiny())
    encoders.make_tiny(config)
    return config


def _encoder(system: ConfigDict) -> ConfigDict:
    config = encoders.encoder(system)
    widths = ("base", "channel_base", "channel_min", "channel_max")
    config.encoder = {
        "kind": "waveform",
        "view": {"kind": "plain"},  # P; the waveform itself
        **{name: system.discriminator[name] for name in widths},  # P; the discriminator's
    }
    config.task.num_latents = 10_000  # P, except for labels, which are new in each batch; only w is compared
    config.optimizer.encoder.learning_rate = 2e-4  # O
    config.train.update(batch_size=64, total_images=3_200_000)  # O
    return config


VARIANTS = {
    "full": defaults.Variant(full, "GPU or TPU"),
    "small": defaults.Variant(small, "one GPU"),
    "packaged": defaults.Variant(
        packaged,
        "a CPU core, twenty minutes",
        "held-out sounds decoded 14.3 dB off in mel bands, PCA 2.0 (docs/one_shots.md)",
    ),
    "tiny": defaults.Variant(tiny, "CPU"),
}
VARIANTS |= {
    f"{name}-loudness": defaults.Variant(functools.partial(style_drumsynth.loudness, variant.make), variant.hardware)
    for name, variant in VARIANTS.items()
}
