"""Checkpoints: exact, retained, whole or ignored, and a full disk told in one sentence."""

import collections
import errno
import gc
import json
import os
import shutil
import subprocess
import warnings

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.mesh import make_mesh
from drumgan_jax.core.write_lock import only_writer
from drumgan_jax.runs import checkpoints as module
from drumgan_jax.runs import digests, identity
from drumgan_jax.runs.checkpoint_items import load_ema, load_item, without_digests
from drumgan_jax.runs.checkpoints import Checkpoints, retained
from drumgan_jax.runs.config import complete_steps
from drumgan_jax.systems.formats import current_config

METRIC = "log_mel/frechet"


@flax.struct.dataclass
class State:
    step: jax.Array
    weights: dict
    ema: dict | None


SPLIT, WHOLE = P("fsdp"), P()


def make_state(step, size=64, spec=SPLIT, fsdp=2):
    mesh = make_mesh(-1, fsdp)
    weights = jax.device_put(jnp.arange(size, dtype=jnp.float32) + step, NamedSharding(mesh, spec))
    ema = {"params": {"layer": {"kernel": weights * 2}}, "statistics": {"w_average": jnp.ones(3)}}
    return State(jnp.int32(step), {"a": (weights, {})}, ema)


def target_of(state):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding), state)


@pytest.fixture
def saved(tmp_path):
    with_scores = {2: {METRIC: 0.5}, 4: {METRIC: 3.0}}
    checkpoints = Checkpoints(tmp_path, keep=2, metric=METRIC)
    for step in range(1, 7):
        checkpoints.save(step, make_state(step), with_scores.get(step))
    yield tmp_path, checkpoints
    checkpoints.close()


