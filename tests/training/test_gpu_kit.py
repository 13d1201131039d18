"""The GPU kit's rehearsal at `tiny` on the CPU, and the files that another machine goes on with."""

import csv
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import soundfile
from absl import logging
from verbs import verb_alone

from benchmarks import gpu_kit, gpu_pieces, gpu_state
from drumgan_jax.core.distributed import StopSignal
from drumgan_jax.core.errors import BadInput
from drumgan_jax.data.dataset import open_dataset
from drumgan_jax.data_pipelines import synthetic
from drumgan_jax.data_pipelines.prepare import prepare
from drumgan_jax.runs.checkpoints import Checkpoints
from drumgan_jax.runs.config import read_config

# How anything is compiled changes nothing that is asked here. And TFDS asks protobuf for a field's label when it reads
# what it wrote.
pytestmark = [
    pytest.mark.usefixtures("unoptimized"),
    pytest.mark.filterwarnings(r"ignore:label\(\) is deprecated:DeprecationWarning"),
]
DRUMS = "synthetic:drums?count=90"
BETAS = {"optimizer": {"generator": {"beta1": 0.0}, "discriminator": {"beta1": 0.9}}}


class Rehearsal(NamedTuple):
    """What both calls left: statuses, what they printed, the state after the first, and the folder of it all."""

    statuses: tuple[int, int]
    printed: tuple[str, str]
    stopped: Path
    folder: Path


def call(folder: Path, *flags: str, state: str = "state", work: str = "work") -> int:
    """The kit's status."""
    return gpu_kit.main(
        [
            *("run", f"--state={folder / state}", f"--work={folder / work}", f"--results={folder / 'results.md'}"),
            *(f"--kit={DRUMS}", "--variant=tiny", "--minutes=10", "--sounds=12", *flags),
        ]
    )


@pytest.fixture(scope="module")
def rehearsal(
    unoptimized: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Rehearsal]:
    """A call whose minutes end in training, and one on another machine, which has the state alone."""
    folder = tmp_path_factory.mktemp("gpu")
    verbosity, statuses, printed = logging.get_verbosity(), [], []
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with pytest.MonkeyPatch.context() as patch, verb_alone("pack"):
        patch.setattr(gpu_pieces, "_TIMED", 0)
        # Of what has tests of its own, what takes long and what no figure here depends on.
        for module, name, result in (
            ("training.writers", "open_events", None),
            ("play.quality", "slider_figures", ()),
            ("play.quality", "component_figures", ()),
        ):
            patch.setattr(f"drumgan_jax.{module}.{name}", lambda *arguments, result=result: result)
        # No time is left for training, which stops after its first step.
        for work, saving in (("work", 10_000), ("elsewhere", 0)):
            patch.setattr(gpu_pieces, "_SAVING", saving)
            capture.read_global_capture()
            statuses.append(call(folder, work=work))
            printed.append(capture.read_global_capture().out)
            if work == "work":
                shutil.copytree(folder / "state", folder / "stopped")
    yield Rehearsal(tuple(statuses), tuple(printed), folder / "stopped", folder)
    logging.set_verbosity(verbosity)


@pytest.mark.slow
def test_rehearsal_stops_and_is_finished_elsewhere(rehearsal: Rehearsal) -> None:
    assert rehearsal.statuses == (gpu_kit.UNFINISHED, 0)
    first, second = rehearsal.printed
    step = json.loads((rehearsal.stopped / "own.json").read_text())["step"]
    assert "no GPU" in first
    assert 1 <= step < 8
    assert f"goes on from step {step} of" in second
    progress = json.loads((rehearsal.folder / "state" / "progress.json").read_text())
    assert progress["done"] == list(gpu_pieces.PIECES)
    assert progress["known"]["steps"] == {"own": 8, "paper": 40}
    assert all(0.0 < speed["share"] < 1.0 for speed in progress["known"]["speed"].values())
    # A third call finds nothing to do.
    assert call(rehearsal.folder, work="elsewhere") == 0


