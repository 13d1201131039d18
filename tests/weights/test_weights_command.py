"""The verb `drumgan weights`."""

import pytest
from verbs import drumgan

from drumgan_jax.weights import store
from drumgan_jax.weights.catalogue import CATALOGUE


@pytest.mark.smoke
def test_list_says_of_every_file_whether_it_is_here(cache):
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "vggish-10086976.pth").write_bytes(b"x")
    lines = drumgan("weights", "list").splitlines()
    assert lines[0] == f"weights in {cache / 'weights'}:"
    assert [line.split()[0] for line in lines[1:]] == list(CATALOGUE)
    assert [" not here " in line for line in lines[1:]] == [False] + [True] * (len(CATALOGUE) - 1)
    assert "289 MB" in lines[1]
    assert "Apache-2.0" in lines[1]
    assert "github.com: VGGish" in lines[1]
    (tagger,) = [line for line in lines if line.split()[0] == "musicnn"]
    assert "ISC" in tagger
    assert "package musicnn==0.1.0: musicnn, a tagger" in tagger


def test_get_looks_at_all_names_before_it_fetches(cache, monkeypatch):
    fetched = []

    def get(name, sha256):
        fetched.append(name)
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        return path

    monkeypatch.setattr(store, "get", get)
    assert "named 'all'" in drumgan("weights", "get", "vggish", "all", status=2)
    assert "--sha256 is of one file" in drumgan("weights", "get", "vggish", "inception", "--sha256=0", status=2)
    assert fetched == []
    said = drumgan("weights", "get", "vggish", "inception")
    assert fetched == ["vggish", "inception"]
    assert f"inception is at {cache / 'inception'} (SHA-256 {store.file_hash(cache / 'vggish')})" in said


@pytest.mark.parametrize("words", [[], ["get"], ["list", "vggish"], ["fetch", "vggish"]])
def test_other_words_are_told_the_right_ones(words):
    assert "drumgan weights list" in drumgan("weights", *words, status=2)
