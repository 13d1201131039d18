"""Trainings in processes that can be killed; importable, so that a fork server can start them quickly."""

import os
import sys

sys.modules["clu"] = None  # type: ignore[assignment]  # importing TensorFlow takes seconds

from toy_gan import build_toy_task  # noqa: E402
from training_cases import tiny_config  # noqa: E402

from drumgan_jax.training import tasks  # noqa: E402
from drumgan_jax.training.loop import train  # noqa: E402


def toy_training(data_dir: str, run_dir: str, images: int) -> None:
    """A toy run with a checkpoint every second step."""
    assert tasks.TASKS["toy"] is build_toy_task
    with open(os.devnull, "w") as nowhere:
        sys.stderr = nowhere
        config = tiny_config(data_dir, train={"total_images": images}, checkpoint={"every": 2})
        config.task = {"kind": "toy", "gain": 0.3}
        train(config, run_dir)