@pytest.mark.slow
def test_rehearsal_leaves_instruments_and_a_report(rehearsal: Rehearsal) -> None:
    state = rehearsal.folder / "state"
    assert not list(state.glob("own-*")), "what is packed is not stored as a state too"
    figures = {
        name: json.loads((state / "progress.json").read_text())["known"]["tables"][name]["figures"]["fid/drums"]
        for name in ("own", "paper")
    }
    better = min(figures, key=lambda name: figures[name])
    assert (state / "instrument.npz").read_bytes() == (state / f"{better}.npz").read_bytes()
    report = (rehearsal.folder / "results.md").read_text()
    assert report.count("## GPU kit") == 1
    for part in ("pca_gan:tiny", "style_drumsynth:tiny", "held-out recordings", "PCA", "procedural", "steps a second"):
        assert part in report


@pytest.mark.slow
def test_state_of_training_agrees_within_its_precision(rehearsal: Rehearsal) -> None:
    run_dir = rehearsal.folder / "work" / "own" / "run"
    stored = gpu_state.read_state(rehearsal.stopped, "own")
    assert stored is not None
    task = gpu_state.build_task(read_config(run_dir), gpu_state.make_mesh())
    checkpoints = Checkpoints(run_dir, 1, "fid/drums")
    state, step = checkpoints.restore(task.shapes)
    checkpoints.close()
    assert stored.step == step
    compared = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        key = jax.tree_util.keystr(path)
        if ".mu" in key:
            assert key not in stored.arrays, "beta1 is 0"
            continue
        precision = 2.0**-8 if ".nu" in key else 2.0**-11
        np.testing.assert_allclose(stored.arrays[key].astype(np.float64), leaf, rtol=precision, atol=2.0**-25)
        compared += 1
    assert compared > 20


