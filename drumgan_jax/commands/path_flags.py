"""Flags that hold paths, with ~ expanded."""

import os
from typing import Any, Literal, overload

from absl import flags

from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.core.hub import SCHEME
from drumgan_jax.core.paths import expand
from drumgan_jax.core.places import place, scheme_of

# absl then lists these flags in the help of the calling verb.
flags.disclaim_key_flags()


class _Parser(flags.ArgumentParser[str]):
    """Takes any string and expands ~ in it; an address in a bucket only if `bucket`, one on a hub only if `hub`."""

    def __init__(self, name: str, bucket: bool, hub: bool = False) -> None:
        super().__init__()
        self._name, self._bucket, self._hub = name, bucket, hub

    def parse(self, argument: str) -> str:
        if self._hub and scheme_of(argument) == SCHEME:
            return argument
        if scheme_of(argument) and not self._bucket:
            raise BadInput(
                f"--{self._name}={brief(argument)}: this flag takes a path of this machine; copy it from there, or to"
                " there afterwards."
            )
        return os.fspath(place(argument)) if scheme_of(argument) else expand(argument)

    def flag_type(self) -> str:
        return "path"


@overload
def define_path(
    name: str, default: str, help: str, *, bucket: bool = False, hub: bool = False
) -> flags.FlagHolder[str]: ...


@overload
def define_path(
    name: str, default: None, help: str, *, required: Literal[True], bucket: bool = False, hub: bool = False
) -> flags.FlagHolder[str]: ...


@overload
def define_path(
    name: str, default: None, help: str, *, bucket: bool = False, hub: bool = False
) -> flags.FlagHolder[str | None]: ...


def define_path(
    name: str, default: str | None, help: str, *, required: bool = False, bucket: bool = False, hub: bool = False
) -> flags.FlagHolder[Any]:
    """Define a flag that holds a path, or may hold one.

    With `bucket`, it takes an address such as gs://BUCKET/RUN too, and with `hub` hf://OWNER/NAME.
    """
    parser = _Parser(name, bucket, hub)
    return flags.DEFINE(parser, name, default, help, serializer=flags.ArgumentSerializer(), required=required)


def define_paths(name: str, help: str) -> flags.FlagHolder[list[str]]:
    """Define a repeatable flag that holds paths, or addresses with paths."""
    return flags.DEFINE_multi(_Parser(name, bucket=False), flags.ArgumentSerializer(), name, [], help)
