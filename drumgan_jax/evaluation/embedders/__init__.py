"""Embedders: frozen networks that turn sound into vectors, one file each, and those of other packages by entry points.

A package adds one with an entry point in the group `drumgan_jax.embedders`: a name, and a function that returns an
Embedder of this name, such as `mine = "package.module:build"`. If the function has a parameter `model`, users may give
it: `fid:mine=MODEL`.
"""

import functools
import importlib
import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from drumgan_jax.core.errors import BadInput, first_line, shown
from drumgan_jax.core.parts import Representation
from drumgan_jax.evaluation.embedder import Embedder

# Modules with a `build()`, imported on use so that a run pays only for its own embedders.
EMBEDDERS = {
    "drums": "classifier",
    "inception": "inception",
    "log_mel": "log_mel",
    "musicnn": "musicnn",
    "musicnn_mtt": "musicnn_mtt",
    "short_chunk": "short_chunk",
    "vgg16": "vgg16",
    "vggish": "vggish",
    "clap": "clap",
    "encodec": "encodec",
    "mert": "mert",
    "panns": "panns",
    "picture": "picture",
}
# Those of the examples of a representation, which their `build` takes.
OF_EXAMPLES = frozenset({"picture"})
GROUP = "drumgan_jax.embedders"


@functools.lru_cache(maxsize=8)
def build_embedder(name: str, representation: Representation | None = None) -> Embedder:
    """Build an embedder by its name in EMBEDDERS or in another package, or from a file written by `drumgan pack`.

    Args:
        name: the name or the file. After a name, "=" and a model's folder or file choose other weights than the
            published, for embedders that say so: "clap=FOLDER"; or the run of whose examples "picture=RUN" is.
        representation: of the data set that is measured against, for those in OF_EXAMPLES; None without one.

    Raises:
        BadInput: there is no such name or file, the weights or the package are not installed, or another package
            has an embedder of the same name or one that cannot be built.
    """
    if Path(name).is_file():
        from drumgan_jax.evaluation.embedders.classifier import from_file

        return from_file(name)
    name, _, model = name.partition("=")
    if name in EMBEDDERS:
        _check_no_namesake(name)
        build = importlib.import_module(f"{__name__}.{EMBEDDERS[name]}").build
        given = {"representation": representation} if name in OF_EXAMPLES else {}
        return _built(functools.partial(build, **given), name, model)
    points = _points(name)
    if not points:
        known = ", ".join([*EMBEDDERS, *sorted(point.name for point in entry_points(group=GROUP))])
        raise BadInput(f"there is no embedder {shown(name)}; there are {known}, and files written by drumgan pack.")
    if len(points) > 1:
        packages = " and ".join(sorted(_package(point) for point in points))
        raise BadInput(f"the packages {packages} both have an embedder {name}; uninstall one of them.")
    return _plugin(points[0], model)


def _points(name: str) -> list[EntryPoint]:
    """The different entry points of this name; an installed package may be listed by several folders of sys.path."""
    return list({(_package(point), point.value): point for point in entry_points(group=GROUP, name=name)}.values())


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _check_no_namesake(name: str) -> None:
    """Refuse a plug-in of a built-in name, whose figures nobody could tell from the built-in embedder's."""
    for point in _points(name):
        raise BadInput(
            f"the package {_package(point)} has an embedder {name}, which is the name of a built-in one; uninstall the"
            " package, or have its embedder renamed."
        )


def _plugin(point: EntryPoint, model: str) -> Embedder:
    """The embedder of another package."""
    package = _package(point)
    try:
        embedder = _built(_function(point, package), point.name, model)
    except ImportError as problem:
        missing = f"install {problem.name}" if problem.name else "see its documentation"
        raise BadInput(
            f"the embedder {point.name} of the package {package} cannot be imported ({first_line(problem)}); {missing}."
        ) from problem
    if not isinstance(embedder, Embedder):
        raise BadInput(
            f"the embedder {point.name} of the package {package} is a {type(embedder).__name__}; its function must"
            " return a DeviceEmbedder or a HostEmbedder."
        )
    if not model and embedder.name != point.name:
        raise BadInput(
            f"the package {package} registers the embedder {point.name}, which calls itself {embedder.name}; have"
            " one of them renamed, so that its figures tell what they are."
        )
    return embedder


def _function(point: EntryPoint, package: str) -> Callable[..., Embedder]:
    """The function that an entry point names, or the function `build` of the module that it names."""
    try:
        loaded = point.load()
    except AttributeError as problem:
        raise BadInput(
            f"the entry point {point.value} of the package {package} has no such function ({first_line(problem)});"
            " install another version of it."
        ) from problem
    function = getattr(loaded, "build", loaded)
    if not callable(function):
        raise BadInput(f"{point.value} of the package {package} is no function that builds an embedder; correct it.")
    return function


def _built(build: Callable[..., Embedder], name: str, model: str) -> Embedder:
    if not model:
        return build()
    if "model" not in inspect.signature(build).parameters:
        raise BadInput(f"the embedder {name} has only its own weights; leave out ={model}.")
    return build(model=model)
