"""Every system trains alike on one device and on two, four and eight: data split, large parameters split, and both."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from quick_compilation import quick_flags

# The first is of the batch and the weights as they are, the others move each number by a millionth, which sums of
# thousands of float32 in another order do too.
SEEDS = (0, 1, 2, 3, 4, 5)
MESHES = ((2, 1), (4, 1), (8, 1), (1, 2), (1, 4), (1, 8), (2, 2), (2, 4))
STEPS = """
import dataclasses, json, sys
import jax, numpy as np
from drumgan_jax.commands.config_files import load
from drumgan_jax.core import mesh
from drumgan_jax.planning.programs import batch_shapes, completed, task_of

mesh.MIN_SPLIT_SIZE = 64  # so that these small networks are split over fsdp as big ones are
config = load(f"{sys.argv[1]}:tiny")
for player in config.optimizer.values():
    player.epsilon = 1e-3  # else Adam makes a whole step of a gradient that is nothing but rounding
config = completed(config)
random = np.random.default_rng(0)
values = {}
for data, fsdp, seed in json.loads(sys.argv[2]):
    task = task_of(config, mesh.make_mesh(data, fsdp, jax.devices()[: data * fsdp]))
    shapes = batch_shapes(task, config)
    for name, one in shapes.items():
        if name in ("labels", "soft_labels"):
            made = np.eye(one.shape[1], dtype=np.float32)[np.arange(one.shape[0]) % one.shape[1]]
        else:
            made = random.standard_normal(one.shape, np.float32)
        values.setdefault(name, made)
    signs = np.random.default_rng(seed)

    def rounded(array):
        return (array * (1 + (1e-6 * signs.choice((-1, 1), array.shape) if seed else 0))).astype(np.float32)

    batch = {name: jax.device_put(rounded(values[name]), one.sharding) for name, one in shapes.items()}
    state = task.init()
    # pca_gan begins with zeros, to be filled with components of its data; of those, no gradient is finite.
    drawn = np.random.default_rng(1)
    leaves, tree = jax.tree.flatten(state.generator)
    moved = [rounded(np.asarray(leaf)) + 0.02 * drawn.standard_normal(leaf.shape, np.float32) for leaf in leaves]
    generator = jax.device_put(jax.tree.unflatten(tree, moved), jax.tree.unflatten(tree, [x.sharding for x in leaves]))
    state = dataclasses.replace(state, generator=generator)
    split = sum(not leaf.sharding.is_fully_replicated for leaf in jax.tree.leaves(state))
    # Every phase of the first stage, and of the last.
    last = task.context.settings.total_steps - 1
    last -= last % int(np.lcm.reduce([1, *task.intervals.values()]))
    found = []
    for step in sorted({0, last}):
        state, metrics = task.step(state, batch, step)
        found.append({name: float(value) for name, value in metrics.items()})
    print(json.dumps({"mesh": [data, fsdp], "split": split, "metrics": found}), flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "system", ["drumgan_vst", "electrogan", "pca_gan", "pjloopgan", "splice_loops", "style_drumsynth"]
)
def test_losses_are_equal_on_every_mesh(system: str) -> None:
    ended = subprocess.run(
        [
            sys.executable,
            "-c",
            STEPS,
            system,
            json.dumps([(1, 1, seed) for seed in SEEDS] + [(*one, 0) for one in MESHES]),
        ],
        env={**os.environ, "XLA_FLAGS": quick_flags(8), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    one, *others = map(json.loads, ended.stdout.splitlines())
    rounded, others = others[: len(SEEDS) - 1], others[len(SEEDS) - 1 :]
    assert len(others) == len(MESHES)
    for other in others:
        assert bool(other["split"]) == (other["mesh"][1] > 1), other["mesh"]
        assert np.isfinite([list(line.values()) for line in other["metrics"]]).all()
        for step, (before, after) in enumerate(zip(one["metrics"], other["metrics"], strict=True)):
            for name, value in before.items():
                # Sums of float32 in another order, and what a step makes of that: the slope of a leaky ReLU jumps.
                moved = max(abs(of["metrics"][step][name] - value) for of in rounded)
                assert abs(after[name] - value) <= 1e-5 + 1e-4 * abs(value) + 2 * moved, (other["mesh"], step, name)
