"""Fetching: whole and verified or not at all, resumed where it broke off, one sentence where it cannot be."""

import dataclasses
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jax
import numpy as np
import pytest
import torch_writer
from flax.traverse_util import flatten_dict

from drumgan_jax.core.errors import BadInput
from drumgan_jax.networks.short_chunk import ShortChunk
from drumgan_jax.systems.feature_networks import PUBLISHED
from drumgan_jax.weights import store
from drumgan_jax.weights.catalogue import CATALOGUE

CONTENT = np.random.default_rng(0).bytes(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Publisher(BaseHTTPRequestHandler):
    """Serves the server's `content`; honours ranges if it says so, and breaks off after `most` bytes."""

    def do_GET(self):
        content, start = self.server.content, 0
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if wanted and self.server.resumes:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_response(416)
                if self.server.tells_size:
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + self.server.most])

    def log_message(self, *_):
        pass


@pytest.fixture
def publisher(monkeypatch, cache):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Publisher)
    server.content, server.ranges, server.most = CONTENT, [], 10**9
    server.resumes = server.tells_size = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/weights.pth"
    offer(monkeypatch, url=url, sha256=DIGEST)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    # A server of https would need a certificate that this process trusts.
    monkeypatch.setattr(store, "_HTTPS", "http")
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def offer(monkeypatch, **changes):
    changed = dataclasses.replace(CATALOGUE["vggish"], **changes)
    monkeypatch.setitem(CATALOGUE, "vggish", changed)


def files(cache):
    return sorted(path.name for path in (cache / "weights").iterdir())


@pytest.mark.smoke
def test_a_fetched_file_is_whole_and_is_not_fetched_again(publisher, cache, capfd):
    path = store.get("vggish")
    assert path == cache / "weights" / "vggish-10086976.pth"
    assert path.read_bytes() == CONTENT
    assert files(cache) == [path.name]
    assert "3.00M/3.00M" in capfd.readouterr().err
    assert store.get("vggish") == store.find("vggish") == path
    assert publisher.ranges == [None]


def test_a_fetch_that_broke_off_goes_on_where_it_stopped(publisher, cache):
    publisher.most = 1_200_000
    with pytest.raises(BadInput, match=r"could not be downloaded .* get vggish` again"):
        store.get("vggish")
    assert files(cache) == ["vggish-10086976.pth.partial"]
    with pytest.raises(BadInput, match="run `drumgan weights get vggish`"):
        store.find("vggish")
    there = (cache / "weights" / files(cache)[0]).stat().st_size
    assert 0 < there <= 1_200_000
    publisher.most = 10**9
    assert store.get("vggish").read_bytes() == CONTENT
    assert publisher.ranges == [None, f"bytes={there}-"]


def test_a_publisher_without_ranges_is_asked_for_the_whole(publisher, cache):
    publisher.resumes = False
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "vggish-10086976.pth.partial").write_bytes(CONTENT[:1000])
    assert store.get("vggish").read_bytes() == CONTENT


def test_a_part_that_is_whole_already_only_takes_its_name(publisher, cache):
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "vggish-10086976.pth.partial").write_bytes(CONTENT)
    assert store.get("vggish").read_bytes() == CONTENT
    assert publisher.ranges == [f"bytes={len(CONTENT)}-"]


@pytest.mark.smoke
def test_another_digest_is_told_and_nothing_is_kept(publisher, cache):
    publisher.content = CONTENT[:-1] + b"?"
    with pytest.raises(BadInput, match=f"SHA-256 {hashlib.sha256(publisher.content).hexdigest()}, not .* {DIGEST}"):
        store.get("vggish")
    assert files(cache) == []


def state_dict(tmp_path, size):
    torch_writer.write(tmp_path / "published.pth", {"x": np.arange(size, dtype=np.float32)})
    return (tmp_path / "published.pth").read_bytes()


def test_a_publishers_digest_may_be_that_of_git(publisher, cache, monkeypatch):
    blob = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()
    offer(monkeypatch, url=CATALOGUE["vggish"].url, sha256="", git_blob=blob)
    assert store.get("vggish").read_bytes() == CONTENT
    store.find("vggish").write_bytes(CONTENT[:-1])
    for function in (store.get, store.load):
        with pytest.raises(BadInput, match=f"has the Git object name .*, not the published {blob}; delete it"):
            function("vggish")


