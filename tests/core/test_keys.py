"""Random keys: no two purposes, steps or items share one, and a sound's seed keeps its keys for good."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from drumgan_jax.core.keys import Purpose, run_key, run_keys, sound_key, sound_keys


def words(keys: jax.Array) -> set[tuple[int, ...]]:
    return {tuple(row) for row in np.asarray(jax.random.key_data(keys)).reshape(-1, 2).tolist()}


def test_no_two_purposes_steps_or_items_share_a_key() -> None:
    """Also not a run's and a sound's of one seed, nor the seeds beside each other."""
    purposes = [purpose for purpose in Purpose if purpose >= Purpose.GENERATOR_INIT]
    # As many regularisers as an objective may have.
    purposes += [Purpose.REGULARIZER + number for number in range(1, 8)]
    steps, items, seeds = range(33), range(33), (0, 1, 2**31 - 1)

    @jax.jit
    def all_keys(seed: jax.Array) -> jax.Array:
        grid = [jnp.asarray(axis) for axis in np.meshgrid(purposes, steps, items, indexing="ij")]
        return jax.vmap(lambda purpose, step, item: run_key(seed, purpose, step, item))(*(g.ravel() for g in grid))

    found: list[tuple[int, ...]] = []
    for seed in seeds:
        of_run = words(all_keys(np.uint32(seed)))
        assert len(of_run) == len(purposes) * len(steps) * len(items)
        of_sound = words(jnp.stack([sound_key(seed, p) for p in Purpose if p < Purpose.GENERATOR_INIT]))
        found += [*of_run, *of_sound]
    assert len(set(found)) == len(found)


def test_several_keys_are_those_of_each() -> None:
    items, seeds = jnp.arange(5, dtype=jnp.uint32), jnp.asarray([0, 7, 2**32 - 1], jnp.uint32)
    many = run_keys(3, Purpose.ENCODER_NOISE, 2, items)
    one_by_one = jnp.stack([run_key(3, Purpose.ENCODER_NOISE, 2, item) for item in items])
    assert jnp.array_equal(jax.random.key_data(many), jax.random.key_data(one_by_one))
    many = sound_keys(seeds, Purpose.NOISE)
    one_by_one = jnp.stack([sound_key(seed, Purpose.NOISE) for seed in seeds])
    assert jnp.array_equal(jax.random.key_data(many), jax.random.key_data(one_by_one))


def test_the_purposes_of_a_sound_keep_their_numbers() -> None:
    """They decide how the seeds of packed instruments sound."""
    numbers = {purpose.name: purpose.value for purpose in Purpose if purpose < Purpose.GENERATOR_INIT}
    shared = {"Z": 0, "LABEL": 1, "NOISE": 2, "PHASE": 3, "DIRECTION": 4, "COMPONENT_SAMPLES": 5, "ATTRIBUTES": 6}
    assert numbers == shared
    assert len(set(Purpose)) == len(list(itertools.chain(Purpose)))
    folded = jax.random.fold_in(jax.random.key(5), 2)
    assert jnp.array_equal(jax.random.key_data(sound_key(5, Purpose.NOISE)), jax.random.key_data(folded))
