"""Flags that hold paths, with ~ expanded."""

from typing import Any, Literal, overload

from absl import flags

from drumgan_jax.core.paths import expand

# absl then lists these flags in the help of the calling verb.
flags.disclaim_key_flags()


class _Parser(flags.ArgumentParser[str]):
    """Takes any string and expands ~ in it."""

    def parse(self, argument: str) -> str:
        return expand(argument)

    def flag_type(self) -> str:
        return "path"


@overload
def define_path(name: str, default: str, help: str) -> flags.FlagHolder[str]: ...


@overload
def define_path(name: str, default: None, help: str, *, required: Literal[True]) -> flags.FlagHolder[str]: ...


@overload
def define_path(name: str, default: None, help: str) -> flags.FlagHolder[str | None]: ...


def define_path(name: str, default: str | None, help: str, *, required: bool = False) -> flags.FlagHolder[Any]:
    """Define a flag that holds a path, or may hold one."""
    return flags.DEFINE(_Parser(), name, default, help, serializer=flags.ArgumentSerializer(), required=required)


def define_paths(name: str, help: str) -> flags.FlagHolder[list[str]]:
    """Define a repeatable flag that holds paths, or addresses with paths."""
    return flags.DEFINE_multi(_Parser(), flags.ArgumentSerializer(), name, [], help)
