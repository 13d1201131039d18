"""Defaults shared by the configs: preparation, training, logging and evaluation.

(P) marks a value from a paper, (R) from its authors' release, (O) one of ours.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict

from drumgan_jax.core.errors import BadInput, shown

UNTRAINED = "not yet trained"


@dataclasses.dataclass(frozen=True)
class Variant:
    """A variant of a config.

    Attributes:
        make: returns its config.
        hardware: the hardware it is sized for.
        score: its measured score, with a reference to the full results.
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
        raise BadInput(f"there is no variant {shown(variant)} of this config; give one of {', '.join(variants)}.")
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
    "channel": "mix",  # or left, right, mid, side, louder, or a number, from 0
    "normalization": "peak",  # or "loudness", "none"
    "level": -1.0,  # dBFS of the peak, or LUFS
    "pitch_shifts": (0.0,),  # semitones, one copy each
    "min_activity": 0.0,  # fraction of a slice
    "activity_db": -50.0,  # relative to the slice's peak
    "test_fraction": 0.0,
    "validation_fraction": 0.0,  # chooses the best checkpoint
    "split_by": "hash",  # or "source", "manifest"
    "test_sources": (),  # used instead of a fraction
    "validation_sources": (),  # likewise
    "hats": False,  # divides cymbals into closed_hat, open_hat and cymbal
    "tags": 0,  # how many of the manifest's tags replace the class
    "labels": (),  # classes to keep; empty keeps all
    "label_pattern": "",  # regular expression on the path
    "attributes": (),  # measured of each slice: brightness, depth, boominess, hardness, noisiness, decay, pitch
}


def gan() -> ConfigDict:
    """Sections shared by all GANs; a system adds its name, representation, slicing, networks and objective."""
    return ConfigDict(
        {
            "name": "",
            "seed": 0,
            "representation": {},
            "decoder": {},  # renders examples as sound; empty for the representation's own inverse
            "slicing": {},
            "preparation": dict(PREPARATION),
            "task": {
                "kind": "gan",
                "conditional": False,  # on the data set's labels
                "soft_labels": False,  # on the probabilities from `drumgan label`, rather than on the classes
                "independent_classes": False,  # classes are sliders from 0 to 1, rather than shares
                "attributes": (),  # of the data set's, that the networks are conditioned on too
                "critic_steps": 1,  # discriminator steps per generator step
                "label_weight": 1.0,  # share of the labels in what both networks see; or a schedule
                "start_from": "",  # run whose networks this one begins with
            },
            "train": {
                "batch_size": 32,  # P
                "total_images": 10_000_000,  # O
                "accumulation": 1,  # micro-batches per step: saves memory, costs time
                "compute_dtype": "auto",  # bfloat16 on TPU and GPU, float32 on CPU
                "ema_half_life_images": 10_000,  # P
                "ema_rampup": 0.05,  # P
                "class_balance": 0.0,  # 1 draws classes alike
                "source_balance": 0.0,  # 1 draws the sources of a class alike
                "host_timeout": 30.0,  # seconds until all processes end if one is lost
            },
            "data": {"dir": "", "prefetch": 2, "cache": ""},
            "mesh": {"data": -1, "fsdp": 1},  # -1: all remaining devices
            "logging": {"every": 50, "samples_every": 2_000, "num_samples": 16},  # steps, steps, sounds
            "checkpoint": {
                "every": 1_000,  # steps
                "keep": 3,  # checkpoints: the last so many, besides the best
                "milestones": (),  # images seen, such as 800_000, at which a checkpoint is kept too: --step=800kimg
            },
            "evaluation": {
                "every": 5_000,  # steps; 0 is off
                "num_samples": 1_024,  # sounds on each side
                "patience": 0,  # evaluations without a better score until training stops; 0 never stops
                "metrics": ("fid:drums", "prdc:drums", "fid:log_mel"),  # as in drumgan evaluate --metrics
                "metric": "fid/log_mel",  # chooses the best checkpoint
            },
        }
    )


def classifier() -> ConfigDict:
    """Sections shared by all classifiers; a system adds its name, representation, slicing, front end and network."""
    return ConfigDict(
        {
            "name": "",
            "seed": 0,
            "representation": {},
            "slicing": {},
            # Split by source, because recordings of one session resemble each other.
            "preparation": {**PREPARATION, "test_fraction": 0.1, "split_by": "source"},
            "front_end": {},
            "network": {},
            "augmentation": {
                "gain_db": 18.0,  # O, as are all values here
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
            "task": {
                "kind": "classifier",
                "balanced": True,
                "attributes": (),  # of the data set's, that are predicted beside the classes
                "attribute_weight": 1.0,
            },
            "train": {
                "batch_size": 128,  # O
                "total_images": 5_000_000,
                "accumulation": 1,
                "compute_dtype": "float32",
                "ema_half_life_images": 20_000,
                "ema_rampup": 0.1,
                "host_timeout": 30.0,
            },
            "data": {"dir": "", "prefetch": 2, "cache": ""},
            "mesh": {"data": -1, "fsdp": 1},
            "logging": {"every": 50, "samples_every": 0, "num_samples": 1},
            "checkpoint": {"every": 1_000, "keep": 2},
            "evaluation": {"every": 500, "patience": 10, "metric": "loss"},  # "validation", else "test"
        }
    )