@pytest.mark.slow
def test_state_of_another_job_is_refused(rehearsal: Rehearsal, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(rehearsal.folder, "--variant=small", state="stopped") == 2
    assert "is the state of pca_gan:tiny and style_drumsynth:tiny" in capsys.readouterr().err
    assert call(rehearsal.folder, "--minutes=0.01", state="stopped") == 2
    assert "the piece 'train' needs" in capsys.readouterr().err


def restore(rehearsal: Rehearsal, run_dir: Path, system: str = "pca_gan:tiny", **generator: Any) -> int | None:
    job = gpu_pieces.Job(DRUMS, rehearsal.stopped, rehearsal.folder / "elsewhere", {"own": system}, 12, Path())
    config = job.config("own")
    config.generator.update(generator)
    return gpu_state.restore_run(rehearsal.stopped, "own", system, config, job.dataset("own"), run_dir)


@pytest.mark.slow
def test_run_is_restored_once(rehearsal: Rehearsal, tmp_path: Path) -> None:
    step = restore(rehearsal, tmp_path / "run")
    assert step == gpu_state.read_state(rehearsal.stopped, "own").step
    assert restore(rehearsal, tmp_path / "run") is None


@pytest.mark.slow
def test_state_of_another_config_is_refused(rehearsal: Rehearsal, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a state of pca_gan:tiny, not of pca_gan:packaged"):
        restore(rehearsal, tmp_path / "run", "pca_gan:packaged")
    with pytest.raises(BadInput, match=r"lacks .* as this version has it"):
        restore(rehearsal, tmp_path / "run", features=16)
    with pytest.raises(BadInput, match=r"another config .* generator\.spread"):
        restore(rehearsal, tmp_path / "run", spread=0.5)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("seconds", [0, 600])
def test_training_hears_a_signal_that_came_too_early(seconds: int) -> None:
    with gpu_pieces._stopping_after(seconds):
        if seconds:
            os.kill(os.getpid(), signal.SIGTERM)
        with StopSignal() as stop:
            deadline = time.monotonic() + 60
            while not stop.reached(1) and time.monotonic() < deadline:
                time.sleep(0.01)
            assert stop.reached(1)


def test_statistics_may_differ_by_rounding() -> None:
    stored = {"representation": {"kind": "log_magnitude", "mean": -2.0, "std": 1.5}}
    close = {"representation": {"kind": "log_magnitude", "mean": -2.00001, "std": 1.5}}
    other = {"representation": {"kind": "log_magnitude", "mean": -2.1, "std": 1.5}}
    assert gpu_state._reconciled(stored, close) == close["representation"]
    assert gpu_state._reconciled(stored, other) == stored["representation"]


@flax.struct.dataclass
class State:
    """The parts of a GAN's state whose storage differs."""

    step: Any
    generator: Any
    generator_optimizer: Any
    discriminator_optimizer: Any
    ema: Any


def made(size: int = 1000, step: int = 7) -> State:
    """Random values, of which the average has the parameters' own beside others."""
    rng = np.random.default_rng(step)
    params = {"a": {"kernel": jnp.asarray(rng.standard_normal((size // 10, 10)), jnp.float32)}}
    first = jax.tree.map(lambda leaf: leaf * 1e-6, params["a"])
    # Squares of these are below float16's range.
    adam = optax.ScaleByAdamState(jnp.asarray(1), first, jax.tree.map(jnp.square, first))
    moments = {"a": (adam, optax.EmptyState())}
    large = jnp.asarray([1e6, -3.0], jnp.float32)
    return State(jnp.asarray(step), params, moments, moments, {"params": params, "statistics": {"large": large}})


def test_leaves_are_stored_as_their_kinds_need(tmp_path: Path) -> None:
    state = made()
    gpu_state.write_state(tmp_path, "own", "toy:tiny", state, BETAS)
    stored = gpu_state.read_state(tmp_path, "own")
    kernel = np.asarray(state.generator["a"]["kernel"])
    moments = state.generator_optimizer["a"][0]
    assert (stored.system, stored.step, stored.config) == ("toy:tiny", 7, BETAS)
    np.testing.assert_array_equal(stored.arrays[".generator['a']['kernel']"], kernel.astype(np.float16))
    np.testing.assert_array_equal(
        stored.arrays[".generator_optimizer['a'][0].nu['kernel']"],
        np.asarray(moments.nu["kernel"]).astype(jnp.bfloat16),
    )
    assert ".generator_optimizer['a'][0].mu['kernel']" not in stored.arrays
    np.testing.assert_array_equal(
        stored.arrays[".discriminator_optimizer['a'][0].mu['kernel']"],
        np.asarray(moments.mu["kernel"]).astype(jnp.bfloat16),
    )
    assert np.isfinite(stored.arrays[".ema['statistics']['large']"].astype(np.float32)).all()
    assert int(stored.arrays[".generator_optimizer['a'][0].count"]) == 1
    leaves = json.loads((tmp_path / "own.json").read_text())["leaves"]
    assert leaves[".generator['a']['kernel']"] == leaves[".ema['params']['a']['kernel']"], (
        "equal arrays are stored once"
    )


def test_files_obey_the_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = made(6_000_000)
    total = gpu_state.write_state(tmp_path, "own", "toy:tiny", large, BETAS)
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert len(sizes) > 2
    assert max(sizes) <= gpu_state.FILE_BYTES
    assert sum(sizes) == total <= gpu_state.STATE_BYTES
    gpu_state.write_state(tmp_path, "own", "toy:tiny", made(step=8), BETAS)
    kept = {path.name for path in tmp_path.iterdir()}
    assert kept == {"own.json", "own-00000008-0.npz"}, "the former state is gone"
    monkeypatch.setattr(gpu_state, "STATE_BYTES", 5_000)
    with pytest.raises(BadInput, match="MB are allowed; train a smaller variant"):
        gpu_state.write_state(tmp_path, "own", "toy:tiny", made(10_000, step=9), BETAS)
    assert {path.name for path in tmp_path.iterdir()} == kept
    assert gpu_state.read_state(tmp_path, "own").step == 8
    gpu_state.remove_state(tmp_path, "own")
    assert gpu_state.read_state(tmp_path, "own") is None


@pytest.mark.parametrize("harm", ["changed", "missing", "index"])
def test_damaged_states_are_one_sentence(tmp_path: Path, harm: str) -> None:
    gpu_state.write_state(tmp_path, "own", "toy:tiny", made(), BETAS)
    file = tmp_path / "own-00000007-0.npz"
    if harm == "changed":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "missing":
        file.unlink()
    else:
        file = tmp_path / "own.json"
        file.write_text(file.read_text()[:100])
    with pytest.raises(BadInput, match=rf"{file.name} is .*damaged.*; copy .* once more, or delete"):
        gpu_state.read_state(tmp_path, "own")


@pytest.fixture(scope="module")
def divided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of two sources, one held out, whose hats are divided and whose licences a manifest says."""
    folder = tmp_path_factory.mktemp("divided")
    rows = []
    for label, voice, subclass in (("kick", "kick", ""), ("cymbal", "hat", "closed"), ("cymbal", "cymbal", "crash")):
        for item in range(6):
            path = folder / f"{label}-{voice}-{item}.wav"
            soundfile.write(path, synthetic.one_shot(voice, item), synthetic.SAMPLE_RATE)
            source = "kept" if item % 3 == 0 else "others"
            rows.append(
                {"path": path.name, "label": label, "source": source, "subclass": subclass, "licence": "CC0-1.0"}
            )
    with open(folder / "all.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    config = gpu_pieces.load_config("pca_gan:tiny")
    config.preparation.update(hats=True, labels=("kick", "closed_hat", "cymbal"), test_sources=("kept",))
    return prepare(config, [str(folder / "all.csv")], folder / "data").directory


def test_kit_is_prepared_as_the_data_were(divided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kit = tmp_path / "kit"
    assert gpu_kit.main(["gather", f"--data={divided}", f"--kit={kit}"]) == 0
    assert "MB" in capsys.readouterr().out
    job = gpu_pieces.Job(str(kit / "manifest.csv"), tmp_path, tmp_path, {"own": "pca_gan:tiny"}, 12, Path())
    here, there = open_dataset(divided), job.dataset("own")
    assert set(there.label_names) == set(here.label_names)
    for split in ("train", "test"):
        counted = [
            sorted(zip(np.asarray(one.label_names)[numbers].tolist(), sources.tolist(), strict=True))
            for one in (here, there)
            for numbers, sources in [one.classes_and_sources(split)]
        ]
        assert counted[0] == counted[1]
    with open(kit / "manifest.csv", newline="") as file:
        assert {row["licence"] for row in csv.DictReader(file)} == {"CC0-1.0"}
    assert gpu_kit.main(["gather", f"--data={divided}", f"--kit={kit}"]) == 2
    assert "holds a kit already" in capsys.readouterr().err


def test_bad_kits_are_refused(
    divided: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(tmp_path, f"--kit={tmp_path}") == 2
    assert "it has no manifest.csv" in capsys.readouterr().err
    monkeypatch.setattr(gpu_kit, "RECORDINGS_BYTES", 1_000)
    assert gpu_kit.main(["gather", f"--data={divided}", f"--kit={tmp_path / 'kit'}"]) == 2
    assert "as FLAC; prepare fewer of them" in capsys.readouterr().err
    assert not (tmp_path / "kit" / "manifest.csv").exists()


def test_wheels_are_asked_for_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(gpu_kit.IMPORTS, "not_installed_anywhere", "not-installed-anywhere")
    assert call(tmp_path) == 2
    assert "gather with --wheels=not-installed-anywhere" in capsys.readouterr().err
