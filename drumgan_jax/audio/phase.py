"""Phase reconstruction by Griffin-Lim, with or without momentum, from random phases or those of noise."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.audio.stft import Framing, inverse_window_sum, overlap_frames, stft

Array = jax.Array

# On CPU, sounds are reconstructed in groups of about this many bins, so that an iteration stays in the cache
# (2 MB of complex numbers; benchmarks/bench_griffin_lim.py). Accelerators process the whole batch at once.
_BINS_AT_ONCE = 2**18


def random_phasors(key: Array, shape: tuple[int, ...]) -> Array:
    """Complex64 numbers of magnitude 1 and uniformly random phase, of the given shape."""
    # Polynomials on an eighth of the circle, with the angle then doubled three times, because XLA's sine and cosine
    # take as long on CPU as two Griffin-Lim iterations.
    angle = jax.random.uniform(key, shape, jnp.float32, -jnp.pi / 8.0, jnp.pi / 8.0)
    square = jnp.square(angle)
    sine = angle * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)))
    cosine = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0))
    for _ in range(3):
        cosine, sine = jnp.square(cosine) - jnp.square(sine), 2.0 * cosine * sine
    return jax.lax.complex(cosine, sine)


def noise_phasors(key: Array, framing: Framing, length: int) -> Array:
    """Phases of the spectra of white noise of so many samples, as complex numbers of magnitude 1 [frames, bins].

    Neighbouring frames agree on them as on those of a sound, so what is searched from them smears an attack less
    (docs/quality.md).
    """
    spectra = stft(jax.random.normal(key, (1, length)), framing)[0]
    return _with_magnitude(spectra, jnp.ones(spectra.shape))


def onset_phasors(key: Array, framing: Framing, length: int, onset: int) -> Array:
    """`noise_phasors`, with the first frame's those of an impulse at a sample `onset` [frames, bins].

    A frame is centred on sample 0, so the first has the onset in it. Cymbals begin sharply then, and the search keeps
    the noise of later frames.
    """
    bins = jnp.arange(framing.num_bins, dtype=jnp.float32)
    angle = bins * (-2.0 * math.pi * (framing.pad[0] + onset) / framing.n_fft)
    impulse = jax.lax.complex(jnp.cos(angle), jnp.sin(angle))
    return noise_phasors(key, framing, length).at[0].set(impulse)


@functools.partial(jax.jit, static_argnames=("framing", "length", "iterations", "momentum", "silence"))
def refine_phases(
    magnitude: Array,
    phasors: Array,
    *,
    framing: Framing,
    length: int,
    iterations: int,
    momentum: float = 0.99,
    silence: int = 0,
) -> Array:
    """Waveforms [batch, length] whose spectra approximate the given magnitudes, with the steps of librosa.griffinlim.

    Args:
        magnitude: magnitude spectra [batch, frames, bins], float32.
        phasors: initial phases of every sound, as complex numbers of magnitude 1 [frames, bins].
        framing: framing of the spectra.
        length: waveform length in samples.
        iterations: number of projections; 0 keeps the initial phases.
        momentum: 0 for the plain algorithm (Griffin and Lim 1984), 0.99 for the fast one (Perraudin, Balazs and
            Soendergaard 2013).
        silence: samples at the start that are known to be silent, and stay so in each iteration.
    """
    gain = inverse_window_sum(framing, magnitude.shape[1], length) * (np.arange(length) >= silence).astype(np.float32)
    # The barrier makes XLA compute the phasors once, not inside every sound's products.
    cosine, sine = jax.lax.optimization_barrier((jnp.real(phasors), jnp.imag(phasors)))
    # c_n - weight * c_(n-1) has the same phases as c_n + momentum * (c_n - c_(n-1)).
    weight = momentum / (1.0 + momentum)

    def reconstruct(magnitude: Array) -> Array:
        def step(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
            estimate, previous = carry
            rebuilt = stft(overlap_frames(estimate, framing, length) * gain, framing)
            return _with_magnitude(rebuilt - jnp.complex64(weight) * previous, magnitude), rebuilt

        start = jax.lax.complex(magnitude * cosine, magnitude * sine)
        estimate, _ = jax.lax.fori_loop(0, iterations, step, (start, jnp.zeros_like(start)))
        return overlap_frames(estimate, framing, length) * gain

    def reconstruct_in_groups(magnitude: Array) -> Array:
        batch, frames, bins = magnitude.shape
        limit = max(1, _BINS_AT_ONCE // (frames * bins))
        size = max(n for n in range(1, batch + 1) if batch % n == 0 and n <= limit)
        groups = magnitude.reshape(batch // size, size, frames, bins)
        return jax.lax.map(reconstruct, groups).reshape(batch, length)

    return jax.lax.platform_dependent(magnitude, cpu=reconstruct_in_groups, default=reconstruct)


def _with_magnitude(spectrum: Array, magnitude: Array) -> Array:
    """The spectrum with its magnitudes replaced; zeros stay zero."""
    real, imaginary = jnp.real(spectrum), jnp.imag(spectrum)
    power = jnp.square(real) + jnp.square(imaginary)
    scale = magnitude * jax.lax.rsqrt(jnp.maximum(power, jnp.finfo(jnp.float32).tiny))
    return jax.lax.complex(real * scale, imaginary * scale)


@functools.partial(jax.jit, static_argnames="framing")
def spectral_convergence(magnitude: Array, waveform: Array, *, framing: Framing) -> Array:
    """Spectral convergence [batch]: distance of waveforms' magnitudes from the target over the target's norm.

    Sturmel and Daudet 2011 (as a ratio, not in dB), with Frobenius norms. 0 is perfect; a silent waveform has 1.

    Args:
        magnitude: target magnitudes [batch, frames, bins].
        waveform: waveforms [batch, samples].
        framing: framing of the magnitudes.
    """
    difference = jnp.abs(stft(waveform, framing)) - magnitude
    size = jnp.linalg.norm(magnitude, axis=(-2, -1))
    return jnp.linalg.norm(difference, axis=(-2, -1)) / jnp.maximum(size, jnp.finfo(jnp.float32).tiny)