def test_without_a_published_digest_one_is_demanded_and_kept(publisher, cache, monkeypatch, tmp_path):
    publisher.content = state_dict(tmp_path, 100)
    offer(monkeypatch, url=CATALOGUE["vggish"].url, sha256="")
    digest = hashlib.sha256(publisher.content).hexdigest()
    for given, told in (("", "nobody publishes a digest of vggish"), ("00000000", "it must be 64 digits in hex")):
        with pytest.raises(BadInput, match=told):
            store.get("vggish", given)
    with pytest.raises(BadInput, match=f"has SHA-256 {digest}, not the published {'0' * 64}, and was removed"):
        store.get("vggish", "0" * 64)
    assert files(cache) == []
    # A file that somebody put there is no better known than one that was fetched.
    (cache / "weights" / "vggish-10086976.pth").write_bytes(publisher.content)
    with pytest.raises(BadInput, match=r"run `drumgan weights get vggish --sha256=HEX`"):
        store.load("vggish")
    (cache / "weights" / "vggish-10086976.pth").unlink()
    assert store.get("vggish", digest.upper()).read_bytes() == publisher.content
    state, found = store.load("vggish")
    assert found == digest
    assert len(state["x"]) == 100
    offer(monkeypatch, sha256=digest)
    with pytest.raises(BadInput, match="the digest of vggish is published; leave --sha256 out"):
        store.get("vggish", digest)


class Elsewhere(Publisher):
    def do_GET(self):
        self.send_response(302)
        self.send_header("Location", "ftp://127.0.0.1/weights.pth")
        self.end_headers()


def test_only_https_is_fetched_and_followed(publisher, cache, monkeypatch):
    publisher.RequestHandlerClass = Elsewhere
    with pytest.raises(BadInput, match=r"ftp://127\.0\.0\.1/weights\.pth is no https address"):
        store.get("vggish")
    monkeypatch.undo()
    monkeypatch.setenv("DRUMGAN_CACHE", str(cache))
    offer(monkeypatch, url=f"http://127.0.0.1:{publisher.server_port}/weights.pth")
    with pytest.raises(BadInput, match="is no https address"):
        store.get("vggish")
    assert files(cache) == []


@pytest.mark.parametrize("tells_size", [False, True])
def test_a_part_longer_than_the_file_is_never_taken_for_it(publisher, cache, monkeypatch, tmp_path, tells_size):
    part = state_dict(tmp_path, 200)
    publisher.content, publisher.tells_size = state_dict(tmp_path, 100), tells_size
    offer(monkeypatch, url=CATALOGUE["vggish"].url, sha256=hashlib.sha256(publisher.content).hexdigest())
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "vggish-10086976.pth.partial").write_bytes(part)
    if not tells_size:
        with pytest.raises(BadInput, match="and was removed; try again"):
            store.get("vggish")
    assert store.get("vggish").read_bytes() == publisher.content
    assert publisher.ranges == [f"bytes={len(part)}-", None]


def test_a_fetch_without_a_bar_is_whole(publisher, cache, monkeypatch):
    class Silent(store.tqdm):
        def __init__(self, **options):
            super().__init__(**options, disable=True)

    monkeypatch.setattr(store, "tqdm", Silent)
    assert store.get("vggish").read_bytes() == CONTENT


def test_a_cache_folder_that_cannot_be_made_is_told_with_the_mend(publisher, cache):
    cache.write_bytes(b"")
    with pytest.raises(BadInput, match=rf"cache folder {cache / 'weights'} cannot be used .* set DRUMGAN_CACHE"):
        store.get("vggish")
    assert publisher.ranges == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
def test_a_full_disk_is_told_with_the_mend(publisher, cache):
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "vggish-10086976.pth.partial").symlink_to("/dev/full")
    with pytest.raises(BadInput, match=r"cannot be used \(No space left on device\); .* free space"):
        store.get("vggish")


def test_offline_is_one_sentence_that_says_where_to_put_the_file(publisher, cache, monkeypatch):
    offer(monkeypatch, url="http://127.0.0.1:1/weights.pth")
    with pytest.raises(BadInput, match=r"could not be downloaded \(.*refused.*put the file at .*vggish-10086976\.pth"):
        store.get("vggish")


