"""Projected GAN on mel-spectrograms of one-bar loops (Yeh, Chen and Yang 2022).

    drumgan prepare --config=pjloopgan --audio=LOOPS --data_dir=data
    drumgan train --config=pjloopgan --config.data.dir=data/pjloopgan --workdir=runs/pjloopgan

(P) marks the paper's values, (R) those of its authors' release, (O) ours. A variant is a size (full: the paper; small:
one GPU; tiny: a CPU), optionally followed by a dash and a row of the paper's Table 1, such as `small-stylegan2`:

    stylegan2            row B, the baseline
    stylegan2_early      row C, stopped when the projected GANs have converged
    vggish               row D
    scnn_tags            row E
    scnn_loops           row F
    vggish_scnn_tags     row G
    vggish_scnn_loops    row H; the default for a size alone
    scnn_synth_loops     row F of synth loops, with the classifier of their genres
    vggish_scnn_synth_loops  row H of synth loops
    musicnn              (O) as row D, with another tagger; it hears a whole bar at once
    musicnn_scnn_loops   (O) as row H, with this tagger
    z512                 row D with the length of z that failed in its section 4; w stays at 64

The other rows of synth loops have nothing of their own: they are those above, with a data set of synth loops.

Rows B and C have the generator of the others, so that only the discriminator differs; in the paper, they have the
generator of its predecessor, with z of 512. The release differs from this code in three ways: its optimisers keep the
factors of regularisers that it does not have (0.8 and 16/17 of the learning rates), its discriminator steps before the
generator, and it adds the scores of two feature networks, while the paper and we judge them separately.

The inception score of loop genres, a metric of the paper, joins the others with a classifier's file (docs/loops.md):

    --config.evaluation.metrics="('is:genres.npz','fid:vggish','prdc:vgg16','fid:log_mel')"

`drumgan weights get NAME` downloads the published weights. `small` and `tiny` use random weights instead, and
--config.feature_networks.scnn_loops.weights=FILE takes a classifier trained here (configs/loop_classifier.py). For
drums, the paper reports for rows A (real) to H: IS 16.30, 5.58, 5.21, 5.87, 4.75, 4.45, 6.22, 6.31 and FAD 0.01, 2.50,
3.40, 3.03, 8.18, 7.21, 2.45, 2.34.
docs/loops.md has the results of `tiny`; `full` and `small` are not yet trained.
"""

import functools
from collections.abc import Callable

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults, stylegan2

ROWS: dict[str, tuple[str, ...]] = {
    "vggish": ("vggish",),
    "scnn_tags": ("scnn_tags",),
    "scnn_loops": ("scnn_loops",),
    "vggish_scnn_tags": ("vggish", "scnn_tags"),
    "vggish_scnn_loops": ("vggish", "scnn_loops"),
    "scnn_synth_loops": ("scnn_synth_loops",),
    "vggish_scnn_synth_loops": ("vggish", "scnn_synth_loops"),
    "musicnn": ("musicnn",),
    "musicnn_scnn_loops": ("musicnn", "scnn_loops"),
}


# For rows B and C: from Karras et al. 2020; for `tiny` as in the other systems (O), as 10 would hold back the networks.
R1_GAMMA = {"full": 10.0, "small": 10.0, "tiny": 0.1}

# After 12,000 images, means of three seeds.
TINY_SCORES = {
    row: f"fid/log_mel {log_mel}, fid/drums {drums} after 12,000 images (docs/loops.md)"
    for row, log_mel, drums in (
        ("stylegan2", 9.2, 6.2),
        ("vggish", 5.7, 4.5),
        ("scnn_loops", 4.6, 3.3),
        ("vggish_scnn_loops", 4.4, 2.5),
        ("musicnn", 39.8, 11.5),
    )
}


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: SIZE or SIZE-ROW."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The paper: bars of 2.0 s as 64 bands x 200 frames; a row selects from the feature networks."""
    config = stylegan2.base()
    config.name = "pjloopgan"
    config.representation = {
        "kind": "log_mel",
        "sample_rate": 16000,  # P
        "n_fft": 512,  # P; the release uses 1,024
        "hop_length": 160,  # P
        "num_mels": 64,  # P
        "num_frames": 200,  # P: a bar at 120 BPM; R crops it to 192, so that a repeat runs at 125 BPM
        "circular": True,  # O; frames see around the end, so that a bar repeats without a seam
    }
    config.decoder = {
        "kind": "vocoder",
        "path": "",  # a run of configs/melgan.py, or its packed file (drumgan pack)
        "iterations": 32,  # O; of Griffin-Lim, used without a path
        "momentum": 0.99,  # O
    }
    config.slicing = {"kind": "bar", "tempo": 120.0, "bars": 1, "beats": 4, "prior": 120.0, "max_stretch": 2.0}  # P
    # P splits so for its classifier and trains on all; O: a part chooses the checkpoint, and a part is for the figures.
    config.preparation.update(test_fraction=0.1, validation_fraction=0.1)
    config.generator.update(
        base=(4, 13),  # O; R has (4, 12) for 192 frames. Of 208 frames, the middle 200 are used
        z_dim=32,  # P
        w_dim=64,  # P
        mapping_layers=6,  # P
    )
    config.discriminator = {
        "kind": "projected",
        "chunks": 2,  # P
        "mixing_channels": 64,  # R
        "stddev_group": 4,  # R
        "separable": True,  # R
    }
    config.feature_networks = {
        "vggish": _feature("vggish", "vggish"),  # converted: O; the release feeds the generator's output to all
        "scnn_tags": _feature("short_chunk", "short_chunk_tags"),
        "scnn_loops": _feature("short_chunk", "short_chunk_drum_loops"),
        "musicnn": _feature("musicnn", "musicnn"),
        "scnn_synth_loops": _feature("short_chunk", "short_chunk_synth_loops"),
    }
    config.objective = {"kind": "hinge"}  # R
    config.train.update(
        batch_size=64,  # R
        total_images=5_000_000,  # O
        ema_half_life_images=20_000,  # R; 0.99778 per step
    )
    config.evaluation.update(metrics=("fid:vggish", "prdc:vgg16", "fid:log_mel"), metric="fid/vggish")
    return config


