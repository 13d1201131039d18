"""From what a generator writes to what a feature network was trained on: one log spectrogram to another."""

import dataclasses
import functools
import math
from collections.abc import Callable
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio import short_chunk_mel, vggish_mel
from drumgan_jax.audio.front_end import FrontEnd, LogMelFrontEnd, MelFrontEnd
from drumgan_jax.audio.mel import mel_filterbank
from drumgan_jax.audio.spectrograms import LogMagnitude, LogMel, LogPower, check_example
from drumgan_jax.audio.stft import Framing, hann_window
from drumgan_jax.core import parts
from drumgan_jax.core.errors import BadInput

Array = jax.Array
Source = LogMagnitude | LogPower | LogMel


@dataclasses.dataclass(frozen=True)
class Bands:
    """What the rows of a spectrogram hear of a sound; hashable, equal where they hear the same.

    Attributes:
        sample_rate: in Hz.
        n_fft: transform length in samples.
        win_length: Hann window in samples.
        filters: gives the weights of the transform's bins in each row [rows, n_fft // 2 + 1].
    """

    sample_rate: int
    n_fft: int
    win_length: int
    filters: Callable[[], np.ndarray]

    @property
    def hz(self) -> np.ndarray:
        """Frequencies of the transform's bins [n_fft // 2 + 1]."""
        return np.arange(self.n_fft // 2 + 1) * (self.sample_rate / self.n_fft)

    @property
    def heard(self) -> tuple[float, float]:
        """The lowest and highest frequency in Hz that has a weight in any row."""
        lowest, *_, highest = self.hz[self.filters().any(axis=0)]
        return lowest, highest


@dataclasses.dataclass(frozen=True, kw_only=True)
class MelScale:
    """What a network was trained on: the logarithm of bands, (`unit` * ln(max(band, floor) + offset) - mean) / std.

    Attributes:
        bands: the rows.
        hop_length: samples from one frame to the next.
        exponent: 1 where bands are of magnitudes, 2 where they are of powers.
        unit: of the logarithm: 1 for natural ones, 1 / ln 10 for those to base 10, 10 / ln 10 for decibels.
        gain: factor of the bands.
        floor: lowest value of a band.
        offset: what is added to it.
        mean: logarithm that becomes 0.
        std: units that become 1.
    """

    bands: Bands
    hop_length: int
    exponent: int
    unit: float
    gain: float = 1.0
    floor: float = 0.0
    offset: float = 0.0
    mean: float = 0.0
    std: float = 1.0


_LOG10 = 1.0 / math.log(10.0)
_DECIBEL = 10.0 * _LOG10
# Of the noise by which rows are weighed: the mean logarithm of a single bin is then sure to 0.01.
_NOISE_FRAMES = 4096

VGGISH = MelScale(
    bands=Bands(vggish_mel.SAMPLE_RATE, vggish_mel.N_FFT, vggish_mel.WINDOW, vggish_mel.filterbank),
    hop_length=vggish_mel.HOP,
    exponent=1,
    unit=1.0,
    offset=vggish_mel.OFFSET,
)
SHORT_CHUNK = MelScale(
    bands=Bands(
        short_chunk_mel.SAMPLE_RATE,
        short_chunk_mel.FRAMING.n_fft,
        short_chunk_mel.FRAMING.window_samples,
        short_chunk_mel.filterbank,
    ),
    hop_length=short_chunk_mel.FRAMING.hop_length,
    exponent=2,
    unit=_DECIBEL,
    floor=short_chunk_mel.SMALLEST,
)


def of_front_end(front_end: FrontEnd) -> MelScale:
    """The scale of a classifier's front end."""
    framing = front_end.framing
    scale = MelScale(
        bands=Bands(front_end.sample_rate, framing.n_fft, framing.window_samples, _slaney(front_end)),
        hop_length=framing.hop_length,
        exponent=1,
        unit=_LOG10,
        mean=front_end.mean,
        std=front_end.std,
    )
    match front_end:
        case MelFrontEnd():
            floor = 10.0 ** (front_end.floor_db / 10.0)
            return dataclasses.replace(scale, exponent=2, unit=_DECIBEL, gain=front_end.gain, floor=floor)
        case LogMelFrontEnd():
            return dataclasses.replace(scale, floor=front_end.floor)
    raise BadInput(f"there is no conversion to what a {type(front_end).__name__} makes.")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """Differentiable, from examples of a representation to what a network was trained on; hashable, pure jnp.

    Frames are read along straight lines between the logarithms of their neighbours, at the network's hop, as many as
    cover the example; where both hops allow, on frames that are there. Each row of the network is then a fixed sum of
    magnitudes or powers. Where the representation's rows are the bins of the network's own transform, that is its front
    end to the rounding of float32; where they are its very bands, likewise. Elsewhere the rows are taken as points of
    an envelope, and each sum has the factor that is right, in the mean of logarithms, for white noise.

    Attributes:
        representation: a LogMagnitude, LogPower or LogMel with fitted statistics.
        target: what the network was trained on.
    """

    representation: parts.Representation
    target: MelScale

    def __post_init__(self) -> None:
        _ = self._source

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one converted example: (bands, frames, 1)."""
        return len(self.target.bands.filters()), len(self._places()), 1

    def __call__(self, x: Array) -> Array:
        """Converted examples [batch, bands, frames, 1] of examples [batch, freq, time, 1], float32.

        Raises:
            BadInput: the examples have another shape, or the representation has no fitted statistics.
        """
        source, target = self._source, self.target
        check_example(source, x)
        if source.mean is None:
            raise BadInput("the representation has no fitted mean and std; use that of a prepared data set.")
        mean, deviation = (np.float32(value).reshape(source.normalization_shape) for value in (source.mean, source.std))
        features = (x.astype(jnp.float32) * (deviation * np.float32(source.sigmas)) + mean)[..., 0]
        features = jnp.matmul(features, _interpolation(self._places(), source.num_frames), precision="highest")
        if isinstance(source, LogMel) and self._is_alike:
            logarithm = features * math.log(10.0)
        else:
            mixing = _mixing(_bands_of(source), target)
            mixed = jnp.matmul(mixing, self._linear(features), precision="highest")
            logarithm = jnp.log(jnp.maximum(mixed, target.floor) + target.offset)
        return ((target.unit * logarithm - target.mean) / target.std)[..., None]

    @property
    def _source(self) -> Source:
        if not isinstance(self.representation, Source):
            raise BadInput(
                f"a {type(self.representation).__name__} representation cannot be converted to what a feature network"
                " was trained on; take log_magnitude, log_power or log_mel."
            )
        return self.representation

    @property
    def _is_alike(self) -> bool:
        """Whether the bands of a LogMel are the network's own, and all that is left to do is to scale them."""
        target = self.target
        same = _bands_of(self._source) == target.bands and target.floor <= self._source.floor
        return same and (target.exponent, target.gain, target.offset) == (1, 1.0, 0.0)

    def _places(self) -> np.ndarray:
        """Where the network's frames lie, in frames of the representation from the first."""
        source, target = self._source, self.target
        step = Fraction(target.hop_length * source.sample_rate, target.bands.sample_rate * source.hop_length)
        count = max(1, round(source.num_frames / step))
        first = (source.num_frames - 1 - (count - 1) * step) / 2
        if step.denominator == 1:
            first = Fraction(math.floor(first))
        return np.clip(float(first) + float(step) * np.arange(count), 0.0, source.num_frames - 1.0)

    def _linear(self, features: Array) -> Array:
        """Magnitudes or powers, as the network's bands are of, from features [batch, rows, frames]."""
        source, exponent = self._source, self.target.exponent
        # Far above what a waveform can have: only so that nothing overflows, and gradients go on up to there.
        loudest = math.log(source.loudest) + math.log(1e3)
        match source:
            case LogPower():
                power = jnp.exp(jnp.minimum(features, 2.0 * loudest)) - source.floor**2
                if exponent == 2:
                    return jnp.maximum(power, 0.0)
                # The slope of a root is infinite at zero; a tenth of the floor is below what the features tell.
                return jnp.sqrt(jnp.maximum(power, (0.1 * source.floor) ** 2))
            case LogMagnitude():
                magnitude = jnp.maximum(jnp.exp(jnp.minimum(features, loudest)) - source.floor, 0.0)
            case LogMel():
                bands = jnp.exp(jnp.minimum(features * math.log(10.0), loudest))
                # What is at the floor stands for all that is softer: it counts as nothing, without a step above it.
                magnitude = bands * (1.0 - (source.floor / jnp.maximum(bands, source.floor)) ** 4)
        return magnitude**exponent


def _bands_of(source: Source) -> Bands:
    framing = source.framing
    filters: Callable[[], np.ndarray] = _Bins(source.n_fft)
    if isinstance(source, LogMel):
        filters = _slaney(source)
    return Bands(source.sample_rate, framing.n_fft, framing.window_samples, filters)


@dataclasses.dataclass(frozen=True)
class _Slaney:
    """The filters of audio.mel, by their settings."""

    sample_rate: int
    n_fft: int
    num_mels: int
    fmin: float
    fmax: float

    def __call__(self) -> np.ndarray:
        return mel_filterbank(self.sample_rate, self.n_fft, self.num_mels, self.fmin, self.fmax)


def _slaney(part: FrontEnd | LogMel) -> _Slaney:
    fmax = part.sample_rate / 2 if part.fmax is None else part.fmax
    return _Slaney(part.sample_rate, part.n_fft, part.num_mels, part.fmin, fmax)


@dataclasses.dataclass(frozen=True)
class _Bins:
    """Every bin of a transform as a row, but for the highest, as the representations have them."""

    n_fft: int

    def __call__(self) -> np.ndarray:
        return np.eye(self.n_fft // 2, self.n_fft // 2 + 1, dtype=np.float32)


def _interpolation(places: np.ndarray, num_frames: int) -> np.ndarray:
    """Weights [num_frames, places] that read a row of frames at places between them."""
    below = np.floor(places).astype(int)
    above = np.minimum(below + 1, num_frames - 1)
    weights = np.zeros((num_frames, len(places)))
    columns = np.arange(len(places))
    np.add.at(weights, (below, columns), 1.0 - (places - below))
    np.add.at(weights, (above, columns), places - below)
    return weights.astype(np.float32)


@functools.lru_cache(maxsize=16)
def _mixing(source: Bands, target: MelScale) -> np.ndarray:
    """Non-negative weights [target's rows, source's rows] of magnitudes or powers, float32."""
    wanted = target.bands.filters().astype(np.float64) * target.gain
    mixing = wanted @ _envelope(source, target.bands, target.exponent)
    played = _white_noise(source) @ source.filters().T
    meant = _white_noise(target.bands)
    meant[:, (target.bands.hz < source.heard[0]) | (target.bands.hz > source.heard[1])] = 0.0
    got, meant = played**target.exponent @ mixing.T, meant**target.exponent @ wanted.T
    rows = np.flatnonzero((got.min(axis=0) > 0.0) & (meant.min(axis=0) > 0.0))
    mixing[rows] *= np.exp(np.mean(np.log(meant[:, rows] / got[:, rows]), axis=0))[:, None]
    mixing = mixing.astype(np.float32)
    mixing.setflags(write=False)
    return mixing


def _envelope(source: Bands, target: Bands, exponent: int) -> np.ndarray:
    """Weights [target's bins, source's rows] that read rows to a power at the bins of another transform.

    Rows are per bin of their own, points at their centres with straight lines between; nothing is outside of what they
    hear. A bin wider than the source's is the mean over the difference.
    """
    filters = source.filters().astype(np.float64)
    totals = filters.sum(axis=1)
    centres = filters @ source.hz / totals
    lowest, highest = source.heard
    wider = max(0.0, target.hz[1] - source.hz[1])
    weights = np.zeros((len(target.hz), len(centres)))
    for offset in np.linspace(-0.5, 0.5, 9) * wider:
        at = target.hz + offset
        places = np.interp(at, centres, np.arange(len(centres)))
        inside = (at >= lowest) & (at <= highest)
        weights += np.where(inside[:, None], _interpolation(places, len(centres)).T, 0.0) / 9
    return weights / totals**exponent


def _white_noise(bands: Bands) -> np.ndarray:
    """Magnitudes [frames, bins] of frames of noise, of the same strength in a band of 1 Hz at any sample rate."""
    noise = np.random.default_rng(0).standard_normal((_NOISE_FRAMES, bands.win_length))
    window = hann_window(Framing(bands.win_length, bands.win_length))
    return np.abs(np.fft.rfft(noise * window * math.sqrt(bands.sample_rate), bands.n_fft))
