"""Frozen feature networks of projected discriminators: their layouts, weights and input scales."""

import dataclasses
import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from drumgan_jax.audio.conversion import MUSICNN, SHORT_CHUNK, VGGISH, Conversion, MelScale, of_front_end
from drumgan_jax.audio.front_end import FRONT_ENDS, settings_of
from drumgan_jax.core.errors import BadInput, brief, shown
from drumgan_jax.core.parts import Representation
from drumgan_jax.core.settings import build_part, build_section, check_shapes, checked, is_whole, mapping, text
from drumgan_jax.networks import musicnn, short_chunk, vggish
from drumgan_jax.networks.projected import FeatureNetwork
from drumgan_jax.systems.classifier import load_classifier
from drumgan_jax.weights import store

Array = jax.Array

RANDOM = "random"
_SECTION = "config.feature_networks"
CONVERTED, NORMALIZED = "converted", "normalized"


class Kind(NamedTuple):
    """A kind of feature network.

    Attributes:
        taps: the class of its taps.
        scale: output scale of its own front end, used if random weights replace published ones.
        bands: a number of bands that it can have, to find the shapes of its variables.
        bands_per_row: bands of a row, see FeatureNetwork.
    """

    taps: type[nn.Module]
    scale: MelScale
    bands: int = 64
    bands_per_row: int = 1


KINDS = {
    "musicnn": Kind(
        musicnn.MusicnnTaps,
        MUSICNN,
        bands=musicnn.BANDS,
        bands_per_row=musicnn.BANDS_PER_ROW,
    ),
    "short_chunk": Kind(short_chunk.ShortChunkTaps, SHORT_CHUNK),
    "vggish": Kind(vggish.VGGishTaps, VGGISH),
}


class Published(NamedTuple):
    """A network with published weights.

    Attributes:
        network: the whole network.
        convert: converts the published arrays to its variables.
        scale: mel scale of its training data; None if its publisher does not state it.
    """

    network: nn.Module
    convert: Callable[[Mapping[str, np.ndarray], Any], dict[str, Any]]
    scale: MelScale | None


def _without_seventh(state: Mapping[str, np.ndarray], network: Any) -> dict[str, Any]:
    """Variables of the tagger in the pjloopgan release; its file has a seventh block that the network does not use."""
    used = {name: array for name, array in state.items() if not name.startswith("layer7.")}
    return short_chunk.from_torch(used, network)


_LOOP_BLOCKS = (1, 1, 2, 2, 2, 4)
PUBLISHED = {
    "musicnn": Published(musicnn.Musicnn(), musicnn.from_tensorflow, MUSICNN),
    "musicnn_mtt": Published(musicnn.Musicnn(), musicnn.from_tensorflow, MUSICNN),
    "vggish": Published(vggish.VGGish(), vggish.from_torch, VGGISH),
    "short_chunk": Published(short_chunk.ShortChunk(), short_chunk.from_torch, SHORT_CHUNK),
    "short_chunk_tags": Published(short_chunk.ShortChunk(blocks=(1, 1, 2, 2, 2, 2)), _without_seventh, None),
    "short_chunk_drum_loops": Published(
        short_chunk.ShortChunk(num_labels=66, channels=64, blocks=_LOOP_BLOCKS), short_chunk.from_torch, None
    ),
    "short_chunk_synth_loops": Published(
        short_chunk.ShortChunk(num_labels=58, channels=64, blocks=_LOOP_BLOCKS), short_chunk.from_torch, None
    ),
}


def _seed(value: Any) -> str | None:
    return None if is_whole(value, 0) and value < 2**32 else f"a whole number from 0 to {2**32 - 1}"


def _input(value: Any) -> str | None:
    return None if value in ("", CONVERTED, NORMALIZED) else f"{CONVERTED} or {NORMALIZED}, or empty"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """One section of `config.feature_networks`.

    Attributes:
        kind: kind of network, see KINDS.
        weights: a name in PUBLISHED, a packed classifier's file (`drumgan pack`), or "random".
        seed: seed of random weights.
        input: "converted" to the scale that the network was trained on; "normalized", the generator's output unchanged,
            as in the authors' release; empty for "converted" if that scale is known, else "normalized".
        network: fields of a network with random weights; other weights bring their own.
        front_end: front end of a classifier's file; read from the file.
        sha256: hash of the weights, in hex; computed, or given to verify them.
    """

    kind: str = text(choices=tuple(sorted(KINDS)))
    weights: str = text()
    seed: int = checked(_seed, 0)
    input: str = checked(_input, "")
    network: Mapping[str, Any] = mapping()
    front_end: Mapping[str, Any] | None = None
    sha256: str = text("")


