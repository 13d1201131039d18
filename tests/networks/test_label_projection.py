"""Label projection: its formula, and discriminators that have it beside their own way with labels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import reference

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks import progressive, style_waveform
from drumgan_jax.networks.mapping import LabelProjection

pytestmark = pytest.mark.usefixtures("unoptimized")
LABELS = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0.25, 0.25]], np.float32)


def test_the_product_with_the_labels_direction_is_added() -> None:
    random = np.random.default_rng(0)
    features, directions = random.normal(size=(4, 5)), random.normal(size=(3, 5))
    variables = {"params": {"directions": {"kernel": jnp.asarray(directions, jnp.float32)}}}
    found = LabelProjection().apply(variables, jnp.asarray(features, jnp.float32), jnp.asarray(LABELS))
    np.testing.assert_allclose(found, np.sum(features * (LABELS @ directions), axis=1) / np.sqrt(5), atol=1e-6)


@pytest.mark.parametrize(
    "network",
    [
        progressive.Discriminator((8, 6, 2), 3, label_projection=True, base=(4, 3), channels=(4, 4)),
        style_waveform.Discriminator(
            (1, 32, 1), 3, label_projection=True, base=8, channel_base=12, channel_min=4, channel_max=6
        ),
    ],
)
def test_logits_are_linear_in_projected_labels(network: progressive.Discriminator) -> None:
    x = jnp.broadcast_to(jax.random.normal(jax.random.key(0), (1, *network.shape)), (4, *network.shape))
    variables = reference.random_variables(network, x, jnp.asarray(LABELS))
    logits = np.asarray(jax.jit(network.apply)(variables, x, jnp.asarray(LABELS)).logits[0])
    assert np.ptp(logits[:3]) > 1e-2
    np.testing.assert_allclose(logits[3], LABELS[3] @ logits[:3], rtol=1e-4, atol=1e-4)
    with pytest.raises(BadInput, match="labels are missing"):
        jax.eval_shape(network.init, jax.random.key(0), x, None)
