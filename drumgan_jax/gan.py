"""From a config to a Gan: the representation, the two networks and the objective of one system."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from drumgan_jax.audio.representations import build_representation
from drumgan_jax.errors import BadInput
from drumgan_jax.networks import stylegan2
from drumgan_jax.objectives.logistic import Logistic
from drumgan_jax.objectives.regularizer import Objective
from drumgan_jax.parts import Representation, build_part

GENERATORS = {"stylegan2": stylegan2.Generator}
DISCRIMINATORS = {"stylegan2": stylegan2.Discriminator}
OBJECTIVES = {"logistic": Logistic}
COMPUTE_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


@dataclasses.dataclass(frozen=True)
class Gan:
    """The parts of one system, ready to initialise."""

    representation: Representation
    generator: nn.Module
    discriminator: nn.Module
    objective: Objective


def build_gan(config: Mapping[str, Any], num_labels: int) -> Gan:
    """Build the parts that a config asks for.

    Args:
        config: sections `representation`, `generator`, `discriminator`, `objective` and `train`.
        num_labels: classes that condition both networks; 0 for none.

    Raises:
        BadInput: a section names an unknown part or setting, or a value is out of range.
    """
    representation = build_representation(config["representation"])
    given = {
        "shape": representation.shape,
        "num_labels": num_labels,
        "compute_dtype": resolve_compute_dtype(config["train"]["compute_dtype"]),
    }
    return Gan(
        representation=representation,
        generator=build_part(GENERATORS, config["generator"], "generator", **given),
        discriminator=build_part(DISCRIMINATORS, config["discriminator"], "discriminator", **given),
        objective=build_part(OBJECTIVES, config["objective"], "objective"),
    )


def resolve_compute_dtype(name: str) -> Any:
    """The dtype convolutions run in; "auto" is bfloat16 on TPU and GPU and float32 on CPU, where bfloat16 is slow.

    Raises:
        BadInput: the name is not a dtype that networks run in.
    """
    if name == "auto":
        return jnp.float32 if jax.default_backend() == "cpu" else jnp.bfloat16
    if name not in COMPUTE_DTYPES:
        known = ", ".join(["auto", *COMPUTE_DTYPES])
        raise BadInput(f"config.train.compute_dtype is {name!r}; it must be one of {known}.")
    return COMPUTE_DTYPES[name]
