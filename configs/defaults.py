"""What the configs share: this house's defaults of preparation, training, logging and evaluation.

(P) marks a value of a paper, (R) of its authors' release, (O) one of ours.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from drumgan_jax.core.errors import BadInput

UNTRAINED = "not yet trained"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A variant of a config.

    Attributes:
        make: its values.
        hardware: what it is sized for.
        score: what was measured of it, and where that is told in full.
    """

    make: Callable[[], ConfigDict]
    hardware: str
    score: str = UNTRAINED


def pick(variants: Mapping[str, Variant], variant: str) -> ConfigDict:
    """The config of a variant.

    Raises:
        BadInput: there is no such variant.
    """
    if variant not in variants:
        raise BadInput(f"there is no variant {variant!r} of this config; there are {', '.join(variants)}.")
    return variants[variant].make()


def schedule(section: ConfigDict, name: str, **settings: Any) -> None:
    """Give a value a schedule (drumgan_jax.core.schedules), in place.

    Args:
        section: of a config, such as config.optimizer.generator.
        name: of the value, such as learning_rate.
        settings: of the schedule, such as kind="cosine", start=2e-3, end=1e-4, images=1_000_000.
    """
    with section.ignore_type():
        section[name] = settings


PREPARATION = {
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
}


def gan() -> ConfigDict:
    """The sections of a GAN that are not its own; a system adds name, representation, slicing, networks, objective."""
    return ConfigDict(
        {
            "name": "",
            "seed": 0,
            "representation": {},
            "decoder": {},  # how examples become sound; empty for the representation's own inverse
            "slicing": {},
            "preparation": dict(PREPARATION),
            "task": {
                "kind": "gan",
                "conditional": False,  # on the data set's labels
                "soft_labels": False,  # on what `drumgan label` wrote, rather than on the classes
                "critic_steps": 1,  # of the discriminator for one of the generator
            },
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


def classifier() -> ConfigDict:
    """The sections of a classifier that are not its own; it adds name, representation, slicing, front end, network."""
    return ConfigDict(
        {
            "name": "",
            "seed": 0,
            "representation": {},
            "slicing": {},
            # Neighbours of one recording session are no test of each other.
            "preparation": {**PREPARATION, "test_fraction": 0.1, "split_by": "source"},
            "front_end": {},
            "network": {},
            "augmentation": {
                "gain_db": 18.0,  # O, as all here
                "shift": 0.02,  # seconds
                "band_limit": 0.3,  # probability
                "lowest_band_limit": 3_500.0,  # Hz
                "equalizer_db": 6.0,
                "mask_bands": 12,
                "mask_frames": 4,
            },
            "optimizer": {
                "classifier": {"learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
            },
            "task": {"kind": "classifier", "balanced": True},
            "train": {
                "batch_size": 128,  # O
                "total_images": 5_000_000,
                "accumulation": 1,
                "compute_dtype": "float32",
                "ema_half_life_images": 20_000,
                "ema_rampup": 0.1,
            },
            "data": {"dir": "", "prefetch": 2},
            "mesh": {"data": -1, "fsdp": 1},
            "logging": {"every": 50, "samples_every": 0, "num_samples": 1},
            "checkpoint": {"every": 1_000, "keep": 2},
            "evaluation": {"every": 500, "patience": 10, "metric": "loss"},  # on the whole split "test"
        }
    )