def of_torch(variables):
    """The state dict, by PyTorch's names and layout, of a network's variables."""
    named = {"scale": "weight", "mean": "running_mean", "var": "running_var", "kernel": "weight", "bias": "bias"}
    state = {}
    for (_, *modules, leaf), array in flatten_dict(variables).items():
        axes = {2: (1, 0), 4: (3, 2, 0, 1)}.get(array.ndim if leaf == "kernel" else 0, range(array.ndim))
        state[".".join([*modules, named[leaf]])] = np.ascontiguousarray(np.asarray(array).transpose(axes))
    return state


@pytest.mark.parametrize(
    ("name", "labels", "blocks", "nested"),
    [
        ("short_chunk_tags", 50, (1, 1, 2, 2, 2, 2), False),
        ("short_chunk_drum_loops", 66, (1, 1, 2, 2, 2, 4), True),
        ("short_chunk_synth_loops", 58, (1, 1, 2, 2, 2, 4), True),
    ],
)
def test_files_laid_out_as_the_release_of_pjloopgan_are_read(cache, monkeypatch, name, labels, blocks, nested):
    network = ShortChunk(labels, 2, blocks)
    shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, 64, 64, 1), np.float32))
    random = np.random.default_rng(0)
    variables = jax.tree.map(lambda spec: random.normal(size=spec.shape).astype(np.float32), dict(shapes))
    state = {"spec.mel_scale.fb": np.ones((257, 64), np.float32), **of_torch(variables)}
    if not nested:
        # Of a block that is in the file and not in the network.
        state["layer7.conv_1.weight"] = np.ones((8, 4, 3, 3), np.float32)
    path = cache / "weights" / CATALOGUE[name].file_name
    path.parent.mkdir(parents=True)
    if nested:
        arrays = {str(key): array for key, array in enumerate(state.values())}
        tensors = zip(state, map(torch_writer.tensor, arrays, arrays.values(), [False] * len(arrays)), strict=True)
        saved = {"epoch": 3, "model_state_dict": torch_writer.ordered(tensors), "loss": 0.5}
        torch_writer.write_raw(path, torch_writer.ordered(saved.items()), arrays)
    else:
        torch_writer.write(path, state)
    monkeypatch.setitem(CATALOGUE, name, dataclasses.replace(CATALOGUE[name], git_blob=store.git_blob(path)))
    found, _ = store.load(name)
    jax.tree.map(np.testing.assert_array_equal, PUBLISHED[name].convert(found, network), variables)
    whole = PUBLISHED[name].network
    assert (whole.num_labels, whole.blocks) == (labels, blocks)


def test_loading_verifies_the_file(cache, monkeypatch):
    (cache / "weights").mkdir(parents=True)
    path = cache / "weights" / "vggish-10086976.pth"
    torch_writer.write(path, {"x": np.arange(3.0)})
    with pytest.raises(BadInput, match="delete it and run `drumgan weights get vggish`"):
        store.load("vggish")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    offer(monkeypatch, sha256=digest)
    state, found = store.load("vggish")
    assert found == digest == store.file_hash(path)
    np.testing.assert_array_equal(state["x"], np.arange(3.0))


def test_unknown_names_are_refused_with_the_known_ones(cache):
    for function in (store.find, store.get, store.load):
        with pytest.raises(BadInput, match="named 'vgg'; there are drumgan_vst, inception, musicnn, musicnn_mtt,"):
            function("vgg")


def test_without_a_setting_the_cache_is_in_the_home(monkeypatch, tmp_path):
    monkeypatch.delenv("DRUMGAN_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.folder() == tmp_path / ".cache" / "drumgan" / "weights"


def test_the_catalogue_agrees_with_itself():
    for name, file in CATALOGUE.items():
        assert name == file.name
        assert file.url.startswith("https://")
        assert set(file.sha256) <= set("0123456789abcdef")
        assert len(file.sha256) in (0, 64)
        assert set(file.git_blob) <= set("0123456789abcdef")
        assert len(file.git_blob) in (0, 40)
        assert not (file.sha256 and file.git_blob)
    # That of which no digest is published.
    assert [name for name, file in CATALOGUE.items() if not file.has_digest] == ["short_chunk"]
    # The hub's convention: the file's name carries the digest's first digits.
    for name in ("vggish", "inception"):
        assert CATALOGUE[name].file_name.endswith(f"-{CATALOGUE[name].sha256[:8]}.pth")
        assert CATALOGUE[name].url.endswith(CATALOGUE[name].file_name)
