"""StyleGAN2 on drum-loop spectrograms (Koretzky and Rajashekharappa 2021).

    drumgan prepare --config=splice_loops --audio=LOOPS --data_dir=data
    drumgan train --config=splice_loops --config.data.dir=data --workdir=runs/splice_loops

(P) marks the paper's values, (O) ours if it gives none; `configs/stylegan2.py` has the rest.
`full` (loops of 3 s) is not yet trained; `small` (one GPU, the same loops) is, narrowed, in docs/loops.md.
`tiny` (CPU, one-shots) is the worked example of the README, which has its figures.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults, stylegan2


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The paper: loops of 2.97 s as 256 bins x 512 frames."""
    config = stylegan2.base()
    config.name = "splice_loops"
    config.representation = {
        "kind": "log_magnitude",
        "sample_rate": 22050,  # O
        "n_fft": 512,  # P
        "hop_length": 128,  # O
        "num_frames": 512,  # P
        "floor": 1e-3,  # O; magnitude at which the logarithm flattens out
    }
    config.decoder = {"kind": "griffin_lim", "iterations": 64, "momentum": 0.99}  # O; the paper only names Griffin-Lim
    config.slicing = {"kind": "loop", "seconds": 0.0, "stride": 0.0, "min_fill": 1.0}
    stylegan2.narrow(config, base=(4, 8), channel_base=32768, channel_max=512)  # six doublings to 256 x 512
    return config


def small() -> ConfigDict:
    """One GPU, an hour: the loops of `full` with half the frames, 256 bins x 256 frames, a quarter of the width."""
    config = full()
    config.representation.update(hop_length=256, num_frames=256)
    stylegan2.narrow(config, base=(4, 4), channel_base=8192, channel_max=256)
    config.generator.update(z_dim=256, w_dim=256)
    config.objective.r1_gamma = 2.0  # R1 scales with the number of bins and frames; the paper's would hold D back
    config.train.total_images = 1_000_000
    config.evaluation.every = 2_000
    return config


def tiny() -> ConfigDict:
    """CPU, CI: one-shots of 0.5 s at 8 kHz as 64 bins x 64 frames; the same code, minutes to drum-like shapes."""
    config = small()
    config.representation.update(sample_rate=8000, n_fft=128, hop_length=64, num_frames=64)
    # One-shots, because a few frames hold no loop.
    config.slicing = {
        "kind": "one_shot",
        "onset_db": -40.0,
        "pre_roll": 0.002,
        "fade_in": 0.0005,
        "fade_out": 0.01,
        "min_seconds": 0.005,
    }
    config.decoder.iterations = 32
    stylegan2.narrow(config, base=(4, 4), channel_base=1024, channel_max=64)
    config.objective.r1_gamma = 0.1
    stylegan2.make_tiny(config)
    return config


VARIANTS = {
    "full": defaults.Variant(full, "GPU or TPU"),
    "small": defaults.Variant(small, "one GPU"),
    "tiny": defaults.Variant(tiny, "CPU, minutes", "fid/log_mel 18.0 on procedural drums (README.md)"),
}
