"""How far the frozen networks' features move where convolutions run in bfloat16."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from drumgan_jax.networks.short_chunk import ShortChunkTaps
from drumgan_jax.networks.vggish import VGGishTaps

QUICK = {"xla_backend_optimization_level": 0}


@pytest.mark.parametrize(
    ("taps", "settings"),
    [(VGGishTaps, {"widths": (8, 8, 16, 16, 16, 16)}), (ShortChunkTaps, {"channels": 4, "blocks": (1, 1, 2, 2)})],
)
def test_features_in_bfloat16_are_within_a_hundredth(taps, settings) -> None:
    mel = np.random.default_rng(0).standard_normal((1, 16, 32, 1)).astype(np.float32)
    exact, rounded = taps(**settings), taps(**settings, compute_dtype=jnp.bfloat16)
    variables = jax.jit(exact.init, compiler_options=QUICK)(jax.random.key(0), mel)
    both = jax.jit(
        lambda variables, mel: (exact.apply(variables, mel), rounded.apply(variables, mel)), compiler_options=QUICK
    )
    for one, other in zip(*both(variables, mel), strict=True):
        assert other.dtype == jnp.bfloat16
        off = np.sqrt(np.mean(np.square(one - other.astype(jnp.float32))) / np.mean(np.square(one)))
        # bfloat16 keeps 8 bits: a rounding is up to 0.004 of a number, in the mean a fifth of that.
        assert 5e-4 < off < 1e-2
