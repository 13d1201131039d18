"""The encoder of DrumGAN VST, from a sound to z and class probabilities (Nistal et al. 2022, section 3.3, appendix B).

    drumgan train --config=drumgan_vst_encoder:small --config.task.run=runs/vst \
        --config.data.dir=data/drumgan_vst --workdir=runs/vst/encoder

The variant must be that of the generator's run. `full` and `small` are trained on generated sounds only, as in the
paper, with the soft labels of the data set; `packaged` on its recordings too (config.task.recording_weight). (P) marks
the paper's values, (O) ours if it gives none. For reconstructed real training sounds, the paper reports ODG -1.92, MSE
0.06, LSD 7.36 and SNR -3.17 dB. `full` and `small` are not yet trained; `packaged` is for the packaged generator.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults, drumgan_vst, encoders


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small, packaged or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The paper's table 3: 1024 x 48 to 16 x 6 by six convolutions, then four dense layers."""
    return _encoder(drumgan_vst.full())


def small() -> ConfigDict:
    """One GPU, tens of minutes: half the width."""
    config = _encoder(drumgan_vst.small())
    config.encoder.update(channels=(16, 32, 64, 64, 32, 16), dense=(1536, 512, 256))
    config.train.total_images = 840_000
    return config


def packaged() -> ConfigDict:
    """A CPU core, minutes: 256 x 48 to 4 x 6, a million parameters."""
    config = _encoder(drumgan_vst.packaged())
    config.encoder.dense = (512, 512, 256)
    config.optimizer.encoder.learning_rate = 1e-3  # O; few steps
    config.task.recording_weight = 3.0  # O; generated sounds alone leave recordings far off
    config.train.update(total_images=22_400, ema_half_life_images=1_000)
    config.checkpoint.every = 200
    config.evaluation.update(every=400, num_samples=256)
    return config


def tiny() -> ConfigDict:
    """CPU, CI: 64 x 32 to 1 x 4; the same code."""
    config = _encoder(drumgan_vst.tiny())
    config.encoder.update(channels=(8, 8, 8, 8, 8, 8), dense=(32, 32, 32))
    encoders.make_tiny(config)
    return config


def _encoder(system: ConfigDict) -> ConfigDict:
    config = encoders.encoder(system)
    config.encoder = {
        "kind": "convolution",
        "view": {
            "kind": "thresholded",
            # O; 60 dB below the loudest bin of the sound. The paper's -1.5 dB is on a scale that it does not state
            "floor_db": 60.0 * system.representation.compression,
        },
        "channels": (32, 64, 128, 128, 64, 32),  # P
        "dense": (3072, 1024, 512),  # P
    }
    # P; the paper's latents are a fixed set of unstated size, ours (O) never repeat.
    config.task.update(latent_weight=1.0, spectral_weight=3.0)
    config.train.update(batch_size=28, total_images=2_800_000)  # P, O
    return config


VARIANTS = {
    "full": defaults.Variant(full, "GPU or TPU"),
    "small": defaults.Variant(small, "one GPU"),
    "packaged": defaults.Variant(
        packaged, "a CPU core, minutes", "held-out sounds decoded: ODG -3.78, LSD 1.68 (docs/one_shots.md)"
    ),
    "tiny": defaults.Variant(tiny, "CPU"),
}
