"""drumgan check PATH

Reads all of a run directory, a data set, or a file that `drumgan pack` wrote: digests of checkpoints and packed files,
every record of every shard with its checksums, indices, counts and versions. Says on one screen what is sound and what
is not. The exit status is 0 if all is sound and 1 if not; nothing is written or changed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from drumgan_jax.core.errors import BadInput, brief
from drumgan_jax.core.paths import expand
from drumgan_jax.core.places import place

# The path is a positional argument.
POSITIONAL = True


def main(argv: Sequence[str]) -> None:
    """Check; see the module's docstring."""
    match list(argv[1:]):
        case [path]:
            text, sound = check(place(expand(path)))
        case _:
            raise BadInput("write `drumgan check PATH` with one run directory, data set or packed file.")
    print(text)
    if not sound:
        sys.exit(1)


def check(path: Path) -> tuple[str, bool]:
    """Read all of a run directory, data set or file.

    Returns:
        A screen of text, and whether all is sound.

    Raises:
        BadInput: the path is none of these.
    """
    from drumgan_jax.commands.check_data import check_data
    from drumgan_jax.commands.check_file import check_file
    from drumgan_jax.commands.check_run import check_run
    from drumgan_jax.commands.findings import is_sound, screen
    from drumgan_jax.runs.config import CHECKPOINTS, CONFIG_NAME

    try:
        is_file = path.is_file()
    except OSError as error:
        # Of a name that is too long.
        raise BadInput(f"{brief(path)} cannot be looked at ({error.strerror}); correct the path.") from error
    if is_file:
        what, findings = check_file(path)
    elif (path / CONFIG_NAME).exists() or (path / CHECKPOINTS).is_dir():
        what, findings = check_run(path)
    elif path.is_dir():
        what, findings = check_data(path)
    else:
        raise BadInput(f"{path} is no file or folder; give a run directory, a data set or a packed file.")
    return screen(path, what, findings), is_sound(findings)
