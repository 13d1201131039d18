"""Outputs of a run: metrics.jsonl, TensorBoard events, pictures, sounds and a progress bar."""

import contextlib
import importlib.util
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drumgan_jax.audio.files import write_audio
from drumgan_jax.audio.pictures import save_grid, save_picture, spectrogram_grid
from drumgan_jax.core import places
from drumgan_jax.evaluation.report import drop_reports, write_report
from drumgan_jax.runs.metrics import MetricsLog
from drumgan_jax.training.task import Evaluation

_UPLOAD_EVERY = 300.0  # seconds
SAMPLES_FOLDER = "samples"


class Writers:
    """Writes all outputs of a run during training; does nothing except on the first process.

    Args:
        run_dir: the run directory.
        step: step at which the run starts or resumes; output from later steps is deleted.
        total_steps: number of steps of the whole run.
        active: whether this process writes.
    """

    def __init__(self, run_dir: Path, step: int, total_steps: int, active: bool):
        self._run_dir = run_dir
        self._total_steps = total_steps
        self._active = active
        self._events: Any = None
        # Where events are written if the run is in a bucket, and when they were last copied there.
        self._local: tempfile.TemporaryDirectory[str] | None = None
        self._uploaded = time.monotonic()
        self._bar: Any = None
        if not active:
            return
        self._lines = MetricsLog(run_dir, step)
        drop_reports(run_dir, step)
        if sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=total_steps, initial=step, unit="step", dynamic_ncols=True, smoothing=0.1)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Write metrics to metrics.jsonl, to TensorBoard, and to the bar or a line on stderr."""
        if not self._active:
            return
        self._lines.add({"step": step, **values})
        if events := self._tensorboard():
            events.write_scalars(step, values)
            events.flush()
            self._upload_events()
        shown = {
            name.split("/", 1)[1]: f"{value:.3g}"
            for name, value in values.items()
            if name.startswith(("loss/", "evaluation/"))
        }
        if self._bar is not None:
            self._bar.set_postfix(shown)
        else:
            speed = values.get("speed/images_per_second")
            text = ", ".join(f"{name} {value}" for name, value in shown.items())
            rate = f", {speed:.4g} images/s" if speed else ""
            print(f"step {step}/{self._total_steps}: {text}{rate}", file=sys.stderr, flush=True)

    def progress(self, step: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def tell(self, text: str) -> None:
        """Print a text on stdout, above the bar."""
        if not self._active:
            return
        if self._bar is not None:
            self._bar.write(text)
        else:
            print(text, flush=True)

    def samples(self, step: int, waveforms: np.ndarray, sample_rate: int) -> None:
        """Write sounds [n, samples] of the fixed latents as a grid and audio to samples/ and TensorBoard.

        File names contain the step; the audio of a step is one file with all sounds in sequence.
        """
        if not self._active:
            return
        folder = self._run_dir / SAMPLES_FOLDER
        places.make(folder)
        save_grid(folder / f"step_{step:08d}.png", waveforms)
        write_audio(folder / f"step_{step:08d}.wav", np.concatenate(list(waveforms)), sample_rate)
        if events := self._tensorboard():
            events.write_images(step, {"samples/spectrograms": spectrogram_grid(waveforms)[None]})
            events.write_audios(step, {"samples/audio": waveforms[..., None]}, sample_rate=sample_rate)
            events.flush()

    def evaluation(self, step: int, evaluation: Evaluation) -> None:
        """Write the report and pictures of an evaluation to evaluations/, and the pictures to TensorBoard too."""
        if not self._active:
            return
        path = write_report(self._run_dir, step, evaluation.report)
        for name, picture in evaluation.pictures.items():
            save_picture(path.with_name(f"{path.stem}_{name}.png"), picture)
            if events := self._tensorboard():
                events.write_images(step, {f"evaluation/{name}": picture[None]})

    def close(self) -> None:
        """Close all files."""
        if not self._active:
            return
        self._lines.close()
        if self._bar is not None:
            self._bar.close()
        if self._events:
            self._events.close()
            self._upload_events(now=True)
        if self._local is not None:
            self._local.cleanup()

    def _tensorboard(self) -> Any:
        """The events writer, created at the first write, because importing TensorFlow takes seconds."""
        if self._events is None:
            folder = self._run_dir
            if places.is_remote(folder):
                self._local = tempfile.TemporaryDirectory()
                folder = Path(self._local.name)
            self._events = open_events(folder) or False
        return self._events

    def _upload_events(self, now: bool = False) -> None:
        """Copy the events to the bucket of the run, where nothing can be appended to them, every few minutes."""
        if self._local is not None and (now or time.monotonic() - self._uploaded > _UPLOAD_EVERY):
            self._uploaded = time.monotonic()
            places.upload(Path(self._local.name), self._run_dir)


def open_events(run_dir: str | os.PathLike[str]) -> Any:
    """Open clu's writer of TensorBoard events for a run; None if TensorBoard's packages are not installed."""
    if all(importlib.util.find_spec(name) for name in ("clu", "tensorflow", "tensorboard")):
        # Keeps TensorFlow's log messages out of our output on stderr.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with contextlib.suppress(ImportError):
            from clu.metric_writers import SummaryWriter

            return SummaryWriter(os.fspath(run_dir))
    return None
