"""Conversion of a generator's log spectrograms to the input of a feature network."""

import dataclasses
import functools
import math
from collections.abc import Callable
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio import musicnn_mel, short_chunk_mel, vggish_mel
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
    """The frequency bands in a spectrogram's rows; hashable, and equal if the bands are the same.

    Attributes:
        sample_rate: in Hz.
        n_fft: FFT length in samples.
        win_length: Hann window length in samples.
        filters: returns each row's weights of the FFT bins [rows, n_fft // 2 + 1].
    """

    sample_rate: int
    n_fft: int
    win_length: int
    filters: Callable[[], np.ndarray]

    @property
    def hz(self) -> np.ndarray:
        """Frequencies of the FFT bins in Hz [n_fft // 2 + 1]."""
        return np.arange(self.n_fft // 2 + 1) * (self.sample_rate / self.n_fft)

    @property
    def frequency_range(self) -> tuple[float, float]:
        """The lowest and highest frequency in Hz with a nonzero weight in any row."""
        lowest, *_, highest = self.hz[self.filters().any(axis=0)]
        return lowest, highest


@dataclasses.dataclass(frozen=True, kw_only=True)
class MelScale:
    """The input scale of a network, logarithms of bands: (`unit` * ln(max(band, floor) + offset) - mean) / std.

    Attributes:
        bands: the frequency bands.
        hop_length: samples between successive frames.
        exponent: 1 for bands of magnitudes, 2 for bands of powers.
        unit: unit of the logarithm: 1 for natural logarithms, 1 / ln 10 for base 10, 10 / ln 10 for decibels.
        gain: factor on the bands.
        floor: lower bound of a band.
        offset: constant added to the bounded band.
        mean: logarithm that is normalised to 0.
        std: difference of logarithms that is normalised to 1.
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
# Frames of the noise that calibrates rows: enough to estimate the mean logarithm of a single bin to 0.01.
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
MUSICNN = MelScale(
    bands=Bands(
        musicnn_mel.SAMPLE_RATE,
        musicnn_mel.FRAMING.n_fft,
        musicnn_mel.FRAMING.window_samples,
        musicnn_mel.filterbank,
    ),
    hop_length=musicnn_mel.FRAMING.hop_length,
    exponent=2,
    unit=_LOG10,
    gain=musicnn_mel.GAIN,
    offset=1.0,
)


def of_front_end(front_end: FrontEnd) -> MelScale:
    """The scale of a classifier's front end.

    Raises:
        BadInput: the front end is of an unsupported type.
    """
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
    raise BadInput(f"there is no conversion to the output of a {type(front_end).__name__}; use another front end.")


@dataclasses.dataclass(frozen=True)
class Conversion:
    """Differentiable conversion of a representation's examples to a network's input; hashable, pure jnp.

    Logarithms are interpolated linearly in time at the network's hop length, with as many frames as cover the example,
    and at existing frames if the hop lengths allow it. Each of the network's rows is then a fixed sum of magnitudes or
    powers. If the representation's rows are the network's FFT bins, or its bands, this equals the network's front end
    up to float32 rounding. Otherwise rows are points of a spectral envelope, and each sum is scaled to be right for
    white noise in the mean of the logarithm.

    Attributes:
        representation: a LogMagnitude, LogPower or LogMel with fitted statistics.
        target: the network's input scale.
    """

    representation: parts.Representation
    target: MelScale

    def __post_init__(self) -> None:
        _ = self._source

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one converted example: (bands, frames, 1)."""
        return len(self.target.bands.filters()), len(self._positions()), 1

    def __call__(self, x: Array) -> Array:
        """Converted examples [batch, bands, frames, 1] of examples [batch, freq, time, 1], float32.

        Raises:
            BadInput: the examples have another shape, or the representation has no fitted statistics.
        """
        source, target = self._source, self.target
        check_example(source, x)
        if source.mean is None:
            raise BadInput("the representation has no fitted mean and std; use one from a prepared data set.")
        mean, deviation = (np.float32(value).reshape(source.normalization_shape) for value in (source.mean, source.std))
        features = (x.astype(jnp.float32) * (deviation * np.float32(source.sigmas)) + mean)[..., 0]
        between = _interpolation(self._positions(), source.num_frames, source.circular)
        features = jnp.matmul(features, between, precision="highest")
        if isinstance(source, LogMel) and self._has_same_bands:
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
                f"a {type(self.representation).__name__} representation cannot be converted to the input of a feature"
                " network; choose log_magnitude, log_power or log_mel."
            )
        return self.representation

    @property
    def _has_same_bands(self) -> bool:
        """Whether a LogMel has the network's bands, so that only the scale differs."""
        target = self.target
        same = _bands_of(self._source) == target.bands and target.floor <= self._source.floor
        return same and (target.exponent, target.gain, target.offset) == (1, 1.0, 0.0)

    def _positions(self) -> np.ndarray:
        """Positions of the network's frames [frames], in frames of the representation."""
        source, target = self._source, self.target
        step = Fraction(target.hop_length * source.sample_rate, target.bands.sample_rate * source.hop_length)
        count = max(1, round(source.num_frames / step))
        first = (source.num_frames - 1 - (count - 1) * step) / 2
        if step.denominator == 1:
            first = Fraction(math.floor(first))
        positions = float(first) + float(step) * np.arange(count)
        if source.circular:
            return positions % source.num_frames
        return np.clip(positions, 0.0, source.num_frames - 1.0)

    def _linear(self, features: Array) -> Array:
        """Magnitudes or powers, by the target's exponent, from features [batch, rows, frames]."""
        source, exponent = self._source, self.target.exponent
        # Prevents overflow; far above any waveform's level, so that gradients are not cut off.
        loudest = math.log(source.loudest) + math.log(1e3)
        match source:
            case LogPower():
                power = jnp.exp(jnp.minimum(features, 2.0 * loudest)) - source.floor**2
                if exponent == 2:
                    return jnp.maximum(power, 0.0)
                # A root's slope is infinite at zero; a tenth of the floor is below the resolution of the features.
                return jnp.sqrt(jnp.maximum(power, (0.1 * source.floor) ** 2))
            case LogMagnitude():
                magnitude = jnp.maximum(jnp.exp(jnp.minimum(features, loudest)) - source.floor, 0.0)
            case LogMel():
                bands = jnp.exp(jnp.minimum(features * math.log(10.0), loudest))
                # The floor stands for all lower levels, so it maps to 0, with no discontinuity above it.
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
    """The filters of audio.mel, hashable by their settings."""

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
    """Filters with one FFT bin per row, without the highest bin, as in the representations."""

    n_fft: int

    def __call__(self) -> np.ndarray:
        return np.eye(self.n_fft // 2, self.n_fft // 2 + 1, dtype=np.float32)


def _interpolation(positions: np.ndarray, num_frames: int, circular: bool = False) -> np.ndarray:
    """Weights [num_frames, positions] that interpolate frames linearly at fractional positions."""
    below = np.floor(positions).astype(int)
    above = (below + 1) % num_frames if circular else np.minimum(below + 1, num_frames - 1)
    weights = np.zeros((num_frames, len(positions)))
    columns = np.arange(len(positions))
    np.add.at(weights, (below, columns), 1.0 - (positions - below))
    np.add.at(weights, (above, columns), positions - below)
    return weights.astype(np.float32)


@functools.lru_cache(maxsize=16)
def _mixing(source: Bands, target: MelScale) -> np.ndarray:
    """Non-negative weights [target rows, source rows] of magnitudes or powers, float32."""
    filters = target.bands.filters().astype(np.float64) * target.gain
    mixing = filters @ _envelope(source, target.bands, target.exponent)
    source_noise = _white_noise(source) @ source.filters().T
    target_noise = _white_noise(target.bands)
    lowest, highest = source.frequency_range
    target_noise[:, (target.bands.hz < lowest) | (target.bands.hz > highest)] = 0.0
    actual, expected = source_noise**target.exponent @ mixing.T, target_noise**target.exponent @ filters.T
    rows = np.flatnonzero((actual.min(axis=0) > 0.0) & (expected.min(axis=0) > 0.0))
    mixing[rows] *= np.exp(np.mean(np.log(expected[:, rows] / actual[:, rows]), axis=0))[:, None]
    mixing = mixing.astype(np.float32)
    mixing.setflags(write=False)
    return mixing


def _envelope(source: Bands, target: Bands, exponent: int) -> np.ndarray:
    """Weights [target bins, source rows] that interpolate rows, raised to `exponent`, at another FFT's bins.

    Each row, divided by its total weight, is a point at its centre frequency, with straight lines between points and
    zero outside the source's frequency range. If the target's bins are wider, values are averaged over the difference
    in width.
    """
    filters = source.filters().astype(np.float64)
    totals = filters.sum(axis=1)
    centres = filters @ source.hz / totals
    lowest, highest = source.frequency_range
    extra_width = max(0.0, target.hz[1] - source.hz[1])
    weights = np.zeros((len(target.hz), len(centres)))
    for offset in np.linspace(-0.5, 0.5, 9) * extra_width:
        hz = target.hz + offset
        positions = np.interp(hz, centres, np.arange(len(centres)))
        inside = (hz >= lowest) & (hz <= highest)
        weights += np.where(inside[:, None], _interpolation(positions, len(centres)).T, 0.0) / 9
    return weights / totals**exponent


def _white_noise(bands: Bands) -> np.ndarray:
    """Magnitudes [frames, bins] of frames of white noise, with the same power per Hz at any sample rate."""
    noise = np.random.default_rng(0).standard_normal((_NOISE_FRAMES, bands.win_length))
    window = hann_window(Framing(bands.win_length, bands.win_length))
    return np.abs(np.fft.rfft(noise * window * math.sqrt(bands.sample_rate), bands.n_fft))