# Where a read fails, Orbax leaves tasks and coroutines behind that were never awaited, and they warn when collected.
LEFTOVERS = pytest.mark.filterwarnings(
    "ignore:coroutine .* was never awaited:RuntimeWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def failed_reads():
    """Collects what LEFTOVERS is about within the test that caused it."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        gc.collect()


@pytest.mark.smoke
def test_last_and_best_are_kept_and_come_back(saved):
    run_dir, checkpoints = saved
    checkpoints.wait()
    assert complete_steps(run_dir / "checkpoints") == [2, 5, 6]
    assert checkpoints.best() == (2, 0.5)
    assert checkpoints.latest == 6
    again = Checkpoints(run_dir, keep=2, metric=METRIC)
    # Laid out otherwise than it was saved: on another mesh.
    target = target_of(make_state(0, spec=WHOLE, fsdp=1))
    state, step = again.restore(target)
    assert step == 6
    assert state.weights["a"][0].sharding == target.weights["a"][0].sharding
    for one, other in zip(jax.tree.leaves(state), jax.tree.leaves(make_state(6)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.best() == (2, 0.5)
    again.save(6, state)  # there already: nothing to do
    again.close()


def test_ema_loads_alone_without_its_tree(saved):
    run_dir, checkpoints = saved
    checkpoints.wait()
    ema, step = load_ema(run_dir)
    assert step == 6
    kernel = ema["params"]["layer"]["kernel"]
    assert isinstance(kernel, np.ndarray)
    np.testing.assert_array_equal(kernel, (np.arange(64) + 6) * 2)
    np.testing.assert_array_equal(ema["statistics"]["w_average"], np.ones(3))
    assert load_ema(run_dir, 2)[0]["params"]["layer"]["kernel"][0] == 4
    with pytest.raises(BadInput, match=r"has no checkpoint of step 3; it has 2, 5, 6"):
        load_ema(run_dir, 3)
    with pytest.raises(BadInput, match="has no complete checkpoint"):
        load_ema(run_dir / "checkpoints")


def test_a_state_may_be_donated_while_it_is_saved(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1, metric=METRIC)
    state = make_state(1, size=2**20)
    before = np.array(state.weights["a"][0])
    spoil = jax.jit(lambda s: jax.tree.map(lambda leaf: leaf * 0 - 1, s), donate_argnums=0)
    checkpoints.save(1, state)
    state = spoil(state)
    jax.block_until_ready(state)
    restored, _ = checkpoints_after(checkpoints, tmp_path, state)
    np.testing.assert_array_equal(restored.weights["a"][0], before)


def checkpoints_after(checkpoints, run_dir, state):
    checkpoints.close()
    again = Checkpoints(run_dir, keep=1, metric=METRIC)
    try:
        return again.restore(target_of(state))
    finally:
        again.close()


def test_half_written_folders_are_ignored(saved):
    run_dir, checkpoints = saved
    checkpoints.close()
    folder = run_dir / "checkpoints"
    (folder / "9").mkdir()
    shutil.copytree(folder / "6", folder / "8.orbax-checkpoint-tmp")
    again = Checkpoints(run_dir, keep=2, metric=METRIC)
    _, step = again.restore(target_of(make_state(0)))
    assert step == 6
    assert load_ema(run_dir)[1] == 6
    again.save(9, make_state(9))
    again.close()
    assert complete_steps(folder)[-1] == 9


@LEFTOVERS
def test_damaged_checkpoints_are_set_aside(saved, failed_reads):
    run_dir, checkpoints = saved
    checkpoints.close()
    folder = run_dir / "checkpoints"
    damage(folder / "6")
    again = Checkpoints(run_dir, keep=1, metric=METRIC)
    state, step = again.restore(target_of(make_state(0)))
    assert step == 5
    assert (folder / "unreadable-6").is_dir()
    np.testing.assert_array_equal(state.weights["a"][0], make_state(5).weights["a"][0])
    again.save(6, make_state(6))
    again.close()
    assert complete_steps(folder) == [2, 6]


@pytest.mark.parametrize(("processes", "digests_there"), [(1, True), (2, True), (2, False), (1, False)])
def test_only_damage_is_called_damage(saved, monkeypatch, processes, digests_there):
    """What fails for memory, or because another process has died, is no reason to give a checkpoint up."""
    run_dir, checkpoints = saved
    checkpoints.close()
    folder = run_dir / "checkpoints"
    again = Checkpoints(run_dir, keep=3, metric=METRIC)
    if not digests_there:
        for step in (5, 6):
            (folder / str(step) / digests.DIGESTS_NAME).unlink()
    load, error = again._load, RuntimeError("UNAVAILABLE: connection reset by peer\nmore")

    def failing(step, target):
        if step == 6:
            raise error
        return load(step, target)

    monkeypatch.setattr(again, "_load", failing)
    monkeypatch.setattr(module.jax, "process_count", lambda: processes)
    monkeypatch.setattr(module.distributed, "least", lambda number: number)
    if (processes, digests_there) == (1, False):
        assert again.restore(target_of(make_state(0)))[1] == 5
    else:
        with pytest.raises(
            BadInput, match=r"restored \(UNAVAILABLE: connection reset by peer\); give the same"
        ) as told:
            again.restore(target_of(make_state(0)))
        assert (f"{folder / '6'} is what was saved" in str(told.value)) == digests_there
        assert told.value.__cause__ is error
        assert (folder / "6").is_dir()
    monkeypatch.undo()
    again.close()


@LEFTOVERS
def test_nothing_readable_is_not_a_new_start(saved, failed_reads):
    run_dir, checkpoints = saved
    checkpoints.close()
    for step in complete_steps(run_dir / "checkpoints"):
        damage(run_dir / "checkpoints" / str(step))
    again = Checkpoints(run_dir, keep=1, metric=METRIC)
    with pytest.raises(BadInput, match=r"none of the checkpoints in .* can be read"):
        again.restore(target_of(make_state(0)))
    again.close()
    assert len(complete_steps(run_dir / "checkpoints")) == 3
    with pytest.raises(BadInput, match=r"/6 is damaged \(its file ema/d/.* is not what was saved\); give another step"):
        load_ema(run_dir)


def damage(path):
    for file in [file for file in path.rglob("*") if file.is_file() and file.parent.name == "d"]:
        file.write_bytes(b"\0" * file.stat().st_size)


def test_no_checkpoint_is_a_new_start(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=1, metric=METRIC)
    assert checkpoints.restore(target_of(make_state(0))) is None
    assert checkpoints.latest is None
    assert checkpoints.best() is None
    checkpoints.close()


def test_a_disk_about_to_be_full_is_told_before_writing(saved, monkeypatch):
    _, checkpoints = saved
    checkpoints.wait()
    usage = collections.namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage(10**6, 10**6 - 1000, 1000))
    expected = (
        r"checkpoints is too full .* needs 1,0\d\d,\d\d\d bytes and has 1,000 bytes free; the last good one is step 6;"
    )
    with pytest.raises(BadInput, match=expected):
        checkpoints.save(7, make_state(7))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_write_errors_of_a_full_disk_are_translated(saved, monkeypatch, number):
    _, checkpoints = saved
    checkpoints.wait()

    class Response:
        def result(self):
            try:
                raise OSError(number, os.strerror(number))
            except OSError as error:
                raise ValueError("RESOURCE_EXHAUSTED: writing failed") from error

    monkeypatch.setattr(module.ocp, "save_checkpointables_async", lambda *args, **options: Response())
    checkpoints.save(7, make_state(7))
    with pytest.raises(BadInput, match=r"too full for a checkpoint: it has .* bytes free; the last good one is step 6"):
        checkpoints.wait()


def test_a_really_full_disk(tmp_path):
    mount = tmp_path / "small"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", mount], capture_output=True).returncode:
        pytest.skip("no permission to mount a small disk")
    try:
        checkpoints = Checkpoints(mount, keep=1, metric=METRIC)
        random = jax.device_put(np.random.default_rng(0).normal(size=2**18).astype(np.float32))
        state = make_state(1).replace(weights={"a": (random, {})})
        checkpoints.save(1, state)
        checkpoints.wait()
        # Passes the check beforehand, and runs full while it is written.
        checkpoints._check_room = lambda state: None
        (mount / "other").write_bytes(b"\1" * (shutil.disk_usage(mount).free - 2**19))
        with pytest.raises(BadInput, match=r"too full for a checkpoint: .*; the last good one is step 1; make room"):
            save_and_wait(checkpoints, state)
        checkpoints.close()
        (mount / "other").unlink()
        again = Checkpoints(mount, keep=1, metric=METRIC)
        _, step = again.restore(target_of(state))
        assert step == 1
        again.save(2, state)
        again.close()
        assert complete_steps(mount / "checkpoints") == [2]
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)


def save_and_wait(checkpoints, state):
    checkpoints.save(2, state)
    checkpoints.wait()


def flip(path, position=None):
    """One bit of a file, in its middle if not said otherwise."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if position is None else position] ^= 4
    path.write_bytes(content)


def test_a_bit_of_any_file_is_noticed(saved):
    run_dir, checkpoints = saved
    checkpoints.wait()
    step = run_dir / "checkpoints" / "6"
    files = [path for path in step.rglob("*") if path.is_file() and path.stat().st_size]
    assert len(files) > 20
    for path in files:
        for position in (0, None, -1):
            flip(path, position)
            assert digests.first_altered(step) is not None, (path, position)
            flip(path, position)
        whole = path.read_bytes()
        path.write_bytes(whole[:-2])
        assert digests.first_altered(step) is not None
        path.write_bytes(whole + b"\0")
        assert digests.first_altered(step) is not None
        path.unlink()
        if path.name != digests.DIGESTS_NAME:
            assert digests.first_altered(step) == path.relative_to(step).as_posix()
        path.write_bytes(whole)
    assert digests.first_altered(step) is None


def test_a_checkpoint_in_anothers_folder_is_not_taken_for_it(saved, caplog):
    run_dir, checkpoints = saved
    checkpoints.close()
    folder = run_dir / "checkpoints"
    (folder / "6").rename(folder / "60")
    with pytest.raises(BadInput, match=r"60 holds step 6: its folder was renamed; give it that name, or give another"):
        load_ema(run_dir, 60)
    caplog.clear()
    assert load_ema(run_dir)[1] == 5
    again = Checkpoints(run_dir, keep=3, metric=METRIC)
    _, step = again.restore(target_of(make_state(0)))
    again.close()
    assert step == 5
    assert "it holds another step: its folder was renamed" in caplog.messages[-1]


def test_one_flipped_bit_and_the_run_goes_on_from_the_step_before(saved, caplog):
    run_dir, checkpoints = saved
    checkpoints.close()
    folder = run_dir / "checkpoints"
    (array,) = (folder / "6" / "train" / "ocdbt.process_0" / "d").iterdir()
    flip(array)
    # The weights to be played are sound, and are loaded; the rest of the state is not.
    assert load_ema(run_dir)[1] == 6
    caplog.clear()
    assert load_item(run_dir, "train")[1] == 5
    assert [message for message in caplog.messages if "checkpoints/6 is damaged" in message] == [
        f"{folder}/6 is damaged (its file {array.relative_to(folder / '6')} is not what was saved); give another step."
        " Step 5 is taken."
    ]
    with pytest.raises(BadInput, match=r"/6 is damaged \(its file train/.* is not what was saved\); give another step"):
        load_item(run_dir, "train", 6)
    caplog.clear()
    again = Checkpoints(run_dir, keep=2, metric=METRIC)
    _, step = again.restore(target_of(make_state(0)))
    again.close()
    assert step == 5
    (sentence,) = caplog.messages
    assert "is now unreadable-6; the run goes on from step 5" in sentence
    assert complete_steps(folder) == [2, 5]


def test_a_checkpoint_counts_when_its_digests_are_there_and_earlier_ones_stay_until_then(tmp_path, monkeypatch, caplog):
    checkpoints = Checkpoints(tmp_path, keep=1, metric=METRIC)
    checkpoints.save(1, make_state(1))
    checkpoints.wait()
    folder = tmp_path / "checkpoints"

    def full(path):
        # As between Orbax's renaming and the digests.
        assert (path / digests.METADATA_NAME).is_file()
        assert complete_steps(folder) == [1]
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(module.digests, "write_digests", full)
        checkpoints.save(2, make_state(2))
        with pytest.raises(BadInput, match=r"too full for a checkpoint: .*; the last good one is step 1; make room"):
            checkpoints.close()
    assert load_ema(tmp_path)[1] == 1
    caplog.clear()
    again = Checkpoints(tmp_path, keep=1, metric=METRIC)
    assert caplog.messages == [f"{folder}/2 was not complete when its process ended, and is now incomplete-2."]
    assert again.restore(target_of(make_state(0)))[1] == 1
    again.save(2, make_state(2))
    again.close()
    assert sorted(os.listdir(folder)) == ["2", "incomplete-2"]
    listed = json.loads((folder / "2" / digests.DIGESTS_NAME).read_text())["crc32c"]
    there = {path.relative_to(folder / "2").as_posix() for path in (folder / "2").rglob("*") if path.is_file()}
    assert there == {*listed, digests.DIGESTS_NAME}


def test_a_checkpoint_of_an_earlier_version_is_loaded_with_a_sentence(tmp_path, caplog):
    """As versions before digests left it: without them, and with its figures in an item of their own."""
    state = make_state(3)
    items = {"train": state.replace(ema=None), "ema": state.ema, "data": {"step": 3}}
    path = tmp_path / "checkpoints" / "3"
    module.ocp.save_checkpointables(path, items)
    (path / "metrics").mkdir()
    (path / "metrics" / "metrics").write_text(json.dumps({METRIC: 0.25}))
    caplog.clear()
    assert load_ema(tmp_path)[1] == 3
    assert caplog.messages == [without_digests(path)]
    caplog.clear()
    checkpoints = Checkpoints(tmp_path, keep=1, metric=METRIC)
    assert checkpoints.best() == (3, 0.25)
    assert checkpoints.restore(target_of(state))[1] == 3
    assert caplog.messages == [without_digests(path)]
    (path / "metrics" / "metrics").write_text("{")
    checkpoints.close()
    damaged = Checkpoints(tmp_path, keep=1, metric=METRIC)
    assert damaged.best() is None
    assert "so it is not the best" in caplog.messages[-1]
    damaged.close()


def test_what_is_kept():
    inf = float("inf")
    figures = {1: inf, 2: 0.5, 3: 0.5, 4: inf, 5: 2.0, 6: inf}
    assert retained(figures, 2, ()) == {5, 6, 2}
    assert retained(figures, 1, (4, 7)) == {6, 4, 2}
    assert retained({1: inf, 2: inf}, 1, ()) == {2}
    assert retained({}, 3, (1,)) == set()


def test_a_later_step_that_nobody_completes_is_told(saved, caplog):
    run_dir, checkpoints = saved
    checkpoints.wait()
    (run_dir / "checkpoints" / "6" / "digests.json").unlink()
    with only_writer(run_dir, "drumgan train", ""):
        assert load_ema(run_dir)[1] == 5
    assert not caplog.messages
    assert load_ema(run_dir)[1] == 5
    (told,) = caplog.messages
    assert "6 is not complete: it has no digests.json, as where its process was killed. Step 5 is taken." in told
    caplog.clear()
    assert load_ema(run_dir, 2)[1] == 2
    assert not caplog.messages


def test_a_run_directory_that_is_deleted_meanwhile_is_told(saved):
    run_dir, checkpoints = saved
    checkpoints.wait()
    shutil.rmtree(run_dir / "checkpoints")
    with pytest.raises(BadInput, match="checkpoints is gone: it was deleted or moved while training wrote to it"):
        checkpoints.save(7, make_state(7))


def test_the_config_is_compared_with_the_step_that_is_restored(tmp_path):
    """Whichever that is: the newest one may be damaged."""
    config = {"task": {"kind": "gan"}, "labels": ["kick", "snare"], "train": {"batch_size": 8}}
    checkpoints = Checkpoints(tmp_path, keep=2, metric=METRIC, config=config)
    for step in (1, 2):
        # A figure that is NaN must not hide the config beside it.
        checkpoints.save(step, make_state(step), {METRIC: 1.0, "other": float("nan")})
    checkpoints.close()
    folder = tmp_path / "checkpoints"
    assert identity.config_at_save(folder / "2")["labels"] == ["kick", "snare"]
    metadata = folder / "2" / "_CHECKPOINT_METADATA"
    metadata.write_bytes(metadata.read_bytes()[:-1])
    other = {**config, "labels": ["snare", "kick"], "train": {"batch_size": 4, "total_images": 3}}
    again = Checkpoints(tmp_path, keep=2, metric=METRIC, config=current_config(other))
    wanted = "config.json: it is not the config that step 1 was saved with, and differs in labels, train.batch_size;"
    with pytest.raises(BadInput, match=wanted):
        again.restore(target_of(make_state(0)))
    again.close()
    again = Checkpoints(tmp_path, keep=2, metric=METRIC, config=current_config(config))
    assert again.restore(target_of(make_state(0)))[1] == 1
    again.close()


def test_a_killed_save_with_a_figure_that_is_nan_does_not_count(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2, metric=METRIC)
    checkpoints.save(1, make_state(1), {METRIC: float("nan")})
    checkpoints.close()
    assert complete_steps(tmp_path / "checkpoints") == [1]
    (tmp_path / "checkpoints" / "1" / "digests.json").unlink()
    assert complete_steps(tmp_path / "checkpoints") == []
