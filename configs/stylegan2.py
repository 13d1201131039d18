"""What the systems built on StyleGAN2 share: config F's networks, objective and optimisers, and this house's defaults.

(P) marks a value of Karras et al. 2020 or its release, (O) one of ours.
"""

from collections.abc import Callable, Mapping

from ml_collections import ConfigDict


def pick(variants: Mapping[str, Callable[[], ConfigDict]], variant: str) -> ConfigDict:
    """The config of a variant.

    Raises:
        ValueError: there is no such variant.
    """
    if variant not in variants:
        raise ValueError(f"there is no variant {variant!r} of this config; there are {', '.join(variants)}.")
    return variants[variant]()


def base() -> ConfigDict:
    """Config F at full width; a system adds its name, representation, slicing and the networks' constant size."""
    adam = {"learning_rate": 0.002, "beta1": 0.0, "beta2": 0.99, "epsilon": 1e-8}  # P
    width = {"channel_base": 32768, "channel_max": 512}  # P
    return ConfigDict(
        {
            "name": "",
            "seed": 0,
            "representation": {},
            "slicing": {},
            "preparation": {
                "channel": "mix",  # or a number, from 0
                "normalization": "peak",  # or "loudness", "none"
                "level": -1.0,  # dBFS of the peak, or LUFS
                "pitch_shifts": (0.0,),  # semitones, one copy each
                "min_activity": 0.0,  # fraction of a slice
                "activity_db": -50.0,  # under the slice's peak
                "test_fraction": 0.0,
                "split_by": "hash",  # or "source"
                "test_sources": (),  # rather than a fraction, these
                "labels": (),  # classes to keep; none keeps all
                "label_pattern": "",  # regular expression on the path
            },
            "generator": {
                "kind": "stylegan2",
                "base": (4, 4),  # of the learned constant: freq, time
                "z_dim": 512,  # P
                "w_dim": 512,  # P
                "mapping_layers": 8,  # P
                "mapping_lr_multiplier": 0.01,  # P
                "style_mixing": 0.9,  # P; probability
                "rematerialize": False,  # recompute activations in the backward pass: time for memory
                **width,
            },
            "discriminator": {
                "kind": "stylegan2",
                "base": (4, 4),
                "stddev_group": 4,  # P
                "rematerialize": False,
                **width,
            },
            "objective": {
                "kind": "logistic",
                "r1_gamma": 10.0,  # P
                "r1_interval": 16,  # P; discriminator steps
                "path_length_weight": 2.0,  # P
                "path_length_interval": 4,  # P; generator steps
                "path_length_decay": 0.01,  # P
                "path_length_batch_shrink": 2,  # P
            },
            "optimizer": {"generator": dict(adam), "discriminator": dict(adam)},
            "task": {"kind": "gan", "conditional": False},  # conditional: on the data set's labels
            "train": {
                "batch_size": 32,  # P
                "total_images": 10_000_000,  # O
                "accumulation": 1,  # micro-batches a step: memory for time
                "compute_dtype": "auto",  # bfloat16 on TPU and GPU, float32 on CPU
                "ema_half_life_images": 10_000,  # P
                "ema_rampup": 0.05,  # P
            },
            "data": {"dir": "", "prefetch": 2},
            "mesh": {"data": -1, "fsdp": 1},  # -1: all devices that are left
            "logging": {"every": 50, "samples_every": 2_000, "num_samples": 16},  # steps, steps, sounds
            "checkpoint": {"every": 1_000, "keep": 3},  # steps, checkpoints
            "evaluation": {
                "every": 5_000,  # steps; 0 is off
                "num_samples": 1_024,  # sounds of each side
                "patience": 0,  # evaluations without a better score until training stops; 0 never stops
                "metrics": ("fid:drums", "prdc:drums", "fid:log_mel"),  # as drumgan evaluate --metrics
                "metric": "fid/log_mel",  # decides which checkpoint is the best
            },
        }
    )


def narrow(config: ConfigDict, base: tuple[int, int], channel_base: int, channel_max: int) -> None:
    """Give both networks another constant size (freq, time) and width, in place."""
    for network in (config.generator, config.discriminator):
        network.update(base=base, channel_base=channel_base, channel_max=channel_max)


def make_tiny(config: ConfigDict) -> None:
    """Shrink training, logging and the mapping network to what a CPU runs in minutes, in place."""
    config.generator.update(z_dim=64, w_dim=64, mapping_layers=4)
    config.train.update(batch_size=16, total_images=24_000, ema_half_life_images=2_000)
    config.logging.update(every=10, samples_every=500)
    config.checkpoint.every = 250
    config.evaluation.update(every=250, num_samples=256)
