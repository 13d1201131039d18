"""The verb `drumgan weights`."""

import pytest

from drumgan_jax.commands import weights
from drumgan_jax.core.errors import BadInput
from drumgan_jax.weights import store
from drumgan_jax.weights.catalogue import CATALOGUE


@pytest.mark.smoke
def test_list_says_of_every_file_whether_it_is_here(cache, capsys):
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / "vggish-10086976.pth").write_bytes(b"x")
    weights.main(["drumgan weights", "list"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"weights in {cache / 'weights'}:"
    assert [line.split()[0] for line in lines[1:]] == list(CATALOGUE)
    assert [" not here " in line for line in lines[1:]] == [False] + [True] * (len(CATALOGUE) - 1)
    assert "289 MB" in lines[1]
    assert "Apache-2.0" in lines[1]
    assert "github.com: VGGish" in lines[1]
    (tagger,) = [line for line in lines if line.split()[0] == "musicnn"]
    assert "ISC" in tagger
    assert "package musicnn==0.1.0: musicnn, a tagger" in tagger


def test_get_looks_at_all_names_before_it_fetches(cache, capsys, monkeypatch):
    fetched = []

    def get(name):
        fetched.append(name)
        path = cache / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
        return path

    monkeypatch.setattr(store, "get", get)
    with pytest.raises(BadInput, match="named 'all'"):
        weights.main(["drumgan weights", "get", "vggish", "all"])
    assert fetched == []
    weights.main(["drumgan weights", "get", "vggish", "inception"])
    assert fetched == ["vggish", "inception"]
    assert (
        f"inception is at {cache / 'inception'} (SHA-256 {store.file_hash(cache / 'vggish')})"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("words", [[], ["get"], ["list", "vggish"], ["fetch", "vggish"]])
def test_other_words_are_told_the_right_ones(words):
    with pytest.raises(BadInput, match="drumgan weights list"):
        weights.main(["drumgan weights", *words])
