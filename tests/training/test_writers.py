"""What a run writes of itself."""

import json

import numpy as np
import pytest
from PIL import Image

from drumgan_jax.audio.pictures import save_grid, spectrogram_grid
from drumgan_jax.core.atomic import replacing
from drumgan_jax.core.errors import BadInput
from drumgan_jax.runs.metrics import METRICS_NAME, keep_until, read_metrics
from drumgan_jax.training.window import MetricsWindow, TrainingDiverged
from drumgan_jax.training.writers import Writers


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "clu", None)  # importing TensorFlow takes seconds


def test_lines_beyond_the_step_are_dropped(tmp_path):
    path = tmp_path / METRICS_NAME
    path.write_text("".join(json.dumps({"step": step, "a": 1.0}) + "\n" for step in (1, 2, 3)) + '{"step": 4, "a"')
    assert [line["step"] for line in read_metrics(tmp_path)] == [1, 2, 3]
    keep_until(tmp_path, 2)
    assert path.read_text() == '{"step": 1, "a": 1.0}\n{"step": 2, "a": 1.0}\n'
    path.write_text('{"step": 0, "a": 1.0}\n')
    keep_until(tmp_path, 0)  # a new start writes step 0 again
    assert path.read_text() == ""


def test_metrics_samples_and_plain_lines(tmp_path, capsys):
    writers = Writers(tmp_path, 0, 10, active=True)
    writers.metrics(1, {"loss/generator": 0.123456, "speed/images_per_second": 12.3})
    writers.samples(1, np.random.default_rng(0).normal(size=(3, 800)).astype(np.float32) * 0.1, 8000)
    writers.close()
    assert read_metrics(tmp_path) == [{"step": 1, "loss/generator": 0.123456, "speed/images_per_second": 12.3}]
    assert "step 1/10: generator 0.123, 12.3 images/s" in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == ["step_00000001.png", "step_00000001.wav"]


def test_other_processes_write_nothing(tmp_path):
    writers = Writers(tmp_path, 0, 10, active=False)
    writers.metrics(1, {"a": 1.0})
    writers.samples(1, np.zeros((1, 100), np.float32), 8000)
    writers.progress(1)
    writers.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.smoke
def test_grid_has_low_frequencies_at_the_bottom(tmp_path):
    time = np.arange(8000) / 8000
    low = np.sin(2 * np.pi * 300 * time)
    high = np.where(time > 0.5, np.sin(2 * np.pi * 3500 * time), 0.0)
    save_grid(tmp_path / "grid.png", np.stack([low, high]), columns=2)
    image = np.asarray(Image.open(tmp_path / "grid.png"), np.float64).sum(axis=2)
    np.testing.assert_array_equal(image, spectrogram_grid(np.stack([low, high]), 2).sum(axis=2))
    height, width = image.shape
    left, right = image[:, : width // 2 - 4], image[:, width // 2 + 4 :]
    assert left.mean(axis=1).argmax() == pytest.approx(height * (1 - 300 / 4000), abs=3)
    assert right.mean(axis=1).argmax() == pytest.approx(height * (1 - 3500 / 4000), abs=3)
    assert right[:, : width // 8].max() < right[:, -width // 8 :].max() / 10


def test_silence_and_odd_counts_can_be_drawn():
    sounds = np.zeros((5, 100))
    assert spectrogram_grid(sounds).shape == spectrogram_grid(np.zeros((6, 10)), columns=3).shape


def test_replacing_is_atomic(tmp_path):
    path = tmp_path / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
    assert path.read_text() == "one"
    with pytest.raises(AttributeError), replacing(path) as temporary:
        temporary.write_text("two").fail()
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a.txt", "one")]


def test_window_averages_over_the_steps_that_have_a_metric():
    window = MetricsWindow()
    window.add(1, {"a": np.float32(1), "rare": np.float32(7)})
    window.add(2, {"a": np.float32(3)})
    assert window.close(lambda: None) == {"a": 2.0, "rare": 7.0}
    assert len(window) == 0


def test_window_names_the_first_step_that_is_not_finite():
    window = MetricsWindow()
    window.add(4, {"a": np.float32(1)})
    window.add(5, {"a": np.float32(1), "norm/b": np.float32("nan"), "c": np.float32("inf")})
    window.add(6, {"a": np.float32("nan")})
    with pytest.raises(TrainingDiverged, match=r"diverged at step 5: norm/b, c not finite; .* checkpoint is step 3;"):
        window.close(lambda: 3)
    assert issubclass(TrainingDiverged, BadInput)
