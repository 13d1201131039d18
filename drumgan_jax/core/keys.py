"""Random keys: one for every purpose, step and item of a seed. All randomness on the devices begins here."""

import enum

import jax

Array = jax.Array


class Purpose(enum.IntEnum):
    """What a key is for. Numbers are only ever added: a changed one would change the sound of a seed."""

    # Of a sound's seed.
    Z = 0
    LABEL = 1
    NOISE = 2
    PHASE = 3
    DIRECTION = 4
    COMPONENT_SAMPLES = 5
    ATTRIBUTES = 6
    # Of a run's seed.
    GENERATOR_INIT = 16
    DISCRIMINATOR_INIT = 17
    NOISE_INIT = 18
    NETWORK_INIT = 19
    GENERATOR_STEP = 20
    DISCRIMINATOR_STEP = 21
    CROP = 22
    AUGMENTATION = 23
    DROPOUT = 24
    ENCODER_LATENTS = 25
    ENCODER_NOISE = 26
    DATA_AUGMENTATION = 27
    # The regularisers of an objective, in its order, have this number and the following.
    REGULARIZER = 64


def sound_key(seed: Array | int, purpose: Purpose) -> Array:
    """The key [] of a sound's seed [] for a purpose below GENERATOR_INIT; the sound is the same in any batch."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


def sound_keys(seeds: Array, purpose: Purpose) -> Array:
    """`sound_key` of several seeds: keys [batch] of seeds [batch] uint32."""
    return jax.vmap(lambda seed: sound_key(seed, purpose))(seeds)


def run_key(seed: Array | int, purpose: int, step: Array | int = 0, item: Array | int = 0) -> Array:
    """The key [] of a run's seed for a purpose from GENERATOR_INIT on, a training step and an item of it.

    Args:
        seed: the run's.
        purpose: of Purpose, or REGULARIZER plus a regulariser's number.
        step: training steps done.
        item: a micro-batch, or an example.
    """
    key = jax.random.fold_in(jax.random.key(seed), purpose)
    return jax.random.fold_in(jax.random.fold_in(key, step), item)


def run_keys(seed: Array | int, purpose: int, step: Array | int, items: Array) -> Array:
    """`run_key` of several items: keys [batch] of items [batch]."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose), step)
    return jax.vmap(lambda item: jax.random.fold_in(key, item))(items)
