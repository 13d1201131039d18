"""Embeddings of a stream of sounds, which are cut into windows, embedded on all devices and summed in one pass."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from drumgan_jax.audio.files import resample
from drumgan_jax.core.errors import BadInput
from drumgan_jax.evaluation.embedder import DeviceEmbedder, Embedder, HostEmbedder
from drumgan_jax.evaluation.intervals import GROUPS
from drumgan_jax.evaluation.moments import Moments, MomentsStream, merged

Array = jax.Array

# The parts of `Embeddings` that a metric may need.
MOMENTS, EMBEDDINGS, LOGITS = "moments", "embeddings", "logits"
WINDOWS_PER_DEVICE = 32
# Sounds are read in blocks of up to so many sounds and samples; a longer sound is a block of its own.
_SOUNDS_AHEAD = 64
_SAMPLES_AHEAD = 2**22
# A sound or window whose samples are all below this level, -80 dB of full scale, is silent. The dither of 16-bit files
# is below -90 dB, the quietest of 1,900 recorded drums peaks at -58 dB.
SILENCE = 1e-4


class Sound(NamedTuple):
    """One sound of a stream: its waveform [samples], its sample rate in Hz, and its name in messages."""

    waveform: np.ndarray
    sample_rate: int
    name: str


@dataclasses.dataclass(frozen=True)
class Stream:
    """Sounds to be measured, read once.

    Attributes:
        count: upper bound of the number of sounds.
        sounds: the sounds in order.
    """

    count: int
    sounds: Iterable[Sound]


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """Outputs of one embedder on one side of a comparison; parts that no metric needs are None.

    Attributes:
        sounds: number of sounds, without silent ones.
        rows: number of embeddings, one or more for each sound.
        moments: mean and covariance of the embeddings of each of up to GROUPS consecutive parts of the side.
        embeddings: [rows, dimensions] float32.
        logits: [rows, classes] float32.
        sound_of_row: the place in the stream of the sound of each row of `embeddings` and `logits` [rows], ascending.
        silent_sounds: number of sounds left out because they are silent (`SILENCE`).
        silent_windows: number of silent windows left out of the other sounds.
    """

    sounds: int
    rows: int
    moments: tuple[Moments, ...] | None = None
    embeddings: np.ndarray | None = None
    logits: np.ndarray | None = None
    sound_of_row: np.ndarray | None = None
    silent_sounds: int = 0
    silent_windows: int = 0

    @property
    def total(self) -> Moments:
        """Moments of the whole side."""
        assert self.moments is not None
        return merged(self.moments)


def sampled(
    sample: Callable[[int, int], np.ndarray], count: int, sample_rate: int, batch: int, first: int = 0
) -> Stream:
    """A stream of generated sounds.

    Args:
        sample: function of a start and a count that returns waveforms [count, samples] of that part of a fixed
            sequence.
        count: number of sounds.
        sample_rate: their sample rate, in Hz.
        batch: number of sounds generated at once.
        first: number of the first sound in messages.
    """

    def sounds() -> Iterator[Sound]:
        for start in range(0, count, batch):
            for item, waveform in enumerate(sample(start, min(batch, count - start)), start):
                yield Sound(waveform, sample_rate, f"generated sound {first + item}")

    return Stream(count, sounds())


def embed(
    stream: Stream,
    embedders: Sequence[Embedder],
    needs: Mapping[str, Collection[str]],
    sharding: NamedSharding | None = None,
    progress: Callable[[int], None] | None = None,
    *,
    keep_silent_sounds: bool = False,
) -> dict[str, Embeddings]:
    """Embed the sounds of a stream with several embedders, in one pass.

    Silent windows are left out, because all silence has one embedding: the tails of drums would be a cluster of their
    own, inside which precision is 1.

    Args:
        stream: the sounds; they are resampled to each embedder's sample rate.
        embedders: embedders with different names.
        needs: the parts to keep (MOMENTS, EMBEDDINGS, LOGITS), by the embedder's name.
        sharding: how batches of windows are split over the devices; None for one device. With several processes, each
            reads the whole stream and embeds its devices' share.
        progress: called with the number of sounds done, after every 64 sounds or more often.
        keep_silent_sounds: embed the first window of a sound without an audible one, rather than leave the sound out.

    Returns:
        Embeddings by the embedder's name.

    Raises:
        BadInput: the stream is empty, all its sounds are silent, or a sound has an embedding that is not finite.
    """
    collectors = [_Collector(one, needs[one.name], stream.count, sharding, keep_silent_sounds) for one in embedders]
    rates = sorted({one.sample_rate for one in embedders})
    done = 0
    with ThreadPoolExecutor() as threads:
        for ahead in _blocks(stream.sounds):
            for rate in rates:
                at_rate = list(threads.map(functools.partial(_at_rate, rate=rate), ahead))
                for collector in collectors:
                    if collector.embedder.sample_rate == rate:
                        collector.add(at_rate)
            done += len(ahead)
            if progress is not None:
                progress(done)
    if not done:
        raise BadInput("there are no sounds to measure; give a folder or a data set that holds some.")
    return {collector.embedder.name: collector.finish() for collector in collectors}


def _blocks(sounds: Iterable[Sound]) -> Iterator[list[Sound]]:
    """Lists of consecutive sounds, of bounded number and length: few short sounds, or one of any length."""
    block: list[Sound] = []
    samples = 0
    for sound in sounds:
        block.append(sound)
        samples += len(sound.waveform)
        if len(block) == _SOUNDS_AHEAD or samples >= _SAMPLES_AHEAD:
            yield block
            block, samples = [], 0
    if block:
        yield block


def windows_of(waveform: np.ndarray, window: int, hop: int) -> np.ndarray:
    """All full windows [count, window] of a waveform [samples]; a shorter waveform is one window, padded with zeros."""
    if len(waveform) <= window:
        return np.pad(waveform, (0, window - len(waveform)))[None]
    return np.lib.stride_tricks.sliding_window_view(waveform, window)[::hop]


def _at_rate(sound: Sound, rate: int) -> Sound:
    waveform = resample(np.asarray(sound.waveform, np.float32), sound.sample_rate, rate)
    return sound._replace(waveform=waveform, sample_rate=rate)


def rows_at_once(devices: int) -> int:
    """Windows that are embedded together on so many devices."""
    return WINDOWS_PER_DEVICE * devices


def trace_embedding(embedder: DeviceEmbedder, needs: Collection[str], mesh: Mesh) -> jax.stages.Traced:
    """What `embed` compiles for an embedder on some devices, traced; they need not be here."""
    split, whole = NamedSharding(mesh, PartitionSpec(mesh.axis_names)), NamedSharding(mesh, PartitionSpec())
    variables = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=whole), embedder.variables
    )
    windows = jax.ShapeDtypeStruct((rows_at_once(mesh.size), embedder.window), np.float32, sharding=split)
    return _apply.trace(embedder, split, EMBEDDINGS in needs, variables, windows)


class _Collector:
    """Embeds windows in full batches with one embedder and accumulates its outputs."""

    def __init__(
        self,
        embedder: Embedder,
        needs: Collection[str],
        count: int,
        sharding: NamedSharding | None,
        keep_silent_sounds: bool,
    ):
        self.embedder = embedder
        self._needs = needs
        self._keep_silent_sounds = keep_silent_sounds
        self._count = max(count, 1)
        self._sharding = sharding
        if isinstance(embedder, DeviceEmbedder):
            self._variables = _replicated_variables(embedder, sharding)
        self._size = rows_at_once(sharding.mesh.size if sharding else 1)
        self._windows: list[np.ndarray] = []
        self._sounds: list[int] = []
        self._names: list[str] = []
        self._silent_sounds = 0
        self._silent_windows = 0
        self._sound_of_row: list[np.ndarray] = []
        self._moments: dict[int, MomentsStream] = {}
        self._embeddings: list[np.ndarray] = []
        self._logits: list[np.ndarray] = []

    def add(self, sounds: Sequence[Sound]) -> None:
        """Add sounds, which must be at the embedder's sample rate."""
        for sound in sounds:
            windows = windows_of(sound.waveform, self.embedder.window, self.embedder.hop)
            number, audible = len(self._names), 0
            self._names.append(sound.name)
            for start in range(0, len(windows), self._size):
                audible += self._hold(windows[start : start + self._size], number)
            if audible:
                self._silent_windows += len(windows) - audible
            elif self._keep_silent_sounds:
                self._hold(windows[:1], number, silence=0.0)
            else:
                self._silent_sounds += 1

    def _hold(self, windows: np.ndarray, number: int, silence: float = SILENCE) -> int:
        """Hold the audible windows of a sound until there are enough to embed, and return how many there are."""
        # NaN is no silence.
        audible = ~(np.abs(windows).max(axis=1) < silence)
        # The selected rows are copies: views would hold the whole sound in memory.
        self._windows.extend(windows[audible])
        self._sounds.extend([number] * int(audible.sum()))
        while len(self._windows) >= self._size:
            self._embed()
        return int(audible.sum())

    def finish(self) -> Embeddings:
        """Embed the remaining windows and return the outputs for all sounds.

        Raises:
            BadInput: all sounds are silent.
        """
        while self._windows:
            self._embed()
        sounds = len(self._names) - self._silent_sounds
        if not sounds:
            raise BadInput(
                f"all {len(self._names)} sounds are silent, such as {self._names[0]} (peak below -80 dB of full scale);"
                " give sounds that can be heard."
            )
        groups = [self._moments[group].result() for group in sorted(self._moments)]
        return Embeddings(
            sounds=sounds,
            rows=sum(map(len, self._sound_of_row)),
            moments=tuple(groups) if MOMENTS in self._needs else None,
            embeddings=np.concatenate(self._embeddings) if EMBEDDINGS in self._needs else None,
            logits=np.concatenate(self._logits) if LOGITS in self._needs else None,
            sound_of_row=np.concatenate(self._sound_of_row) if {EMBEDDINGS, LOGITS} & set(self._needs) else None,
            silent_sounds=self._silent_sounds,
            silent_windows=self._silent_windows,
        )

    def _embed(self) -> None:
        windows, self._windows = np.stack(self._windows[: self._size]), self._windows[self._size :]
        sounds, self._sounds = np.asarray(self._sounds[: self._size]), self._sounds[self._size :]
        sounds = np.repeat(sounds, self.embedder.rows_per_window)
        rows = len(sounds)
        embedding, logits, finite, embeddings = self._outputs(windows, self._names[sounds[0]])
        bad = np.flatnonzero(~np.asarray(finite)[:rows])
        if bad.size:
            raise BadInput(
                f"the {self.embedder.name} embedding of {self._names[sounds[bad[0]]]} holds NaN or infinite numbers; "
                "leave the sound out, or check how it was made."
            )
        self._sound_of_row.append(sounds)
        if MOMENTS in self._needs:
            self._fold(embedding, sounds * GROUPS // self._count)
        if EMBEDDINGS in self._needs:
            self._embeddings.append(np.asarray(embeddings)[:rows])
        if LOGITS in self._needs:
            self._logits.append(np.asarray(logits)[:rows])

    def _outputs(self, windows: np.ndarray, sound: str) -> tuple[Array, Any, Any, Any]:
        """What `_apply` returns, of an embedder of either kind; `sound` is the first window's."""
        embedder = self.embedder
        if isinstance(embedder, HostEmbedder):
            output = embedder.embed(windows, sound)
            parts = [output.embedding] if output.logits is None else [output.embedding, output.logits]
            finite = np.logical_and.reduce([np.isfinite(part).all(axis=1) for part in parts])
            padding = self._size * embedder.rows_per_window - len(output.embedding)
            # As many rows as a device embedder has, so that sums have one shape; the padding is not counted.
            embedding = np.pad(output.embedding, ((0, padding), (0, 0)))
            return self._on_devices(embedding), output.logits, finite, output.embedding
        assert isinstance(embedder, DeviceEmbedder)
        # Padded with silence, which is not counted, so that only one shape is compiled.
        windows = np.pad(windows, ((0, self._size - len(windows)), (0, 0)))
        gather = EMBEDDINGS in self._needs
        return _apply(embedder, self._sharding, gather, self._variables, self._on_devices(windows))

    def _fold(self, embedding: Array, groups: np.ndarray) -> None:
        padded = np.pad(groups, (0, embedding.shape[0] - len(groups)), constant_values=-1)
        for group in np.unique(groups).tolist():
            if group not in self._moments:
                self._moments[group] = MomentsStream(self.embedder.dimensions)
            self._moments[group].add(embedding, self._on_devices(padded == group))

    def _on_devices(self, rows: np.ndarray) -> Array:
        if self._sharding is None:
            return jnp.asarray(rows)
        return jax.make_array_from_callback(rows.shape, self._sharding, lambda index: rows[index])


@functools.lru_cache(maxsize=16)
def _replicated_variables(embedder: DeviceEmbedder, sharding: NamedSharding | None) -> Any:
    """The weights, copied to every device once."""
    return jax.device_put(embedder.variables, _replicated(sharding))


def _replicated(sharding: NamedSharding | None) -> Sharding:
    """The sharding of an array that every device holds whole."""
    if sharding is None:
        return SingleDeviceSharding(jax.local_devices()[0])
    return NamedSharding(sharding.mesh, PartitionSpec())


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _apply(
    embedder: DeviceEmbedder, sharding: NamedSharding | None, gather: bool, variables: Any, windows: Array
) -> tuple[Array, Array | None, Array, Array | None]:
    """Embeddings; then, replicated to be fetched: logits, which rows are finite, and if `gather`, the embeddings."""
    output = embedder.embed(variables, windows)
    finite = jnp.isfinite(output.embedding).all(axis=1)
    if output.logits is not None:
        finite &= jnp.isfinite(output.logits).all(axis=1)
    fetched = (output.logits, finite, output.embedding if gather else None)
    if sharding is not None:
        fetched = jax.lax.with_sharding_constraint(fetched, _replicated(sharding))
    return output.embedding, *fetched
