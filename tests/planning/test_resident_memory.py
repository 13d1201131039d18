"""The memory of a compiled program, against what a process of this machine takes when it runs."""

import json
import os
import subprocess
import sys

import pytest
from quick_compilation import quick_flags

RUN = """
import ctypes, json, pathlib, re, sys
import jax, numpy as np
from drumgan_jax.commands.config_files import load
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.planning.compiled import measured
from drumgan_jax.planning.programs import batch_shapes, completed, programs_of, task_of

def resident(name):
    lines = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(rf"{name}:\\s+(\\d+) kB", lines).group(1)) * 1024

def filled(shapes):
    return jax.tree.map(lambda one: jax.device_put(np.ones(one.shape, one.dtype), one.sharding), shapes)

system, name, batch_size = sys.argv[1:]
config = load(f"{system}:tiny")
config.train.batch_size = int(batch_size)
config = completed(config)
task = task_of(config, make_mesh())
program = next(one for one in programs_of(task, config, 1, print) if one.name == name)
lowered = program.trace().lower()
try:
    # This library of XLA's takes memory while it runs, a quarter more, of which XLA's analysis knows nothing.
    compiled = lowered.compile({"xla_cpu_experimental_ynn_fusion_type": ""})
except jax.errors.JaxRuntimeError:
    compiled = lowered.compile()
batch = {"labels" if key == "soft_labels" else key: shape for key, shape in batch_shapes(task, config).items()}
ctypes.CDLL("libc.so.6").malloc_trim(0)
before = resident("VmRSS")
pathlib.Path("/proc/self/clear_refs").write_text("5")
jax.block_until_ready(compiled(filled(task.shapes), filled(batch)))
print(json.dumps({"planned": measured(compiled).peak, "grown": resident("VmHWM") - before}))
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="only Linux tells a process's highest memory")
@pytest.mark.parametrize(
    ("system", "program", "batch_size"), [("style_drumsynth", "discriminator", 2048), ("splice_loops", "r1", 64)]
)
def test_a_program_takes_as_much_memory_as_planned(system: str, program: str, batch_size: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", RUN, system, program, str(batch_size)],
        env={**os.environ, "XLA_FLAGS": quick_flags(1), "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["planned"] > 4e8
    assert found["grown"] == pytest.approx(found["planned"], rel=0.1)
