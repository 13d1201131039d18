"""A CPU-sized training on real recordings learns: minutes long, so it runs by `make test-slow`."""

from pathlib import Path

import pytest

from drumgan_jax.configs import splice_loops
from drumgan_jax.data_pipelines.prepare import prepare
from drumgan_jax.training.loop import train


@pytest.mark.slow
def test_distance_to_real_one_shots_falls_by_more_than_half(recordings: Path, tmp_path: Path) -> None:
    config = splice_loops.get_config("tiny")
    config.data.dir = str(tmp_path / "data")
    config.train.total_images = 400 * config.train.batch_size
    config.evaluation.every = 200
    prepare(config, [str(recordings / "drums" / "one_shots")], tmp_path / "data")
    history = train(config, tmp_path / "run").history
    distances = {line["step"]: line["evaluation/fid/log_mel"] for line in history if "evaluation/fid/log_mel" in line}
    assert sorted(distances) == [0, 200, 400]
    assert distances[400] < 0.5 * distances[0]
