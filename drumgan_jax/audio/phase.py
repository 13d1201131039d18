"""Phase reconstruction: Griffin-Lim, plain and with momentum."""

import functools

import jax
import jax.numpy as jnp

from drumgan_jax.audio.stft import Framing, inverse_window_sum, overlap_frames, stft

Array = jax.Array


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
        momentum: 0 for Griffin and Lim 1984; 0.99 for the fast variant of Perraudin, Balazs and Soendergaard 2013.
    """
    turns = jax.random.uniform(key, (1, *magnitude.shape[1:]), jnp.float32)
    return refine_phases(
        magnitude,
        2.0 * jnp.pi * turns,
        framing=framing,
        length=length,
        iterations=iterations,
        momentum=momentum,
    )


@functools.partial(jax.jit, static_argnames=("framing", "length", "iterations", "momentum"))
def refine_phases(
    magnitude: Array, phases: Array, *, framing: Framing, length: int, iterations: int, momentum: float = 0.99
) -> Array:
    """`griffin_lim` from given phases in radians, of magnitude's shape or with batch 1; same results as librosa's."""
    gain = inverse_window_sum(framing, magnitude.shape[1], length)
    # librosa's form of the acceleration: what is normalised is c_n - momentum / (1 + momentum) * c_(n-1).
    weight = momentum / (1.0 + momentum)

    def with_magnitude(spectrum: Array) -> Array:
        real, imaginary = jnp.real(spectrum), jnp.imag(spectrum)
        power = jnp.square(real) + jnp.square(imaginary)
        scale = magnitude * jax.lax.rsqrt(jnp.maximum(power, jnp.finfo(jnp.float32).tiny))
        return jax.lax.complex(real * scale, imaginary * scale)

    def step(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        estimate, previous = carry
        rebuilt = stft(overlap_frames(estimate, framing, length) * gain, framing)
        return with_magnitude(rebuilt - jnp.complex64(weight) * previous), rebuilt

    start = jax.lax.complex(magnitude * jnp.cos(phases), magnitude * jnp.sin(phases))
    estimate, _ = jax.lax.fori_loop(0, iterations, step, (start, jnp.zeros_like(start)))
    return overlap_frames(estimate, framing, length) * gain


@functools.partial(jax.jit, static_argnames="framing")
def spectral_convergence(magnitude: Array, waveform: Array, *, framing: Framing) -> Array:
    """Distance of waveforms' spectra from wanted magnitudes, relative to the latter, in the Frobenius norm [batch].

    Sturmel and Daudet 2011, eq. 12 (as a ratio, not in dB): 0 is perfect, 1 is as far as silence.

    Args:
        magnitude: wanted magnitudes [batch, frames, bins].
        waveform: waveforms [batch, samples].
        framing: how the magnitudes were made.
    """
    difference = jnp.abs(stft(waveform, framing)) - magnitude
    return jnp.linalg.norm(difference, axis=(-2, -1)) / jnp.linalg.norm(magnitude, axis=(-2, -1))
