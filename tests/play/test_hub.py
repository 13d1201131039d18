"""Instruments from a hub: what is fetched, what is kept, what is noticed, and the sentence for each refusal."""

import errno
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_cases import Hub, lead_to, serving

from drumgan_jax.core.errors import BadInput
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import load

pytestmark = pytest.mark.usefixtures("unoptimized")

PACKED, RUN = "drums/packed", "drums/run"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def hub(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as found:
        lead_to(found.address, cache, monkeypatch)
        yield found


@pytest.fixture
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library waits no seconds before it tries again."""
    for module in ("file_download", "utils._http"):
        monkeypatch.setattr(f"huggingface_hub.{module}.time", SimpleNamespace(sleep=lambda _: None))


@pytest.fixture
def published(hub: Hub, packed: bytes) -> str:
    """The hash of a commit with one packed file."""
    return hub.push(PACKED, {"README.md": b"drums", "toy.npz": packed})


def kept(cache: Path, commit: str, name: str = "toy.npz") -> Path:
    """A file of the library's cache."""
    (found,) = cache.glob(f"*/snapshots/{commit}/{name}")
    return found


def test_a_packed_file_is_loaded_once_and_its_commit_is_told(hub: Hub, published: str, instrument: Instrument) -> None:
    found = load(f"hf://{PACKED}")
    assert (found.step, found.label_names) == (instrument.step, instrument.label_names)
    assert found.source == f"hf://{PACKED}@{published}/toy.npz"
    assert hub.fetched == ["toy.npz"]
    again = load(found.source)
    assert again.source == found.source
    assert again.model == found.model
    assert hub.fetched == ["toy.npz"]


def test_what_is_pinned_stays_when_the_branch_goes_on(hub: Hub, published: str, run: Path) -> None:
    pinned = load(f"hf://{PACKED}").source
    later = hub.push_folder(PACKED, run)
    assert load(f"hf://{PACKED}").source == f"hf://{PACKED}@{later}"
    assert load(pinned).source == pinned
    hub.revisions[PACKED]["v1"] = published
    assert load(f"hf://{PACKED}@v1").source == pinned


def test_of_a_run_only_what_is_played_is_fetched(hub: Hub, run: Path, instrument: Instrument) -> None:
    commit = hub.push_folder(RUN, run)
    found = load(f"hf://{RUN}")
    assert (found.step, found.model) == (16, instrument.model)
    assert found.source == f"hf://{RUN}@{commit}"
    assert "config.json" in hub.fetched
    assert "metrics.jsonl" not in hub.fetched
    assert [name for name in hub.fetched if "/train/" in name] == []
    assert [name for name in hub.fetched if name.startswith("checkpoints/12/ema")] == []
    assert load(f"hf://{RUN}", step="best").step == 12
    assert load(f"hf://{RUN}", step=12).step == 12
    with pytest.raises(BadInput, match=f"hf://{RUN}: .*{commit} has no checkpoint of step 13; it has 12, 16"):
        load(f"hf://{RUN}", step=13)


def test_a_run_in_a_folder_of_a_repository(hub: Hub, run: Path, packed: bytes) -> None:
    files = {f"runs/one/{path.relative_to(run)}": path.read_bytes() for path in run.rglob("*") if path.is_file()}
    hub.push(RUN, {**files, "packed/toy.npz": packed, "packed/other.npz": packed})
    assert load(f"hf://{RUN}/runs/one").step == 16
    assert load(f"hf://{RUN}/packed/toy.npz").step == 12
    several = f"hf://{RUN}/packed has several packed files .*; give the path of one: hf://{RUN}/packed/"
    with pytest.raises(BadInput, match=several):
        load(f"hf://{RUN}/packed")
    with pytest.raises(BadInput, match="has neither a file of drumgan pack"):
        load(f"hf://{RUN}")
    with pytest.raises(BadInput, match=r"there is no file lost.npz; packed files there: packed/"):
        load(f"hf://{RUN}/lost.npz")


def test_damage_in_the_cache_is_found_and_mended(hub: Hub, published: str, cache: Path, packed: bytes) -> None:
    load(f"hf://{PACKED}")
    path = kept(cache, published)
    for damage in (packed[:-1] + b"x", packed[:1000]):
        path.resolve().write_bytes(damage)
        load(f"hf://{PACKED}")
        assert path.read_bytes() == packed
    assert hub.fetched == 3 * ["toy.npz"]


@pytest.mark.parametrize("fault", ["changed", "short", "cut", "unavailable"])
def test_a_fault_on_the_way_is_mended(hub: Hub, published: str, fault: str, no_waits: None) -> None:
    hub.faults = [fault]
    assert load(f"hf://{PACKED}@{published}").step == 12
    assert hub.faults == []


def test_what_stays_damaged_is_refused(hub: Hub, published: str, packed: bytes, no_waits: None) -> None:
    hub.faults = 2 * ["changed"]
    with pytest.raises(BadInput, match=rf"hf://{PACKED}: toy.npz came damaged twice; try again later"):
        load(f"hf://{PACKED}")
    hub.push(PACKED, {"other.npz": packed + b"x"})
    hub.faults = 2 * ["short"]
    with pytest.raises(BadInput, match=rf"hf://{PACKED} cannot be fetched \(Consistency check failed"):
        load(f"hf://{PACKED}")
    # It is so in the repository: what was uploaded is not what was packed.
    hub.push(PACKED, {"toy.npz": packed[:-100]})
    with pytest.raises(BadInput, match=f"hf://{PACKED}: .*toy.npz is not an instrument's file, or is damaged"):
        load(f"hf://{PACKED}")


@pytest.mark.parametrize("variable", ["DRUMGAN_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_the_cache_is_used(
    hub: Hub, published: str, variable: str, cache: Path, packed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = load(f"hf://{PACKED}").source
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", variable == "HF_HUB_OFFLINE")
    hub.asked.clear()
    assert load(f"hf://{PACKED}").source == load(source).source == source
    with pytest.raises(BadInput, match=rf"hf://drums/other is not in the cache .*, and {variable} is set; unset it"):
        load("hf://drums/other")
    with pytest.raises(BadInput, match=rf"@v9 is not in the cache .* {variable}"):
        load(f"hf://{PACKED}@v9")
    kept(cache, published).resolve().write_bytes(packed[:1000])
    with pytest.raises(BadInput, match=rf"toy.npz is damaged in the cache .* while {variable} is set; unset it"):
        load(f"hf://{PACKED}")
    assert hub.asked == []


def test_offline_another_step_of_a_run_is_not_here(hub: Hub, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.push_folder(RUN, run)
    load(f"hf://{RUN}")
    monkeypatch.setenv("DRUMGAN_OFFLINE", "1")
    assert load(f"hf://{RUN}").step == 16
    with pytest.raises(BadInput, match=f"hf://{RUN} is not in the cache .*, or not all of it, and DRUMGAN_OFFLINE"):
        load(f"hf://{RUN}", step=12)


def test_without_a_network_the_cache_is_used(
    hub: Hub, published: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = load(f"hf://{PACKED}").source
    lead_to("http://127.0.0.1:9", cache, monkeypatch)
    assert load(f"hf://{PACKED}").source == source
    with pytest.raises(BadInput, match=r"hf://drums/other cannot be reached \(.*refused.*\), and is not in the cache"):
        load("hf://drums/other")


def test_a_hub_that_refuses(hub: Hub, published: str) -> None:
    hub.refused = {"drums/gated": "GatedRepo", "drums/private": "RepoNotFound"}
    hub.push("drums/gated", {"toy.npz": b"x" * 100})
    refused = {
        "hf://drums/gated": "hf://drums/gated is gated: ask for access on its page at .*, and log in",
        "hf://drums/private": "hf://drums/private is not at http.*, or is private; correct the name, or log in",
        "hf://drums/nobody": "hf://drums/nobody is not at http.*, or is private",
        f"hf://{PACKED}@v9": f"hf://{PACKED}@v9: there is no such revision; give a branch, a tag or a commit's whole",
        f"hf://{PACKED}@{'0' * 40}": "there is no such revision",
        "hf://drums": r"hf://drums is no address of a repository; write hf://OWNER/NAME\[@REVISION\]",
        "hf://datasets/a/b": "is of a dataset, and models alone can be loaded",
        "hf://drums/packed@": "is no address of a repository",
    }
    for address, sentence in refused.items():
        with pytest.raises(BadInput, match=sentence):
            load(address)


def test_a_full_disk_is_told(hub: Hub, published: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    with pytest.raises(BadInput, match=f"is too full for hf://{PACKED}; make room, or set HF_HOME"):
        load(f"hf://{PACKED}")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(BadInput, match=r"huggingface_hub, which is not installed; pip install 'drumgan-jax\[hub\]'"):
        load(f"hf://{PACKED}")


def test_the_environment_leads_the_library(hub: Hub, published: str, cache: Path) -> None:
    """As in a notebook: nothing in this process is patched for the one that fetches."""
    code = (
        "from drumgan_jax.core.hub import open_hub;"
        f"there = open_hub('hf://{PACKED}'); there.fetch(['toy.npz']); print(there.pinned)"
    )
    variables = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_CACHE": str(cache)}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [f"hf://{PACKED}@{published}"]
    # Small as it is, nobody is shown how far it is.
    assert done.stderr == ""
    assert kept(cache, published).is_file()


def test_a_large_file_shows_how_far_it_is(
    hub: Hub, published: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("drumgan_jax.core.hub.WORTH_A_BAR", 1000)
    monkeypatch.setenv("TQDM_POSITION", "-1")
    load(f"hf://{PACKED}")
    assert "100%" in capsys.readouterr().err
