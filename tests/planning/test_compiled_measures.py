"""What is read off a compiled program, against what is known of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from drumgan_jax.core.mesh import make_mesh, replicated
from drumgan_jax.planning.compiled import collective_bytes, measured

TPU_LINES = """
  %all-reduce.90 = (f32[16,8]{1,0:T(8,128)S(1)}, /*index=1*/bf16[8]{0:T(128)(2,1)S(1)}) all-reduce(%a, %b), channel_id=1
  %all-gather-start.2 = (bf16[4,8]{1,0:T(8,128)}, bf16[16,8]{1,0:T(8,128)}) all-gather-start(%c), dimensions={0}
  %all-gather-done.2 = bf16[16,8]{1,0} all-gather-done(%all-gather-start.2)
  ROOT %reduce-scatter = f32[2]{0} reduce-scatter(%d), to_apply=%add
  %all-reduce-start.1 = f32[100]{0} all-reduce-start(%e)
  %fusion = f32[7]{0} fusion(%all-reduce.90), kind=kLoop, calls=%all-reduce-like
"""


@pytest.mark.smoke
def test_bytes_of_exchanges_are_those_of_their_results() -> None:
    assert collective_bytes(TPU_LINES) == {
        "all-reduce": 4 * 16 * 8 + 2 * 8 + 4 * 100,
        "all-gather": 2 * 16 * 8,
        "reduce-scatter": 8,
    }
    assert collective_bytes("") == {}


def test_a_product_over_four_devices() -> None:
    """Each multiplies its rows, and all exchange the sum of their gradients."""
    mesh = make_mesh()
    rows, width, out = 64, 32, 16
    x = jax.ShapeDtypeStruct((rows, width), np.float32, sharding=NamedSharding(mesh, PartitionSpec(("data", "fsdp"))))
    kernel = jax.ShapeDtypeStruct((width, out), np.float32, sharding=replicated(mesh))

    def loss(kernel: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.square(x @ kernel).sum()

    compiled = jax.jit(jax.grad(loss), out_shardings=replicated(mesh)).lower(kernel, x).compile()
    found = measured(compiled)
    assert found.arguments == 4 * (rows // 4 * width + width * out)
    assert found.collectives == {"all-reduce": 4 * width * out}
    # Twice the rows of one device times the kernel, forwards and backwards.
    products = 2 * 2 * rows // 4 * width * out
    assert products <= found.flops <= 1.1 * products
    assert found.peak >= found.arguments + 4 * width * out
