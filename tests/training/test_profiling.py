"""drumgan train --profile: which steps are traced, what is told, and which steps are refused."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from toy_gan import toy_config
from training_cases import timeless, write_dataset
from verbs import drumgan

from drumgan_jax.core.distributed import StopSignal
from drumgan_jax.core.errors import BadInput
from drumgan_jax.training import profiling
from drumgan_jax.training.loop import train
from drumgan_jax.training.profiling import SHOWN, Profile, ProfiledSteps, dearest
from drumgan_jax.training.trace import Operation, read_operations

FIRST, LAST = 3, 6


@pytest.fixture(autouse=True)
def no_tensorboard(monkeypatch):
    monkeypatch.setitem(sys.modules, "clu", None)  # importing TensorFlow takes seconds


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data")).parent


def trace_of(run: Path) -> bytes:
    (path,) = (run / "profile").rglob("*.xplane.pb")
    return path.read_bytes()


def test_steps_are_traced_and_their_dearest_operations_told(data_dir, tmp_path, capsys):
    plain = train(toy_config(data_dir), tmp_path / "plain").history
    assert not (tmp_path / "plain" / "profile").exists()
    capsys.readouterr()
    profiled = train(toy_config(data_dir), tmp_path / "run", ProfiledSteps(FIRST, LAST)).history
    assert timeless(profiled) == timeless(plain)

    operations = read_operations(trace_of(tmp_path / "run"))
    heading, columns, *rows = capsys.readouterr().out.splitlines()
    assert heading.startswith(f"Profile of steps {FIRST} to {LAST}, in {tmp_path / 'run' / 'profile'}: ")
    assert columns.split() == ["ms/step", "share", "calls/step", "operation", "layer"]
    assert [row.split()[4] for row in rows] == [operation.name for operation in operations[:SHOWN]]
    # The discriminator descends in every one of the steps, its lazy regulariser in those after steps 3 and 6.
    calls = {o.calls for o in operations if o.layer.startswith("jit(_discriminator_step)")}
    assert calls == {LAST - FIRST + 1}


def test_the_last_step_is_logged_so_that_no_speed_includes_the_profile(data_dir, tmp_path):
    config = toy_config(data_dir, logging={"every": 100}, checkpoint={"every": 100})
    history = train(config, tmp_path, ProfiledSteps(2, 5)).history
    assert [line["step"] for line in history] == [5, 8]


def test_a_stop_within_the_steps_closes_the_trace(data_dir, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(StopSignal, "reached", lambda stop, step: step == 4)
    result = train(toy_config(data_dir), tmp_path, ProfiledSteps(FIRST, LAST))
    assert (result.step, result.stopped) == (4, "preempted")
    assert capsys.readouterr().out == (
        f"The training stopped before the end of steps 3 to 6; {tmp_path / 'profile'} has the trace until then.\n"
    )
    operations = read_operations(trace_of(tmp_path))
    assert {o.calls for o in operations if o.layer.startswith("jit(_discriminator_step)")} == {2}


def test_steps_that_the_training_does_not_reach_are_refused(data_dir, tmp_path):
    for steps, match in (
        (ProfiledSteps(7, 9), r"--profile ends at step 9, but the training at step 8; profile earlier steps or raise"),
        (ProfiledSteps(9, 9), r"--profile ends at step 9, but the training at step 8"),
    ):
        with pytest.raises(BadInput, match=match):
            train(toy_config(data_dir), tmp_path / "run", steps)
        assert not (tmp_path / "run").exists()
    train(toy_config(data_dir, train={"total_images": 32}), tmp_path / "run")
    with pytest.raises(BadInput, match=r"--profile begins at step 4, but the run goes on from step 5; profile from"):
        train(toy_config(data_dir), tmp_path / "run", ProfiledSteps(4, 6))
    assert not (tmp_path / "run" / "profile").exists()
    assert train(toy_config(data_dir), tmp_path / "run", ProfiledSteps(5, 5)).step == 8
    assert trace_of(tmp_path / "run")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("7..5", "'7..5', which ends before it begins; write --profile=5..7"),
        ("0..5", "'0..5', but the first step is 1"),
        *(
            (text, f"{text!r}; give its first and last step")
            for text in ("many", "-3", "1..-3", "5..", "1-5", "1.5", "")
        ),
    ],
)
def test_what_is_no_range_is_one_sentence(tmp_path, text, said):
    arguments = ("--config=splice_loops:tiny", f"--workdir={tmp_path / 'run'}", f"--profile={text}")
    assert f"--profile is {said}" in drumgan("train", *arguments, status=2)
    assert not (tmp_path / "run").exists()


def test_one_number_is_one_step():
    assert ProfiledSteps.parse("5") == ProfiledSteps.parse("5..5") == ProfiledSteps(5, 5)
    assert ProfiledSteps.parse("5..17").count == 13


def test_what_cannot_be_read_or_written_is_one_sentence(tmp_path, monkeypatch):
    def told_of(folder: Path) -> str:
        told: list[str] = []
        with Profile(ProfiledSteps(3, 3), folder, told.append) as profile:
            for step in (2, 3, 4):
                profile.before(step, jnp.zeros(()))
                profile.after(step, jnp.zeros(()))
        (text,) = told
        return text

    def fail(trace: bytes) -> list[Operation]:
        raise IndexError("index out of range")

    monkeypatch.setattr(profiling, "read_operations", lambda trace: [])
    assert "it has no operations that can be listed; TensorBoard" in told_of(tmp_path / "empty")
    assert trace_of(tmp_path / "empty")
    monkeypatch.setattr(profiling, "read_operations", fail)
    assert "its operations cannot be read (index out of range)" in told_of(tmp_path / "damaged")
    with jax.profiler.trace(tmp_path / "other"):
        assert "The trace of step 3 cannot begin (" in told_of(tmp_path / "busy")
    stop = jax.profiler.stop_trace
    # The second stop fails as on a full disk; a profiler that cannot write would stay open for the tests that follow.
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: [stop() for _ in range(2)])
    assert "The trace of step 3 cannot be written to" in told_of(tmp_path / "full")


def test_the_table():
    operations = [Operation(f"fusion.{i}", "jit(f)/" + "x/" * i, 12e6 / 2**i, 6) for i in range(30)]
    heading, _, *rows = dearest(operations, steps=3, seconds=0.03).splitlines()
    total = sum(operation.own_ns for operation in operations)
    assert heading == f"10.0 ms a step, operations {total / 3e6:.1f} ms"
    assert len(rows) == 10
    assert rows[0].split() == ["1", "4.000", "50.0%", "2", "fusion.0", "jit(f)/"]
    assert len(dearest(operations[:4], 3, 0.03).splitlines()) == 2 + 4
    long = Operation("fusion.1", "jit(step)/" + "middle/" * 30 + "block_6/same", 1.0, 1)
    shown = dearest([long], 1, 1.0).splitlines()[-1].split(maxsplit=5)[5]
    assert len(shown) == 84
    assert shown.startswith("jit(step)/middle/middle/")
    assert shown.endswith("/block_6/same")
