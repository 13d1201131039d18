"""A run that goes on with fewer devices, and then with more, sees the same examples and learns the same."""

import os
from pathlib import Path

import pytest
from forked_cases import Forked, python
from training_cases import finish, timeless, write_dataset

from drumgan_jax.runs.metrics import read_metrics

BATCH, STEPS = 16, 18
# Every batch's examples are written down as the devices get them.
TRAIN = """
import json, jax, numpy as np
from drumgan_jax.training import loop
from training_cases import tiny_config
seen, prefetch = [], loop.DevicePrefetch
class Noted(prefetch):
    def __next__(self):
        batch = super().__next__()
        seen.append(np.asarray(batch["x"], np.float64).reshape({batch}, -1)[:, 3:7].sum(axis=1).tolist())
        return batch
loop.DevicePrefetch = Noted
config = tiny_config({data!r}, train={{"batch_size": {batch}, "total_images": {images}}}, checkpoint={{"every": 2}})
config.task = {{"kind": "toy", "gain": 0.3}}
assert jax.device_count() == {devices}
loop.train(config, {run!r})
open({run!r} + ".seen", "a").write("".join(json.dumps(one) + chr(10) for one in seen))
"""


@pytest.mark.slow
def test_eight_devices_then_four_then_sixteen(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "data").parent

    def train(run: Path, devices: int, steps: int) -> None:
        settings = {"data": os.fspath(data), "run": os.fspath(run), "devices": devices, "batch": BATCH}
        code = TRAIN.format(images=BATCH * steps, **settings)
        finish(Forked(python, code, devices=devices, compiled=tmp_path / f"compiled{devices}"))

    whole, run = tmp_path / "whole", tmp_path / "run"
    train(whole, 8, STEPS)
    for devices, steps in ((8, 6), (4, 12), (16, STEPS)):
        train(run, devices, steps)
    found, wanted = timeless(read_metrics(run)), timeless(read_metrics(whole))
    assert [line["step"] for line in found] == list(range(1, STEPS + 1))
    for one, other in zip(found, wanted, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-6)
    batches = (tmp_path / "whole.seen").read_text().splitlines()
    assert len(set(batches)) == len(batches) == STEPS
    # Batches that waited at the end of a process were not trained on.
    assert (tmp_path / "run.seen").read_text() == (tmp_path / "whole.seen").read_text()
