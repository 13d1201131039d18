"""Instruments from a bucket: what was copied is not read again, damage is noticed, and without a network it plays."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket_cases import Faults, bucket
from instrument_cases import STYLED, make_instrument

from drumgan_jax.core import places
from drumgan_jax.core.errors import BadInput
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import load, save_instrument

pytestmark = pytest.mark.usefixtures("unoptimized")

PACKED, RUN = "gs://drums/packed/toy.npz", "gs://drums/runs/toy"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRUMGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def faults() -> Iterator[Faults]:
    with bucket() as found:
        yield found


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the objects whose content was read, in order."""
    names: list[str] = []
    real = places.read
    monkeypatch.setattr(places, "read", lambda path, *span: names.append(path.name) or real(path, *span))
    return names


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and the wish to do without."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("DRUMGAN_OFFLINE", "1")


def test_a_packed_file_is_read_once(faults: Faults, packed: bytes, instrument: Instrument, read: list[str]) -> None:
    places.write(places.place(PACKED), packed)
    assert [load(PACKED).source, load(PACKED).source] == [PACKED, PACKED]
    assert read == ["toy.npz"]


def test_another_file_of_the_name_and_damage_are_noticed(
    faults: Faults, packed: bytes, cache: Path, read: list[str], tmp_path: Path
) -> None:
    places.write(places.place(PACKED), packed)
    load(PACKED)
    (here,) = cache.glob("buckets/*/toy.npz")
    here.write_bytes(packed[:-1] + b"x")
    load(PACKED)
    assert here.read_bytes() == packed
    save_instrument(tmp_path / "other.npz", make_instrument(STYLED, step=13), {})
    places.write(places.place(PACKED), (tmp_path / "other.npz").read_bytes())
    assert load(PACKED).step == 13
    assert read == 3 * ["toy.npz"]


def test_offline_the_copy_plays(faults: Faults, packed: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places.write(places.place(PACKED), packed)
    model = load(PACKED).model
    offline(monkeypatch)
    assert load(PACKED).model == model
    with pytest.raises(BadInput, match=r"gs://drums/other.npz is not in the cache .*, and DRUMGAN_OFFLINE is set"):
        load("gs://drums/other.npz")
    (here,) = cache.glob("buckets/*/toy.npz")
    here.write_bytes(packed[:1000])
    with pytest.raises(BadInput, match=rf"{PACKED} is not in the cache .*, or not as it was"):
        load(PACKED)


def test_what_cannot_be_read_or_kept(
    faults: Faults, packed: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match=rf"{PACKED} cannot be read \(there is no such object\)"):
        load(PACKED)
    places.write(places.place(PACKED), packed)
    monkeypatch.setattr(places, "read", lambda _, start, end: b"x" * (end - start))
    with pytest.raises(BadInput, match=rf"{PACKED} came damaged twice; try again later"):
        load(PACKED)

    def full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(places, "read", full)
    with pytest.raises(BadInput, match=rf"the cache folder {cache} cannot hold gs://.*; make room, or set"):
        load(PACKED)


def test_of_a_run_the_checkpoint_that_is_played_is_copied(
    faults: Faults, run: Path, tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "16")
    (tmp_path / "run" / "metrics.jsonl").unlink()
    there = places.place(RUN)
    places.upload(tmp_path / "run", there)
    # A line of metrics that is not joined to the others yet.
    places.write(there / "metrics" / "000001", b'{"step": 12, "evaluation/fid/log_mel": 1.0}\n')
    assert (load(RUN).step, load(RUN).source, load(RUN, step="best").step) == (12, RUN, 12)
    before = len(read)
    load(RUN)
    assert len(read) == before
    # Training goes on, and drops what it no longer keeps.
    places.drop(there / "checkpoints")
    places.upload(run / "checkpoints" / "16", there / "checkpoints" / "16")
    assert load(RUN).step == 16
    with pytest.raises(BadInput, match=f"{RUN}: .* has no checkpoint of step 12; it has 16"):
        load(RUN, step=12)
    offline(monkeypatch)
    assert load(RUN).step == 16
    with pytest.raises(BadInput, match="gs://drums/other is not in the cache"):
        load("gs://drums/other")


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(faults: Faults, run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "run")
    (odd,) = (tmp_path / "run" / "checkpoints" / "16" / "ema" / "d").iterdir()
    odd.write_bytes(odd.read_bytes()[:-1] + b"x")
    places.upload(tmp_path / "run", places.place(RUN))
    assert load(RUN).step == 12
    with pytest.raises(BadInput, match=r"is damaged \(its file ema/d/.* is not what was saved\); give another step"):
        load(RUN, step=16)


def test_requests_that_fail_are_tried_again(faults: Faults, packed: bytes) -> None:
    places.write(places.place(PACKED), packed)
    faults.share = 0.4
    for _ in range(3):
        assert load(PACKED).step == 12
    assert sum(faults.happened.values()) > 0
