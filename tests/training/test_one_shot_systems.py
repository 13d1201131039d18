"""The one-shot systems through the whole of training: on 1 and 4 devices, and taken up again inside a fade."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from one_shot_cases import SYSTEMS, system_config, write_system_data
from quick_compilation import quick_flags

from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.training import run
from drumgan_jax.training.loop import train
from drumgan_jax.training.tasks import build_task

STEPS = 4
CASES = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.usefixtures("unoptimized")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {system: write_system_data(system, tmp_path_factory.mktemp(system)) for system in SYSTEMS}


def losses(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in line.items() if name.startswith("loss/")} for line in history]


# Of toy networks, test_devices.py and test_growing_task.py ask the same in every run of the suite.
@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_run_that_is_taken_up_again_and_one_device_give_the_same_losses(
    system: str, data: dict[str, Path], tmp_path: Path
) -> None:
    """Growing, the second stop is inside a fade; of the style-based one, the critic steps alone in between."""
    whole = losses(train(system_config(system, data[system], STEPS), tmp_path / "whole").history)
    half = system_config(system, data[system], STEPS)
    half.train.total_images //= 2
    first = losses(train(half, tmp_path / "cut").history)
    second = losses(train(system_config(system, data[system], STEPS), tmp_path / "cut").history)
    assert first + second == whole
    if system == "style_drumsynth":
        assert ["loss/generator" in line for line in whole] == [True, False, False, False]
    command = [sys.executable, "one_shot_cases.py", system, str(data[system]), str(tmp_path / "alone"), str(STEPS)]
    environment = os.environ | {"XLA_FLAGS": quick_flags(1)}
    done = subprocess.run(command, cwd=CASES, env=environment, capture_output=True, text=True, check=True)
    for one, four in zip(json.loads(done.stdout.splitlines()[-1]), whole, strict=True):
        assert one == pytest.approx(four, rel=2e-3, abs=2e-4)


def test_the_critic_of_waveforms_hears_shuffled_phases(data: dict[str, Path]) -> None:
    """Without the shuffle the critic's first loss is another."""
    dataset = open_dataset(data["style_drumsynth"])
    found = []
    for shuffle in (0, 2):
        config = system_config("style_drumsynth", data["style_drumsynth"], STEPS)
        config.discriminator.phase_shuffle = shuffle
        task = build_task(run.freeze(config, dataset), make_mesh())
        steps = {name: step for name, _, step in task._stage(0).phases}
        rows = [dataset.example("train", item, ("x", "labels")) for item in range(8)]
        batch = {key: np.stack([row[key] for row in rows]) for key in ("x", "labels")}
        state = dataclasses.replace(task.init())
        found.append(float(steps["discriminator"](state, jax.device_put(batch))[1]["loss/discriminator"]))
    assert abs(found[0] - found[1]) > 1e-4