def small() -> ConfigDict:
    """One GPU, tens of minutes: the same bars, a narrower generator, random feature networks."""
    config = full()
    config.generator.update(channel_base=8192, channel_max=256)
    config.train.total_images = 1_000_000
    config.evaluation.update(every=2_000, metrics=("fid:log_mel", "prdc:vgg16"), metric="fid/log_mel")
    _make_random(config, vggish=(64, 128, 256, 256, 512, 512), channels=64)
    return config


def tiny() -> ConfigDict:
    """CPU, CI: bars of 2.0 s as 32 bands x 100 frames; the same code, narrow."""
    config = small()
    config.representation.update(hop_length=320, num_mels=32, num_frames=100)
    config.generator.update(channel_base=512, channel_max=32)
    config.discriminator.mixing_channels = 8
    config.train.update(batch_size=16, total_images=24_000, ema_half_life_images=2_000)
    config.logging.update(every=10, samples_every=500)
    config.checkpoint.every = 250
    config.evaluation.update(every=250, num_samples=256)
    _make_random(config, vggish=(8, 16, 32, 32, 64, 64), channels=8)
    return config


def _feature(kind: str, weights: str) -> dict:
    # Empty input: converted to the scale that the network was trained on if that is known, else unchanged.
    return {"kind": kind, "weights": weights, "seed": 0, "input": "", "network": {}, "sha256": ""}


def _make_random(config: ConfigDict, vggish: tuple[int, ...], channels: int) -> None:
    """Use random weights for all feature networks, in place."""
    fields = {
        "vggish": {"widths": vggish},
        "short_chunk": {"channels": channels},
        "musicnn": {"timbral": 2 * channels, "temporal": channels, "middle": channels},
    }
    for seed, feature in enumerate(config.feature_networks.values()):
        feature.update(weights="random", seed=seed, network=fields[feature.kind])
    # musicnn's filters have the heights of its own bands.
    config.feature_networks.musicnn.input = "converted"


def _varied(size: Callable[[], ConfigDict], change: Callable[[ConfigDict], None]) -> ConfigDict:
    config = size()
    change(config)
    return config


def _judge_features(config: ConfigDict, names: tuple[str, ...]) -> None:
    """Rows D to H: keep only the named feature networks, in place."""
    for name in set(config.feature_networks) - set(names):
        del config.feature_networks[name]
    if "musicnn" in names:
        # Its own window is 3 s, so that a bar is one chunk.
        config.discriminator.chunks = 1


def _judge_spectrograms(config: ConfigDict, r1_gamma: float) -> None:
    """Row B: use StyleGAN2's discriminator and objective, in place."""
    baseline = stylegan2.base()
    generator = config.generator
    config.discriminator = baseline.discriminator
    config.discriminator.update(
        base=generator.base, channel_base=generator.channel_base, channel_max=generator.channel_max
    )
    config.objective = baseline.objective
    config.objective.r1_gamma = r1_gamma
    del config.feature_networks


def _stop_early(config: ConfigDict, r1_gamma: float) -> None:
    """Row C: row B for a fifth of the images, when the paper's projected GANs have converged; in place."""
    _judge_spectrograms(config, r1_gamma)
    config.train.total_images //= 5


def _enlarge_latent(config: ConfigDict) -> None:
    """Row D with the length of z that collapses in the paper's section 4, which says nothing of w there; in place."""
    _judge_features(config, ROWS["vggish"])
    config.generator.z_dim = 512


def _variants() -> dict[str, defaults.Variant]:
    """Each size alone, which means its row H, followed by each row of each size."""
    sizes = {"full": (full, "GPU or TPU"), "small": (small, "one GPU"), "tiny": (tiny, "a CPU core, minutes")}
    of_rows: dict[str, defaults.Variant] = {}
    for name, (size, hardware) in sizes.items():
        rows: dict[str, Callable[[ConfigDict], None]] = {
            "stylegan2": functools.partial(_judge_spectrograms, r1_gamma=R1_GAMMA[name]),
            "stylegan2_early": functools.partial(_stop_early, r1_gamma=R1_GAMMA[name]),
            **{row: functools.partial(_judge_features, names=names) for row, names in ROWS.items()},
            "z512": _enlarge_latent,
        }
        for row, change in rows.items():
            score = TINY_SCORES.get(row, defaults.UNTRAINED) if name == "tiny" else defaults.UNTRAINED
            of_rows[f"{name}-{row}"] = defaults.Variant(functools.partial(_varied, size, change), hardware, score)
    return {name: of_rows[f"{name}-vggish_scnn_loops"] for name in sizes} | of_rows


VARIANTS = _variants()