class Weights(NamedTuple):
    """Weights of a feature network.

    Attributes:
        variables: variables of its taps, as NumPy arrays.
        sha256: hash of the file, or of the random values, in hex.
    """

    variables: dict[str, Any]
    sha256: str


def described(
    sections: Mapping[str, Mapping[str, Any]], before: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, dict[str, Any]]:
    """Complete the sections with the layouts, front ends and hashes found in the weight files, JSON-serialisable.

    With them, a run can be built, played and resumed without the files.

    Args:
        sections: the sections of a config.
        before: the sections as described when the run began; reused for a section that names the same weights, or a
            bit-identical file at another path.

    Raises:
        BadInput: a section is invalid, or its weights are missing, unreadable, or of another layout or hash.
    """
    found = {}
    for name, settings in sections.items():
        asked, known = _section(name, settings), (before or {}).get(name)
        if known is not None and _names_the_same(asked, _section(name, known)):
            found[name] = dict(known)
            continue
        section = _completed(name, asked)
        weights = _load(name, section)
        if section.sha256 not in ("", weights.sha256):
            raise BadInput(
                f"{_SECTION}.{name}.sha256 is {brief(section.sha256)}, but the weights {shown(section.weights)} have"
                f" {weights.sha256}; give the intended file, or leave sha256 empty to accept this one."
            )
        found[name] = {**dataclasses.asdict(section), "sha256": weights.sha256}
        if known is not None and {**found[name], "weights": known["weights"]} == known:
            found[name] = dict(known)
    return found


def load_weights(sections: Mapping[str, Mapping[str, Any]]) -> dict[str, Weights]:
    """Load the weights of described sections, by section.

    Raises:
        BadInput: weights are missing, unreadable, or not those described.
    """
    loaded = {}
    for name, settings in sections.items():
        section = _completed(name, _section(name, settings))
        loaded[name] = _load(name, section)
        if section.sha256 not in ("", loaded[name].sha256):
            raise BadInput(
                f"the weights {shown(section.weights)} of {_SECTION}.{name} have changed since the run began (SHA-256"
                f" {loaded[name].sha256}, then {brief(section.sha256)}); put the former file back."
            )
    return loaded


def build_feature_networks(
    sections: Mapping[str, Mapping[str, Any]], representation: Representation
) -> tuple[FeatureNetwork, ...]:
    """Build the feature networks, without weights, for a generator's representation.

    Raises:
        BadInput: a section is invalid, its file cannot be read, or the representation cannot be converted.
    """
    networks = []
    for name, settings in sections.items():
        section = _completed(name, _section(name, settings))
        taps, _ = _taps(name, section)
        convert = _converter(name, section, representation)
        circular = getattr(representation, "circular", False)
        networks.append(FeatureNetwork(name, taps, convert, KINDS[section.kind].bands_per_row, circular))
    return tuple(networks)


def _section(name: str, settings: Mapping[str, Any]) -> Section:
    """Build a section and check its fields, without reading weights."""
    if not name.isidentifier() or name.endswith("_mixing"):
        raise BadInput(
            f"{_SECTION} has a network named {shown(name)}; use letters and digits, without a final _mixing."
        )
    if not isinstance(settings, Mapping):
        raise BadInput(f"{_SECTION}.{name} is {shown(settings)}; it must be a section with kind and weights.")
    return build_section(Section, settings, f"feature_networks.{name}")


def _names_the_same(asked: Section, known: Section) -> bool:
    """Whether the given fields of a section agree with its earlier description."""
    network = asked.network if asked.weights == RANDOM else known.network
    filled = dataclasses.replace(
        asked,
        input=asked.input or known.input,
        network=_listed(network),
        front_end=known.front_end,
        sha256=asked.sha256 or known.sha256,
    )
    return filled == dataclasses.replace(known, network=_listed(known.network))


def _listed(network: Mapping[str, Any]) -> dict[str, Any]:
    """A network's fields with tuples as lists, as in JSON."""
    return {field: list(value) if isinstance(value, tuple) else value for field, value in network.items()}


