"""A short-chunk CNN that classifies the genre of a bar of drums (Won et al. 2020; sized as in Yeh, Chen and Yang 2022).

    drumgan prepare --config=loop_classifier:small --audio='sequenced:ONE_SHOTS?count=10000' --data_dir=data
    drumgan train --config=loop_classifier:small --config.data.dir=data/loop_classifier --workdir=runs/loops
    drumgan pack --run=runs/loops --out=loops.npz

The projected discriminators of configs/pjloopgan.py can use its features, so each variant takes the bands that the same
variant there generates, and one data set serves both. (R) marks values of that paper's release, (O) ours. The release
trained on 66 genres of purchased loops; here the genres are those of the given loops, or of bars sequenced from
one-shots if loops are few.

`tags` trains the other domain network of the paper, a tagger. Its manifest has the columns path, tags (with | between
them) and split (train, validation or test), as in docs/loops.md, and its packed file is a feature network's weights:

    drumgan prepare --config=loop_classifier:tags --audio=MTAT.csv --data_dir=data
    drumgan train --config=loop_classifier:tags --config.data.dir=data/loop_tagger --workdir=runs/tags
    drumgan pack --run=runs/tags --out=tags.npz
    drumgan train --config=pjloopgan:full-scnn_tags --config.feature_networks.scnn_tags.weights=tags.npz ...

`tiny` takes 3.5 minutes on one core with 3,003 bars sequenced from five free libraries. On 1,197 bars from two others
(smpldsnds and uzu-drumkit), which also chose the checkpoint, its accuracy is 0.991 (95 % interval 0.984 to 0.995).
`full`, `small` and `tags` are not yet trained.
"""

from ml_collections import ConfigDict

from drumgan_jax.configs import defaults


def get_config(variant: str = "full") -> ConfigDict:
    """The config of a variant: full, small, tiny or tags."""
    return defaults.pick(VARIANTS, variant)


def full() -> ConfigDict:
    """The release's network, with 2.6 million parameters, on bars of 2.0 s as 64 bands x 200 frames."""
    config = defaults.classifier()
    config.name = "loop_classifier"
    config.representation = {
        "kind": "log_mel",
        "sample_rate": 16000,  # R
        "n_fft": 512,
        "hop_length": 160,  # R
        "num_mels": 64,  # R
        "num_frames": 200,  # as in configs/pjloopgan.py, whose data sets it takes; R crops them to 192
        "circular": True,  # likewise
    }
    config.slicing = {"kind": "bar", "tempo": 120.0, "bars": 1, "beats": 4, "prior": 120.0, "max_stretch": 2.0}  # R
    config.preparation.update(test_fraction=0.1, validation_fraction=0.1)  # P; validation chooses the checkpoint
    config.network = {"kind": "short_chunk", "channels": 64, "blocks": (1, 1, 2, 2, 2, 4)}  # R
    config.augmentation.update(shift=0.01, mask_bands=8, mask_frames=12)  # O
    config.train.update(batch_size=64, total_images=1_000_000, ema_half_life_images=10_000)  # O
    config.checkpoint.every = 500
    _match_front_end(config)
    return config


def small() -> ConfigDict:
    """A quarter of the width: one GPU, minutes."""
    config = full()
    config.network.channels = 16
    config.train.total_images = 300_000
    return config


def tiny() -> ConfigDict:
    """CPU, CI: bars as 32 bands x 100 frames, one block fewer; the same code, minutes to learn sequenced bars."""
    config = small()
    config.representation.update(hop_length=320, num_mels=32, num_frames=100)
    _match_front_end(config)
    config.preparation.split_by = "hash"  # the procedural set is one source
    config.network.update(channels=8, blocks=(1, 1, 2, 2, 4))
    config.augmentation.update(mask_bands=4, mask_frames=6)
    config.train.update(batch_size=32, total_images=48_000, ema_half_life_images=2_000)
    config.logging.every = 25
    config.checkpoint.every = 100
    config.evaluation.every = 100
    return config


def tags() -> ConfigDict:
    """The tagger SCNN_MTAT of the paper: 50 tags of MagnaTagATune, pieces of 2.0 s in the bands of `full`."""
    config = full()
    config.name = "loop_tagger"
    config.representation.circular = False  # music is no loop
    config.slicing = {"kind": "loop", "seconds": 0.0, "stride": 0.0, "min_fill": 1.0}
    config.preparation.update(test_fraction=0.0, validation_fraction=0.0, split_by="manifest", tags=50)  # P
    config.network.update(channels=128, blocks=(1, 1, 2, 2, 2, 2))  # R
    config.task = {"kind": "tagger"}
    config.evaluation.metric = "loss"
    _match_front_end(config)
    return config


def _match_front_end(config: ConfigDict) -> None:
    """Set the front end to compute the representation's bands, in place."""
    bands = config.representation
    config.front_end = {
        "kind": "log_mel",
        "n_fft": bands.n_fft,
        "hop_length": bands.hop_length,
        "num_mels": bands.num_mels,
        "fmin": 0.0,
        "circular": bands.circular,
        "floor": 1e-5,
        "mean": -2.9,  # O; of sequenced bars
        "std": 1.1,  # O
    }


VARIANTS = {
    "full": defaults.Variant(full, "one GPU"),
    "small": defaults.Variant(small, "one GPU"),
    "tags": defaults.Variant(tags, "one GPU"),
    "tiny": defaults.Variant(
        tiny, "a CPU core, minutes", "accuracy 0.991 on 1,197 bars of other libraries (docs/loops.md)"
    ),
}
