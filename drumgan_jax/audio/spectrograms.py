"""The four spectral representations: complex, log magnitude, log power, log mel."""

import abc
import dataclasses
import math
from typing import Any, ClassVar, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.mel import mel_bands, mel_filterbank, mel_to_magnitude
from drumgan_jax.audio.stft import Framing, hann_window, istft, stft
from drumgan_jax.core import parts
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.settings import MOST_FEATURES, MOST_RATE, MOST_SAMPLES, check_fields, numbers_of, real, whole

Array = jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Spectral(abc.ABC):
    """Base of the spectral representations.

    Attributes:
        sample_rate: in Hz.
        n_fft: FFT length in samples, even.
        hop_length: hop length in samples.
        num_frames: number of frames in an example.
        win_length: length of the Hann window in samples; None for n_fft.
        circular: whether sounds are loops, whose frames see around the end: num_frames * hop_length samples, that are
            repeated without a seam.
        mean: fitted mean of the coefficients, a number or nested tuples of normalization_shape; None until fitted.
        std: fitted standard deviation, in the same form.
    """

    sample_rate: int = whole(1, most=MOST_RATE)
    n_fft: int = whole(1, most=MOST_SAMPLES)
    hop_length: int = whole(1, most=MOST_SAMPLES)
    num_frames: int = whole(1, most=MOST_SAMPLES)
    win_length: int | None = whole(1, None, most=MOST_SAMPLES)
    circular: bool = False
    mean: Any = None
    std: Any = None

    keeps_phase: ClassVar[bool]
    # Padding of frames that are not circular.
    _around: ClassVar[Literal["zero", "reflect"]] = "zero"
    # The config section named in messages.
    section: ClassVar[str] = "representation"

    def __post_init__(self) -> None:
        check_fields(self, self.section)
        if self.n_fft % 2:
            raise BadInput(f"config.{self.section}.n_fft is {self.n_fft}; it must be even.")
        if self.framing.num_frames(self.num_samples) != self.num_frames or self.num_samples <= max(self.framing.pad):
            raise BadInput(
                f"config.{self.section}.num_frames {self.num_frames} is too few for n_fft {self.n_fft} and hop_length"
                f" {self.hop_length}; take more than {1 + max(self.framing.pad) // self.hop_length}."
            )
        if (self.mean is None) != (self.std is None):
            raise BadInput("representation.mean and representation.std go together; give both or neither.")
        if self.mean is not None:
            for name in ("mean", "std"):
                object.__setattr__(self, name, _statistic(name, getattr(self, name), self.normalization_shape))
            if np.min(self.std) <= 0.0:
                raise BadInput(
                    "representation.std is not above zero everywhere (recordings that are silent or all the same);"
                    " prepare the data set from recordings with sound."
                )

    @property
    def framing(self) -> Framing:
        """Frames beyond whose ends the waveform is `_around`, or its other end if it is circular."""
        padding = "circular" if self.circular else self._around
        return Framing(self.n_fft, self.hop_length, self.win_length, padding=padding)

    @property
    def num_samples(self) -> int:
        """Number of samples that give so many frames: from the first one's centre to the last one's, or whole hops."""
        return (self.num_frames - int(self.framing.padding == "zero")) * self.hop_length

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_fft / 2, num_frames, 1): the Nyquist bin is left out."""
        return self.n_fft // 2, self.num_frames, 1

    @property
    def normalization_shape(self) -> tuple[int, int, int]:
        """(1, 1, 1): one mean and one standard deviation for the whole data set."""
        return 1, 1, 1

    def with_normalization(self, mean: Any, std: Any) -> Self:
        """The same representation with fitted statistics, array-likes that broadcast to normalization_shape.

        Raises:
            BadInput: a value is not finite, a standard deviation is not above zero, or a shape does not broadcast.
        """
        return dataclasses.replace(self, mean=mean, std=std)

    @abc.abstractmethod
    def transform(self, waveform: Array) -> Array:
        """Unnormalised features [batch, freq, time, channels] of waveforms [batch, samples]."""

    @abc.abstractmethod
    def normalize(self, coefficients: Array) -> Array:
        """Normalise features for the networks, keeping their shape; BadInput if no statistics are fitted."""

    def encode(self, waveform: Array) -> Array:
        """Normalised features [batch, freq, time, channels] of waveforms [batch, samples]."""
        return self.normalize(self.transform(waveform))

    @property
    def loudest(self) -> float:
        """The largest possible magnitude for a waveform in [-1, 1]: the sum of the window."""
        return float(hann_window(self.framing).sum())

    def _statistics(self) -> tuple[Array, Array]:
        if self.mean is None:
            raise BadInput(
                "the representation has no fitted mean and std; prepare a data set and use its representation."
            )
        mean, std = (
            jnp.asarray(value, jnp.float32).reshape(self.normalization_shape) for value in (self.mean, self.std)
        )
        return mean, std

    def _spectrum(self, waveform: Array) -> Array:
        """Complex spectra [batch, time, n_fft / 2 + 1]."""
        check_waveform(self, waveform)
        return stft(waveform, self.framing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Complex(_Spectral):
    """Real and imaginary parts of the spectrum as two channels, divided by the data set's std (drumgan_vst).

    The mean is stored with the std but not subtracted, so silence stays zero.

    Attributes:
        compression: exponent for the magnitudes, above 0 and at most 1; 1 leaves them unchanged.
        centred: whether phases refer to each window's centre rather than its start. Relative to the start, a sound at
            the centre changes sign from bin to bin, and the averages of neighbouring bins that growing networks see
            nearly cancel.
    """

    compression: float = real(0.0, 1.0, 1.0, above=True)
    centred: bool = False

    keeps_phase: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """(n_fft / 2, num_frames, 2)."""
        return self.n_fft // 2, self.num_frames, 2

    def transform(self, waveform: Array) -> Array:
        """Real and imaginary parts [batch, n_fft / 2, time, 2] of waveforms [batch, samples]."""
        spectrum = self._spectrum(waveform)[:, :, :-1]
        return jnp.swapaxes(jnp.stack([jnp.real(spectrum), jnp.imag(spectrum)], axis=-1), 1, 2)

    def normalize(self, coefficients: Array) -> Array:
        """Features divided by std, compressed and phase-shifted; BadInput if no statistics are fitted."""
        return _to_power(coefficients / self._statistics()[1], self.compression) * self._signs()

    def invert(self, x: Array) -> Array:
        """Waveforms [batch, samples] of network output [batch, n_fft / 2, time, 2]."""
        check_example(self, x)
        spectrum = _to_power(x * self._signs(), 1.0 / self.compression) * self._statistics()[1]
        parts_of_bins = _put_back_nyquist(jnp.swapaxes(spectrum, 1, 2))
        return istft(jax.lax.complex(parts_of_bins[..., 0], parts_of_bins[..., 1]), self.framing, self.num_samples)

    def consistent(self, x: Array) -> Array:
        """Examples as the spectra of their waveforms are: neighbouring bins and frames fit each other.

        Windows overlap, so most arrays are no waveform's spectra (Griffin and Lim 1984), and a network sees that before
        it hears anything. Magnitudes below a hundredth of the data set's std are hardly compressed, because there the
        gradient would be too large.
        """
        coefficients = self.transform(self.invert(x)) / self._statistics()[1]
        power = jnp.sum(jnp.square(coefficients), axis=-1, keepdims=True)
        return coefficients * (power + _SOFT**2) ** ((self.compression - 1.0) / 2.0) * self._signs()

    def _signs(self) -> Array:
        """Sign of each bin [n_fft / 2, 1, 1] under a delay of half a window, if `centred`; else ones."""
        odd = jnp.arange(self.n_fft // 2)[:, None, None] % 2
        return jnp.where((odd == 1) & self.centred, -1.0, 1.0)


# Of `consistent`, in standard deviations.
_SOFT = 1e-2


def _to_power(x: Array, exponent: float) -> Array:
    """Raise the magnitudes of complex numbers, given as pairs in the last axis, to a power; phases are kept."""
    if exponent == 1.0:
        return x
    power = jnp.sum(jnp.square(x), axis=-1, keepdims=True)
    # At zero, the factor diverges for exponents below 1, but the product does not.
    return x * jnp.maximum(power, jnp.finfo(jnp.float32).tiny) ** ((exponent - 1.0) / 2.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Logarithmic(_Spectral):
    """Base of the representations by log magnitudes, without phase.

    Attributes:
        floor: magnitude at which the logarithm flattens out, in units of the spectrum (a full-scale sine has half the
            sum of the window; 16-bit noise is near 2e-4 under a window of 2048).
    """

    floor: float = real(0.0, math.inf, 1e-3, above=True)

    keeps_phase: ClassVar[bool] = False
    # Standard deviations that are scaled to 1, so that nearly all of the data is in [-1, 1].
    sigmas: ClassVar[float] = 3.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.floor < self.loudest:
            raise BadInput(
                f"config.{self.section}.floor is {self.floor}; it must be above 0 and below the loudest magnitude,"
                f" {self.loudest:g}."
            )

    def normalize(self, coefficients: Array) -> Array:
        """Subtract the mean and divide by `sigmas` standard deviations; BadInput if no statistics are fitted."""
        mean, std = self._statistics()
        return (coefficients - mean) / (self.sigmas * std)

    def denormalize(self, x: Array) -> Array:
        """Features from normalised ones: the inverse of `normalize`, except for clipped values."""
        mean, std = self._statistics()
        return self.sigmas * std * x + mean

    def magnitude(self, x: Array) -> Array:
        """Magnitudes [batch, time, n_fft / 2 + 1] of network output [batch, freq, time, 1].

        They are limited to the range possible for a waveform in [-1, 1]; bins outside the representation are zero.
        """
        check_example(self, x)
        return self._magnitude(jnp.swapaxes(self.denormalize(x)[..., 0], 1, 2))

    @abc.abstractmethod
    def _magnitude(self, coefficients: Array) -> Array:
        """Magnitudes [batch, time, n_fft / 2 + 1] of coefficients [batch, time, freq]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMagnitude(_Logarithmic):
    """log(magnitude + floor), minus the mean, divided by 3 standard deviations, not clipped (splice_loops)."""

    def transform(self, waveform: Array) -> Array:
        """Log magnitudes [batch, n_fft / 2, time, 1] of waveforms [batch, samples]."""
        magnitude = jnp.abs(self._spectrum(waveform)[:, :, :-1])
        return jnp.swapaxes(jnp.log(magnitude + self.floor), 1, 2)[..., None]

    def _magnitude(self, coefficients: Array) -> Array:
        loudest = math.log(self.loudest + self.floor)
        return _put_back_nyquist(jnp.maximum(jnp.exp(jnp.minimum(coefficients, loudest)) - self.floor, 0.0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogPower(_Logarithmic):
    """log(power + floor squared), minus the mean, clipped at 3 standard deviations, in [-1, 1] (electrogan).

    A higher floor gives a smaller standard deviation, so more loud bins are clipped: on six clips of produced music,
    clipping costs a spectral convergence of 0.05 with a floor of 1e-5 and 0.36 with 1e-3. Sounds that are mostly
    silence lose their loudest bins with any floor; use LogMagnitude for them.
    """

    floor: float = real(0.0, math.inf, 1e-5, above=True)

    def transform(self, waveform: Array) -> Array:
        """Log powers [batch, n_fft / 2, time, 1] of waveforms [batch, samples]."""
        spectrum = self._spectrum(waveform)[:, :, :-1]
        power = jnp.square(jnp.real(spectrum)) + jnp.square(jnp.imag(spectrum))
        return jnp.swapaxes(jnp.log(power + self.floor**2), 1, 2)[..., None]

    def normalize(self, coefficients: Array) -> Array:
        """Normalise as the base class does, and clip to [-1, 1]."""
        return jnp.clip(super().normalize(coefficients), -1.0, 1.0)

    def magnitude(self, x: Array) -> Array:
        """Magnitudes as in the base class, from x clipped to [-1, 1], the range of all examples."""
        return super().magnitude(jnp.clip(x, -1.0, 1.0))

    def _magnitude(self, coefficients: Array) -> Array:
        loudest = math.log(self.loudest**2 + self.floor**2)
        power = jnp.exp(jnp.minimum(coefficients, loudest)) - self.floor**2
        return _put_back_nyquist(jnp.sqrt(jnp.maximum(power, 0.0)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LogMel(_Logarithmic):
    """log10 of mel bands of the magnitude, each minus its mean, divided by its standard deviation (pjloopgan).

    Frames are not centred: the waveform is mirrored at its ends, so that it has samples / hop_length frames.

    Attributes:
        num_mels: number of bands, on Slaney's scale with equal areas.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz; None for half the sample rate.
        floor: band magnitudes are clipped from below at this value.
    """

    num_mels: int = whole(1, 64, most=MOST_FEATURES)
    fmin: float = real(0.0, MOST_RATE, 0.0)
    fmax: float | None = real(0.0, MOST_RATE, None, above=True)
    floor: float = real(0.0, math.inf, 1e-5, above=True)

    sigmas: ClassVar[float] = 1.0
    _around: ClassVar[Literal["zero", "reflect"]] = "reflect"

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._filters()

    @property
    def shape(self) -> tuple[int, int, int]:
        """(num_mels, num_frames, 1)."""
        return self.num_mels, self.num_frames, 1

    @property
    def normalization_shape(self) -> tuple[int, int, int]:
        """(num_mels, 1, 1): one mean and one standard deviation per band."""
        return self.num_mels, 1, 1

    def transform(self, waveform: Array) -> Array:
        """log10 of mel bands [batch, num_mels, time, 1] of waveforms [batch, samples]."""
        bands = mel_bands(jnp.abs(self._spectrum(waveform)), self._filters())
        return jnp.swapaxes(jnp.log10(jnp.maximum(bands, self.floor)), 1, 2)[..., None]

    @property
    def loudest_bands(self) -> np.ndarray:
        """The largest possible coefficients [num_mels] for a waveform in [-1, 1]."""
        return np.log10(self.loudest * self._filters().sum(axis=1))

    def _filters(self) -> np.ndarray:
        fmax = self.sample_rate / 2 if self.fmax is None else self.fmax
        return mel_filterbank(self.sample_rate, self.n_fft, self.num_mels, self.fmin, fmax)

    def _magnitude(self, coefficients: Array) -> Array:
        # A band at the floor counts as empty, since it stands for all softer values.
        bands = jnp.where(
            coefficients > math.log10(self.floor), 10.0 ** jnp.minimum(coefficients, self.loudest_bands), 0.0
        )
        return jnp.minimum(mel_to_magnitude(bands, self._filters()), self.loudest)


def _statistic(name: str, value: Any, shape: tuple[int, int, int]) -> float | tuple:
    """The statistic as a number, or as nested tuples if it has several values; rounded to float32."""
    try:
        with np.errstate(over="ignore"):
            array = np.broadcast_to(numbers_of(value).astype(np.float32), shape)
    except (OverflowError, TypeError, ValueError):
        raise BadInput(
            f"representation.{name} does not fit the shape {shape}; fit it with `drumgan prepare`."
        ) from None
    if not np.isfinite(array).all():
        raise BadInput(f"representation.{name} is not finite; look for NaN or infinite samples in the recordings.")
    if array.size == 1:
        return float(array.item())
    return tuple(tuple(tuple(row) for row in plane) for plane in array.tolist())


def _put_back_nyquist(bins: Array) -> Array:
    """Append the Nyquist bin, as zero, to bins [batch, time, n_fft / 2, ...]."""
    return jnp.pad(bins, [(0, int(axis == 2)) for axis in range(bins.ndim)])


def check_waveform(representation: parts.Representation, waveform: Array) -> None:
    """Raise BadInput unless an array is waveforms [batch, samples] of the representation's length."""
    if waveform.ndim != 2 or waveform.shape[1] != representation.num_samples:
        raise BadInput(
            f"waveforms are {waveform.shape}; the representation takes [batch, {representation.num_samples}]."
        )


def check_example(representation: parts.Representation, x: Array) -> None:
    """Raise BadInput unless an array is examples [batch, freq, time, channels] of the representation's shape."""
    if x.ndim != 4 or x.shape[1:] != representation.shape:
        raise BadInput(f"examples are {x.shape}; the representation takes [batch, *{representation.shape}].")
