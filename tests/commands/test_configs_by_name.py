"""Configs by name from any folder, their list, and wrong configs and overrides as one plain sentence."""

import re
from pathlib import Path

import pytest
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict
from verbs import drumgan

from drumgan_jax.commands import config_files
from drumgan_jax.commands.config_flag import with_paths
from drumgan_jax.core.errors import BadInput

KNOWN = (
    "drum_classifier",
    "drumgan_vst",
    "drumgan_vst_encoder",
    "electrogan",
    "judge",
    "loop_classifier",
    "melgan",
    "pca_gan",
    "pca_gaussian",
    "pjloopgan",
    "splice_loops",
    "style_drumsynth",
    "style_drumsynth_encoder",
)
OWN = '''"""A config of one's own."""
from drumgan_jax.configs import splice_loops


def get_config():
    return splice_loops.get_config("tiny")
'''


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without configs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*arguments: str) -> str:
    """The sentence with which training is refused."""
    return drumgan("train", "--workdir=run", *arguments, status=2)


def test_the_packages_configs_are_those_that_have_get_config() -> None:
    assert config_files.names() == KNOWN
    assert config_files.names(config_files.GRID) == ("electrogan_grid",)


def test_a_name_and_a_path_are_the_same_config(repository: Path) -> None:
    by_name = config_files.load("splice_loops:tiny")
    assert by_name == config_files.load(f"{repository}/configs/splice_loops.py:tiny")
    assert by_name != config_files.load("splice_loops") == config_files.load("splice_loops:full")


def test_a_path_may_be_relative_and_a_file_comes_before_a_name(elsewhere: Path) -> None:
    (elsewhere / "own.py").write_text(OWN)
    assert config_files.load("own.py") == config_files.load("splice_loops:tiny")
    (elsewhere / "electrogan").write_text(OWN)
    with pytest.raises(BadInput, match="is not a Python file"):
        config_files.load("electrogan")
    (elsewhere / "splice_loops").mkdir()
    assert config_files.load("splice_loops:tiny").name == "splice_loops"


def test_an_unknown_name_lists_the_known_ones(elsewhere: Path) -> None:
    said = train("--config=splice_loop:tiny")
    assert said.startswith("there is no config 'splice_loop' (did you mean splice_loops?); there are drum_classifier, ")
    assert "defaults" not in said
    assert "there is no config 'stylegan2'" in train("--config=stylegan2")
    missing = train("--config=configs/splice_loops.py:tiny")
    assert f"there is no config file {elsewhere}/configs/splice_loops.py; " in missing
    assert "a bare name, which is looked up among the package's configs (did you mean splice_loops?)." in missing


def test_an_unknown_variant_lists_the_variants() -> None:
    said = train("--config=splice_loops:huge")
    assert said == "splice_loops: there is no variant 'huge' of this config; give one of full, small, tiny."


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 /", "fails with SyntaxError"),
        ("import nowhere", "fails with ModuleNotFoundError"),
        ("x = 1", "it has no get_config"),
        ("def get_config(): return 3", "returns int; make it return a ConfigDict"),
        ("def get_config(): return {}['a']", "fails with KeyError ('a')"),
    ],
)
def test_a_broken_file_of_ones_own_is_one_sentence(elsewhere: Path, text: str, said: str) -> None:
    (elsewhere / "own.py").write_text(text)
    assert said in train("--config=own.py")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["train.batch_sise=4"], "the config has no config.train.batch_sise (did you mean config.train.batch_size?)."),
        (["batch_size=4"], "the config has no config.batch_size (did you mean config.train.batch_size?)."),
        (["nothing=1"], "the config has no config.nothing; config has checkpoint, data, decoder, discriminator, "),
        (["train.zzz=1"], "the config has no config.train.zzz; config.train has accumulation, batch_size, "),
        (["name.x=1"], "the config has no config.name.x (did you mean config.name?)."),
        (["train=1"], "config.train is a section; give its settings one by one, as --config.train.accumulation=..."),
        (
            ["seed=1", "train.batch_size=abc"],
            "config.train.batch_size is 'abc'; it must be a whole number, such as 16.",
        ),
        (["train.ema_rampup=abc"], "config.train.ema_rampup is 'abc'; it must be a number, such as 0.05."),
        (["task.conditional=abc"], "config.task.conditional is 'abc'; it must be true or false, such as False."),
        (["generator.base=(1,"], "config.generator.base is '(1,'; it must be a tuple, such as (4, 4)."),
    ],
)
def test_a_wrong_override_is_told_in_plain_words(overrides: list[str], said: str) -> None:
    told = train("--config=splice_loops:tiny", *(f"--config.{override}" for override in overrides))
    assert told.startswith(said)


