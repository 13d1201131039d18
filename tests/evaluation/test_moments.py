"""Streaming moments against NumPy float64, on the host and on one and several devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from drumgan_jax.evaluation.moments import Moments, MomentsStream, merged, without_each

CAPACITY = 16


def stream_of(batches: list[np.ndarray], devices: int) -> Moments:
    """Moments of batches of at most CAPACITY rows, filled up with NaN that the mask hides."""
    sharding = NamedSharding(Mesh(np.array(jax.devices()[:devices]), ("data",)), PartitionSpec("data"))
    stream = MomentsStream(batches[0].shape[1])
    for batch in batches:
        rows = np.full((CAPACITY, batch.shape[1]), np.nan, np.float32)
        rows[: len(batch)] = batch
        stream.add(jax.device_put(rows, sharding), jax.device_put(np.arange(CAPACITY) < len(batch), sharding))
    return stream.result()


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=6),
    offset=st.floats(-1e6, 1e6),
    seed=st.integers(0, 2**31),
)
def test_merged_batches_equal_the_whole(sizes: list[int], offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    batches = [rng.standard_normal((size, 5)) + offset for size in sizes]
    total = merged([Moments.of(batch) for batch in batches])
    whole = np.concatenate(batches)
    assert total.count == len(whole)
    if len(whole) > 1:
        np.testing.assert_allclose(total.mean, whole.mean(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(total.covariance, np.cov(whole, rowvar=False), rtol=1e-7, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, CAPACITY), min_size=1, max_size=8),
    offset=st.floats(-1e4, 1e4),
    devices=st.sampled_from([1, 4]),
    seed=st.integers(0, 2**31),
)
def test_streaming_in_any_batches_on_devices_equals_all_at_once(
    sizes: list[int], offset: float, devices: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    batches = [(rng.standard_normal((size, 5)) + offset).astype(np.float32) for size in sizes]
    streamed = stream_of(batches, devices)
    whole = np.concatenate(batches).astype(np.float64)
    assert streamed.count == len(whole)
    assert streamed.mean.dtype == streamed.scatter.dtype == np.float64
    if len(whole) > 1:
        np.testing.assert_allclose(streamed.mean, whole.mean(0), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(streamed.covariance, np.cov(whole, rowvar=False), rtol=1e-7, atol=1e-11)


@pytest.mark.smoke
def test_one_device_and_four_give_the_same() -> None:
    rng = np.random.default_rng(0)
    batches = [(rng.standard_normal((size, 32)) + 3).astype(np.float32) for size in (16, 16, 5, 0, 11)]
    one, four = stream_of(batches, 1), stream_of(batches, 4)
    assert one.count == four.count == 48
    np.testing.assert_allclose(four.mean, one.mean, rtol=1e-14)
    np.testing.assert_allclose(four.scatter, one.scatter, rtol=1e-12, atol=1e-12)


def test_arrays_of_one_device_without_a_mesh_are_taken_and_none_at_all_is_empty() -> None:
    stream = MomentsStream(3)
    assert stream.result().count == 0
    rows = np.arange(12, dtype=np.float32).reshape(4, 3)
    stream.add(jnp.asarray(rows), jnp.ones(4, bool))
    np.testing.assert_allclose(stream.result().covariance, np.cov(rows, rowvar=False), rtol=1e-14)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_without_each_leaves_out_each_group_in_turn(count: int) -> None:
    parts = np.array_split(np.random.default_rng(1).standard_normal((23, 4)), count)
    rests = list(without_each([Moments.of(part) for part in parts]))
    assert len(rests) == count
    for i, rest in enumerate(rests):
        expected = Moments.of(np.concatenate(parts[:i] + parts[i + 1 :]))
        assert rest.count == expected.count
        np.testing.assert_allclose(rest.mean, expected.mean, rtol=1e-12)
        np.testing.assert_allclose(rest.scatter, expected.scatter, rtol=1e-11, atol=1e-12)
