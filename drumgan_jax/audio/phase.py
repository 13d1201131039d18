"""Phase reconstruction: Griffin-Lim, plain and with momentum."""

import functools

import jax
import jax.numpy as jnp

from drumgan_jax.audio.stft import Framing, inverse_window_sum, overlap_frames, stft

Array = jax.Array

# On CPU, sounds are reconstructed in groups of about this many bins, so that an iteration stays in the cache
# (2 MB of complex numbers; benchmarks/bench_griffin_lim.py). Accelerators take the whole batch at once.
_BINS_AT_ONCE = 2**18


@functools.partial(jax.jit, static_argnames=("framing", "length", "iterations", "momentum"))
def griffin_lim(
    magnitude: Array, key: Array, *, framing: Framing, length: int, iterations: int, momentum: float = 0.99
) -> Array:
    """Waveforms [batch, length] whose spectra have nearly the given magnitudes [batch, frames, bins].

    All sounds start from the same random phases, so that a sound does not depend on the batch it is in.

    Args:
        magnitude: magnitude spectra [batch, frames, bins], float32.
        key: PRNG key of the initial phases.
        framing: how the spectra were made.
        length: samples of the waveforms.
        iterations: number of projections; 0 leaves the random phases.
        momentum: 0 for the plain algorithm (Griffin and Lim 1984), 0.99 for the fast one (Perraudin, Balazs and
            Soendergaard 2013).
    """
    return refine_phases(
        magnitude,
        random_phasors(key, magnitude.shape[1:]),
        framing=framing,
        length=length,
        iterations=iterations,
        momentum=momentum,
    )


def random_phasors(key: Array, shape: tuple[int, ...]) -> Array:
    """Complex numbers of magnitude 1 and uniformly random phase, complex64 of the shape."""
    # Polynomials on an eighth of the circle, the angle then doubled three times. XLA's sine and cosine on CPU take as
    # long as two iterations of Griffin-Lim.
    angle = jax.random.uniform(key, shape, jnp.float32, -jnp.pi / 8.0, jnp.pi / 8.0)
    square = jnp.square(angle)
    sine = angle * (1.0 - square / 6.0 * (1.0 - square / 20.0 * (1.0 - square / 42.0)))
    cosine = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0))
    for _ in range(3):
        cosine, sine = jnp.square(cosine) - jnp.square(sine), 2.0 * cosine * sine
    return jax.lax.complex(cosine, sine)


@functools.partial(jax.jit, static_argnames=("framing", "length", "iterations", "momentum"))
def refine_phases(
    magnitude: Array, phasors: Array, *, framing: Framing, length: int, iterations: int, momentum: float = 0.99
) -> Array:
    """`griffin_lim` from given phases: step by step what librosa.griffinlim computes.

    Args:
        magnitude: magnitude spectra [batch, frames, bins], float32.
        phasors: the initial phases of every sound, complex numbers of magnitude 1 [frames, bins].
        framing, length, iterations, momentum: as of `griffin_lim`.
    """
    gain = inverse_window_sum(framing, magnitude.shape[1], length)
    # Behind the barrier, the phasors are computed once, not inside the products of every sound.
    cosine, sine = jax.lax.optimization_barrier((jnp.real(phasors), jnp.imag(phasors)))
    # What is normalised is c_n - weight * c_(n-1), which has the phases of c_n + momentum * (c_n - c_(n-1)).
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
        most = max(1, _BINS_AT_ONCE // (frames * bins))
        size = max(n for n in range(1, batch + 1) if batch % n == 0 and n <= most)
        groups = magnitude.reshape(batch // size, size, frames, bins)
        return jax.lax.map(reconstruct, groups).reshape(batch, length)

    return jax.lax.platform_dependent(magnitude, cpu=reconstruct_in_groups, default=reconstruct)


def _with_magnitude(spectrum: Array, magnitude: Array) -> Array:
    """The spectrum with its magnitudes replaced; zero stays zero."""
    real, imaginary = jnp.real(spectrum), jnp.imag(spectrum)
    power = jnp.square(real) + jnp.square(imaginary)
    scale = magnitude * jax.lax.rsqrt(jnp.maximum(power, jnp.finfo(jnp.float32).tiny))
    return jax.lax.complex(real * scale, imaginary * scale)


@functools.partial(jax.jit, static_argnames="framing")
def spectral_convergence(magnitude: Array, waveform: Array, *, framing: Framing) -> Array:
    """Distance of waveforms' magnitudes from wanted ones, over the norm of the latter [batch].

    Sturmel and Daudet 2011 (as a ratio, not in dB); Frobenius norms. 0 is perfect, 1 is as far as silence is, and
    what silence itself has.

    Args:
        magnitude: wanted magnitudes [batch, frames, bins].
        waveform: waveforms [batch, samples].
        framing: how the magnitudes were made.
    """
    difference = jnp.abs(stft(waveform, framing)) - magnitude
    size = jnp.linalg.norm(magnitude, axis=(-2, -1))
    return jnp.linalg.norm(difference, axis=(-2, -1)) / jnp.maximum(size, jnp.finfo(jnp.float32).tiny)
