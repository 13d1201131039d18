"""~ is the home in every flag that is a path, and in addresses that have one."""

import contextlib
from pathlib import Path

import pytest
from absl import flags
from verbs import drumgan, verb_alone

from drumgan_jax import cli
from drumgan_jax.core.paths import expand

# Every flag that is a path, or may be one.
PATHS = {
    "prepare": {"audio", "data_dir"},
    "label": {"data_dir", "classifier", "workdir"},
    "train": {"workdir"},
    "generate": {"run", "out", "vocoder", "latents"},
    "encode": {"run", "out", "vocoder", "audio"},
    "interpolate": {"run", "out", "vocoder", "a", "b"},
    "explore": {"run", "out", "vocoder"},
    "sweep": {"workdir", "data"},
    "launch": {"workdir", "data", "out"},
    "fit": {"workdir"},
    "evaluate": {"run", "data", "vocoder", "wavs", "reference", "save_statistics", "out", "others", "judge"},
    "compare": {"plot", "csv"},
    "pack": {"run", "out", "vocoder", "held_out"},
    "check": set(),
    "plan": {"json"},
    "configs": set(),
    "weights": set(),
}

# Those that take an address on a hub.
OF_A_HUB = {verb: {"run"} for verb in ("generate", "encode", "interpolate", "explore")}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~/a/b", "HOME/a/b"),
        ("~", "HOME"),
        ("sequenced:~/one shots?count=3", "sequenced:HOME/one shots?count=3"),
        ("tfds:~/set", "tfds:HOME/set"),
        ("is:~/classes.npz", "is:HOME/classes.npz"),
        ("a/~/b", "a/~/b"),
        ("/a:~/b", "/a:~/b"),
        ("synthetic:drums?count=3", "synthetic:drums?count=3"),
        ("~nobody-of-this-name/a", "~nobody-of-this-name/a"),
        ("", ""),
    ],
)
def test_what_is_expanded(home: Path, written: str, meant: str) -> None:
    assert expand(written) == meant.replace("HOME", str(home))


@pytest.mark.parametrize("verb", cli.VERBS)
def test_path_flags_begin_at_home(home: Path, verb: str) -> None:
    with verb_alone(verb) as module:
        defined = flags.FLAGS.flags_by_module_dict().get(module.__name__, [])
        assert {flag.name for flag in defined if flag.parser.flag_type() == "path"} == PATHS[verb]
        for flag in defined:
            if flag.name in PATHS[verb]:
                flag.parse("~/it")
                assert flag.value in (f"{home}/it", [f"{home}/it"])
                refused = pytest.raises(flags.IllegalFlagValueError, match=r"cannot be used here|a path of this")
                with contextlib.nullcontext() if flag.name in OF_A_HUB.get(verb, ()) else refused:
                    flag.parse("hf://drums/toy")


def test_prepare_and_compare_look_for_what_is_at_home(home: Path) -> None:
    config, place = "--config=splice_loops:tiny", "--data_dir=~/data"
    nowhere = drumgan("prepare", config, "--audio=sequenced:~/x?count=3", place, status=2)
    assert nowhere.startswith(f"{home}/x does not exist")
    assert "no run directory was given" in drumgan("compare", "~/run", status=2)
    (home / "run").mkdir()
    (home / "run" / "config.json").write_text('{"train": {"batch_size": 4}}')
    assert "none of these runs was evaluated" in drumgan("compare", "~/run", status=2)
    said = drumgan("evaluate", "--wavs=~/a", "--reference=~/b", "--metrics=reconstruction", status=2)
    assert f"{home}/" in said
