"""Inversion finds latents that are nearer than it began, among those that random latents lie among."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from instrument_cases import GROWING, RATE, STYLED, drum, make_instrument

from drumgan_jax.latents import inversion
from drumgan_jax.latents.inversion import invert, onto_simplex
from drumgan_jax.latents.seeds import sample_of

pytestmark = pytest.mark.usefixtures("unoptimized")


# Fewer blocks, which compile sooner.
SMALL = {**STYLED, "generator": {**STYLED["generator"], "base": (8, 16), "channel_max": 4}}


@pytest.mark.parametrize(("per_layer", "noise"), [(True, True), (False, False)])
def test_inversion_with_a_mapping(per_layer: bool, noise: bool) -> None:
    made = make_instrument(SMALL)
    generator = made.gan.generator
    waveforms = made.preprocess([drum(0.03), drum(0.06)], RATE)
    found = invert(made.gan, made.variables, 3, waveforms, 12, 2, per_layer, noise)
    assert found.ws.shape == (2, generator.num_ws, generator.w_dim)
    assert found.distances.shape == (2, 12)
    assert [one.shape for one in found.noises] == [(2, *size, 1) for size in generator.noise_sizes]
    assert (found.distances.min(axis=1) < 0.97 * found.distances[:, 0]).all()
    # What is returned is what was nearest.
    synthesize = jax.jit(lambda ws, noises: generator.apply(made.variables, ws, noises, method="synthesize"))
    x = synthesize(found.ws, found.noises)
    target = made.gan.representation.encode(waveforms)
    np.testing.assert_allclose(np.mean((x - target) ** 2, axis=(1, 2, 3)), found.distances.min(axis=1), rtol=1e-3)
    assert (np.ptp(found.ws, axis=1).max() > 1e-3) == per_layer
    seeds = made.draw([0, 0]).layer_noise(generator.noise_sizes)
    changed = max(np.abs(a - b).max() for a, b in zip(found.noises, seeds, strict=True))
    assert (changed > 1e-3) == noise
    assert all((np.mean(one**2, axis=(1, 2, 3)) < 1.0001).all() for one in found.noises) or not noise
    z, labels = sample_of(jnp.uint32(0), inversion.SAMPLES, generator.z_dim, 3)
    random = np.asarray(jax.jit(lambda *drawn: generator.apply(made.variables, *drawn, method="map"))(z, labels))[:, 0]
    away = np.linalg.norm(random - random.mean(axis=0), axis=1).max()
    assert (np.linalg.norm(found.ws - random.mean(axis=0), axis=-1) < 1.001 * away).all()


def test_inversion_without_a_mapping_keeps_labels_on_the_simplex() -> None:
    made = make_instrument(GROWING, step=30)
    waveforms = made.preprocess(drum(), RATE)
    found = invert(made.gan, made.variables, 3, waveforms, 12, 2, False, True)
    z, labels = made.gan.generator.unmap(found.ws)
    assert (labels >= 0).all()
    assert labels.sum() == pytest.approx(1.0, abs=1e-5)
    assert np.linalg.norm(z) < 3 * np.sqrt(8)
    assert found.noises == ()
    assert found.distances.min() < found.distances[0, 0]


def test_a_start_that_is_lost_to_nan_does_not_win() -> None:
    """Row 0 comes near and is lost then, row 1 is lost at once, row 2 goes on."""

    def objective(point: tuple[jax.Array]) -> jax.Array:
        x = point[0]
        return jnp.where(x < jnp.asarray([0.5, 9.0, -9.0]), jnp.nan, jnp.square(x) + jnp.asarray([1.0, 0.0, 0.0]))

    begin = (jnp.asarray([1.0, 1.0, 1.0]),)
    descend = jax.jit(lambda begin: inversion._descend(objective, lambda point: point, begin, (0.1,), 20))
    best, least, path = map(np.asarray, jax.tree.leaves(descend(begin)))
    assert np.isnan(path[-1]).tolist() == [True, True, False]
    assert 1.0 < least[0] < 1.5
    assert least[1] == np.inf
    np.testing.assert_allclose(least[[0, 2]], np.nanmin(path[:, [0, 2]], axis=0))
    assert least.argmin() == 2
    assert np.isfinite(best).all()


def test_the_nearest_weights_on_the_simplex() -> None:
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((200, 3)).astype(np.float32)
    found = np.asarray(jax.jit(onto_simplex)(weights))
    np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)
    assert (found >= 0).all()
    others = rng.dirichlet(np.ones(3), 3000)
    distance = np.linalg.norm(weights[:, None] - others, axis=2).min(axis=1)
    assert (np.linalg.norm(weights - found, axis=1) <= distance + 1e-6).all()
    np.testing.assert_allclose(onto_simplex(jnp.asarray([[0.2, 0.3, 0.5]])), [[0.2, 0.3, 0.5]], atol=1e-6)
