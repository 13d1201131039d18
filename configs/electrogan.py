"""StyleGAN2 on 24 s of electronic music (Havenaar 2023).

    drumgan prepare --config=electrogan --audio=MIXES --data_dir=data
    drumgan train --config=electrogan --config.data.dir=data --workdir=runs/electrogan

(P) marks the paper's values, (O) ours if it gives none; `configs/stylegan2.py` has the rest. The paper reports FID 3.21
at learning rate 0.001 and R1 gamma 10 after 2,200 thousand images; `configs/electrogan_grid.py` lists its grid, and
docs/papers.md everything that it says beside ours. No variant has been trained here yet.

`full` is scored as in the paper, by Inception on 50,000 pictures: `drumgan weights get inception` first, or leave that
out with --config.evaluation.metrics="('fid:log_mel',)" --config.evaluation.metric=fid/log_mel. The snapshots of its
Table 2 are `--step=800kimg`, `1600kimg` and `2200kimg` of `drumgan evaluate`, `compare`, `generate` and `pack`.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults, stylegan2


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small or tiny."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The paper: clips of 23.77 s as 1024 bins x 1024 frames."""
    config = stylegan2.base()
    config.name = "electrogan"
    config.representation = {
        "kind": "log_power",
        "sample_rate": 44100,  # P
        "n_fft": 2048,  # P
        "hop_length": 1025,  # P
        "num_frames": 1024,  # P
        # O; the paper does not say how log(0) is avoided. With a higher floor, the 3-sigma clip cuts loud bins.
        "floor": 1e-5,
    }
    config.decoder = {"kind": "griffin_lim", "iterations": 10, "momentum": 0.0}  # P; its Algorithm 1, random phases
    config.slicing = {
        "kind": "mix",
        "block": 60.0,  # P; seconds
        "min_tempo": 120.0,  # P; BPM
        "max_tempo": 145.0,  # P
        "tempo": 130.0,  # P
        # P; but counted from the first downbeat (O), not from the first beat that is found: 8 beats are two bars, so
        # all clips of a minute begin on one beat of the bar, which should be the first. Where the downbeat is not found
        # right (benchmarks/RESULTS.md), clips begin on another beat, as the paper's do.
        "stride_beats": 8,
    }
    config.preparation.normalization = "none"  # O; mixes are already mastered
    for player in (config.optimizer.generator, config.optimizer.discriminator):
        player.learning_rate = 0.001  # P; the better of {0.001, 0.002}
    config.objective.r1_gamma = 10.0  # P; the best of {1, 5, 10}
    config.train.total_images = 8_000_000  # O; the most in the grid, whose longest cell is at its best at 7,200,000
    config.checkpoint.milestones = (800_000, 1_600_000, 2_200_000)  # P; of Table 2
    config.evaluation.update(
        every=5_000,  # O; 160 kimg, so that every milestone but the last is scored
        num_samples=50_000,  # P
        metrics=("fid:picture", "fid:log_mel"),  # P, O
        metric="fid/picture",  # P
        patience=4,  # O; the paper trains until FID degrades, which it saw 550 kimg after the best; these are 640
    )
    config.logging.num_samples = 4
    return config


def small() -> ConfigDict:
    """One GPU, tens of minutes: clips of 3.7 s (two bars) as 256 bins x 256 frames, a quarter of the width."""
    config = full()
    config.representation.update(sample_rate=22050, n_fft=512, hop_length=320, num_frames=256)
    stylegan2.narrow(config, base=(4, 4), channel_base=8192, channel_max=256)
    config.generator.update(z_dim=256, w_dim=256)
    config.objective.r1_gamma = 1.0  # R1 scales with the number of bins and frames; the paper's would hold D back
    config.train.total_images = 1_000_000
    config.checkpoint.milestones = ()
    # As in the other systems: without published weights, and to the end.
    config.evaluation.update(defaults.gan().evaluation, every=2_000)
    return config


def tiny() -> ConfigDict:
    """CPU, CI: clips of 1.6 s at 8 kHz as 64 bins x 128 frames; the same code, seconds per hundred steps."""
    config = small()
    config.representation.update(sample_rate=8000, n_fft=128, hop_length=100, num_frames=128)
    stylegan2.narrow(config, base=(4, 8), channel_base=1024, channel_max=64)
    config.objective.r1_gamma = 0.1
    stylegan2.make_tiny(config)
    config.train.batch_size = 8
    return config


VARIANTS = {
    "full": defaults.Variant(full, "GPU or TPU"),
    "small": defaults.Variant(small, "one GPU"),
    "tiny": defaults.Variant(tiny, "CPU"),
}