def _completed(name: str, section: Section) -> Section:
    """A section completed with the layout of its weights."""
    if section.weights == RANDOM:
        return dataclasses.replace(section, input=section.input or NORMALIZED, network=_listed(section.network))
    if section.weights in PUBLISHED:
        published = PUBLISHED[section.weights]
        network, front_end, knows = published.network, None, published.scale is not None
    elif section.front_end is not None:
        return section
    elif section.weights.endswith(".npz"):
        file = load_classifier(section.weights)
        network, front_end, knows = file.classifier.network, settings_of(file.classifier.front_end), True
    else:
        raise BadInput(
            f"{_SECTION}.{name}.weights is {shown(section.weights)}; it must be {RANDOM}, one of"
            f" {', '.join(PUBLISHED)}, or a classifier's file (.npz) written by drumgan pack."
        )
    taps = KINDS[section.kind].taps
    wanted = [f.name for f in dataclasses.fields(taps) if f.name not in ("parent", "name", "compute_dtype")]
    if not all(hasattr(network, field) for field in wanted):
        raise BadInput(
            f"{_SECTION}.{name}.weights {shown(section.weights)} belong to a {type(network).__name__}, not to a"
            f" network of kind {section.kind}; give weights of that kind, or change kind."
        )
    layout = _listed({field: getattr(network, field) for field in wanted})
    takes = section.input or (CONVERTED if knows else NORMALIZED)
    return dataclasses.replace(section, input=takes, network=layout, front_end=front_end)


def _taps(name: str, section: Section) -> tuple[nn.Module, dict[tuple[str, ...], Any]]:
    """The taps of a completed section, and the shapes of their variables by path."""
    kind = KINDS[section.kind]
    taps = build_section(kind.taps, section.network, f"feature_networks.{name}.network")
    hint = f"; it needs four blocks or more with whole-number widths, but has {dict(section.network)}"
    spectrogram = jax.ShapeDtypeStruct((1, kind.bands, 96, 1), "float32")
    shapes = check_shapes(f"feature_networks.{name}.network", taps.init, spectrogram, hint=hint)
    return taps, flatten_dict(shapes)


def _converter(name: str, section: Section, representation: Representation) -> Callable[[Array], Array]:
    """A differentiable function from examples to the network's input."""
    if section.input == NORMALIZED:
        return _as_it_is
    if section.front_end is not None:
        front_end = build_part(FRONT_ENDS, section.front_end, f"feature_networks.{name}.front_end")
        return Conversion(representation, of_front_end(front_end))
    kind = KINDS[section.kind]
    scale = PUBLISHED[section.weights].scale if section.weights in PUBLISHED else kind.scale
    if scale is None:
        raise BadInput(
            f"{_SECTION}.{name}.input is {CONVERTED}, but the publisher of {section.weights} does not state the scale"
            f" that it was trained on; set it to {NORMALIZED}, as the authors do, or leave it empty."
        )
    return Conversion(representation, scale)


def _as_it_is(x: Array) -> Array:
    return x


def _load(name: str, section: Section) -> Weights:
    """The weights of a completed section."""
    _, shapes = _taps(name, section)
    if section.weights == RANDOM:
        return _drawn(shapes, section.seed)
    if section.weights in PUBLISHED:
        published = PUBLISHED[section.weights]
        state, sha256 = store.load(section.weights)
        variables = published.convert(state, published.network)
    else:
        file = load_classifier(section.weights)
        variables, sha256 = file.variables, file.sha256
    arrays = flatten_dict(variables)
    if wrong := [path for path, spec in shapes.items() if path not in arrays or arrays[path].shape != spec.shape]:
        raise BadInput(
            f"the weights {shown(section.weights)} of {_SECTION}.{name} have another layout"
            f" ({'/'.join(wrong[0])} does not fit); give the intended file."
        )
    return Weights(unflatten_dict({path: np.asarray(arrays[path], np.float32) for path in shapes}), sha256)


def _drawn(shapes: Mapping[tuple[str, ...], Any], seed: int) -> Weights:
    """Random weights, reproducible from the seed: He et al. 2015 kernels (fan-in), zero biases, initial statistics."""
    random, digest = np.random.RandomState(seed), hashlib.sha256()
    arrays = {}
    for path, spec in sorted(shapes.items()):
        array = np.full(spec.shape, 1.0 if path[-1] in ("scale", "var") else 0.0, np.float32)
        if path[-1] == "kernel":
            deviation = math.sqrt(2.0 / math.prod(spec.shape[:-1]))
            array = (random.standard_normal(spec.shape) * deviation).astype(np.float32)
        digest.update("/".join(path).encode())
        digest.update(array.data)
        arrays[path] = array
    return Weights(unflatten_dict(arrays), digest.hexdigest())
