"""What the tests of verbs share: a run directory written without training, and a verb in this process."""

import contextlib
import importlib
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from drumgan_jax import cli
from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import variables_digest
from drumgan_jax.runs.checkpoints import Checkpoints
from drumgan_jax.systems.encoder import build_encoder
from drumgan_jax.systems.gan import build_gan

# Whose modules define a verb's flags.
ROOMS = ("drumgan_jax.commands.", "drumgan_jax.launch.")

CLASSES = ("kick", "snare")
STEP = 6
CONFIG: dict[str, Any] = {
    "name": "toy",
    "seed": 0,
    "representation": {
        "kind": "log_magnitude",
        "sample_rate": 8000,
        "n_fft": 32,
        "hop_length": 32,
        "num_frames": 32,
        "mean": -2.0,
        "std": 1.5,
    },
    "decoder": {"kind": "griffin_lim", "iterations": 2},
    "generator": {
        "kind": "stylegan2",
        "base": (8, 16),
        "z_dim": 4,
        "w_dim": 6,
        "mapping_layers": 1,
        "channel_base": 32,
        "channel_max": 4,
    },
    "discriminator": {"kind": "stylegan2", "base": (8, 16), "channel_base": 32, "channel_max": 4},
    "objective": {"kind": "logistic", "r1_gamma": 1.0},
    "task": {"kind": "gan", "conditional": True},
    "train": {"compute_dtype": "float32", "batch_size": 8},
    "evaluation": {"metric": "fid/log_mel"},
    "data": {"dir": "data"},
    "labels": CLASSES,
}
ENCODER = {"kind": "convolution", "view": {"kind": "plain"}, "channels": (2, 2), "dense": (4,)}


@flax.struct.dataclass
class State:
    """What a checkpoint is of."""

    ema: Any


def write_run(
    folder: Path, config: dict[str, Any], ema: Any, kept: dict[str, Any] | None = None, step: int = STEP
) -> None:
    """A run directory with one checkpoint, as training leaves it; it may keep another config."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    checkpoints = Checkpoints(folder, keep=1, metric="fid/log_mel", config=config if kept is None else kept)
    checkpoints.save(step, State(ema))
    checkpoints.close()


@contextlib.contextmanager
def verb_alone(name: str) -> Iterator[ModuleType]:
    """A verb's module as in a process of its own, which takes seconds to start: verbs have flags of the same names."""
    registry, path = vars(flags.FLAGS), cli.VERBS[name][0]
    before = {part: _copied(value) for part, value in registry.items() if isinstance(value, dict)}
    module = sys.modules.pop(path, None)
    held = flags.FLAGS.flags_by_module_dict()
    # A flag may be listed by two modules, of which one was imported anew.
    for flag in {flag.name for room in held if room.startswith(ROOMS) for flag in held[room]}:
        if flag in flags.FLAGS:
            delattr(flags.FLAGS, flag)
    try:
        yield importlib.import_module(path)
    finally:
        registry.update(before)
        sys.modules.pop(path, None)
        if module is not None:
            sys.modules[path] = module


def _copied(registered: dict[Any, Any]) -> dict[Any, Any]:
    return {key: list(value) if isinstance(value, list) else value for key, value in registered.items()}


def write_toy(folder: Path) -> None:
    """A run of a toy GAN, as it is before training, and of its encoder."""
    gan = build_gan(CONFIG, len(CLASSES))
    init = jax.jit(lambda key: gan.generator.init(key, jnp.zeros((1, 4)), jnp.zeros((1, 2)), None))
    variables = {name: init(jax.random.key(0))[name] for name in ("params", "statistics")}
    write_run(folder, CONFIG, variables)
    encoder = build_encoder({"encoder": ENCODER}, gan, len(CLASSES))
    digest = np.frombuffer(bytes.fromhex(variables_digest(variables)), np.uint8)
    ema = {**jax.jit(encoder.init)(jax.random.key(1)), "generator": jnp.asarray(digest)}
    config = {**CONFIG, "encoder": ENCODER, "task": {"kind": "encoder", "run": str(folder)}}
    write_run(folder / "encoder", config, ema)


def drumgan(name: str, *arguments: str | Path, status: int = 0) -> str:
    """Runs a verb; returns what it prints, or with status 2 the sentence that it ends with."""
    printed = io.StringIO()
    refused = pytest.raises(BadInput) if status == 2 else contextlib.nullcontext()
    command = [f"drumgan {name}", *map(str, arguments)]
    # Overrides of a config are looked for in the process's own command line.
    process = mock.patch.object(sys, "argv", command)
    with verb_alone(name) as module, process, contextlib.redirect_stdout(printed), refused as problem:
        module.main(cli._parser(module)(command))
    return printed.getvalue() if problem is None else str(problem.value)