@pytest.mark.parametrize(
    ("former", "present"),
    [
        ("representation.vocoder", "decoder.path"),
        ("representation.griffin_lim_iterations", "decoder.iterations"),
        ("features.vggish.weights", "feature_networks.vggish.weights"),
    ],
)
def test_a_key_that_has_moved_says_where_it_is(former: str, present: str) -> None:
    told = train("--config=pjloopgan:tiny", f"--config.{former}=x")
    assert told == f"config.{former} is now config.{present}; write that."


def test_overrides_need_a_config() -> None:
    assert train("--config.seed=3") == "--config.seed needs a config: add --config=NAME before it."
    assert "no config was given; name one with --config=" in drumgan("prepare", status=2)


def test_paths_in_a_config_may_begin_at_home(monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    monkeypatch.setenv("HOME", str(elsewhere))
    config = ConfigDict(
        {
            "data": {"dir": "~/data"},
            "task": {"kind": "encoder", "run": "~/run"},
            "decoder": {"path": ""},
            "feature_networks": {"a": {"weights": "~/a.npz"}, "b": {"weights": "random"}},
            "evaluation": {"metrics": ("fid:drums", "fid:~/own.npz")},
        }
    ).lock()
    assert with_paths(config).to_dict() == {
        "data": {"dir": f"{elsewhere}/data"},
        "task": {"kind": "encoder", "run": f"{elsewhere}/run"},
        "decoder": {"path": ""},
        "feature_networks": {"a": {"weights": f"{elsewhere}/a.npz"}, "b": {"weights": "random"}},
        "evaluation": {"metrics": ("fid:drums", f"fid:{elsewhere}/own.npz")},
    }
    assert config.data.dir == "~/data"
    assert f"{elsewhere}/nothing" in train("--config=splice_loops:tiny", "--config.data.dir=~/nothing")


def test_the_list_tells_every_config_and_its_variants() -> None:
    listed = drumgan("configs")
    for name in KNOWN:
        assert f"\n{name}: " in f"\n{listed}"
    assert "  tiny   CPU, minutes  fid/log_mel 18.0 on procedural drums (README.md)\n" in listed
    assert "36 more" in listed
    one = drumgan("configs", "pjloopgan:tiny")
    assert one.startswith("Projected GAN on mel-spectrograms")
    assert "row B, the baseline" in one
    assert "small-z512 " in one
    assert "did you mean melgan?" in drumgan("configs", "mellgan", status=2)
    assert "`drumgan configs NAME`" in drumgan("configs", "melgan", "electrogan", status=2)


def test_documented_commands_name_configs_and_settings_that_there_are(repository: Path) -> None:
    checked = 0
    for path in [repository / "README.md", *(repository / "docs").glob("*.md"), *(repository / "configs").glob("*.py")]:
        # A command goes on over a line that ends with a backslash.
        for command in path.read_text().replace("\\\n", " ").splitlines():
            for named in re.findall(r"drumgan (?:prepare|train) .*--config=([\w:-]+)", command):
                known = flatten_dict(config_files.load(named).to_dict(), sep=".")
                unknown = set(re.findall(r"--config\.([\w.]+)=", command)) - known.keys()
                assert not unknown, f"{path}: {command}"
                checked += 1
    assert checked > 30


@pytest.mark.parametrize("name", KNOWN)
def test_every_variant_makes_a_config(name: str) -> None:
    module = config_files.find_module(name)
    # What is fitted, not trained, needs no size for one GPU.
    assert {"full", "tiny"} | ({"small"} if "train" in module.get_config() else set()) <= set(module.VARIANTS)
    assert module.get_config() == module.get_config("full")
    for variant, about in module.VARIANTS.items():
        assert isinstance(module.get_config(variant), ConfigDict)
        assert about.hardware
        assert about.score
