"""The verbs with vocoders: packed, named for a run that was trained without one, and in one file with a GAN."""

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from instrument_cases import CLASSES, LOGISTIC, config_of, make_instrument
from verbs import STEP, drumgan, write_run
from vocoder_cases import REPRESENTATION, SECTIONS, make_vocoder

from drumgan_jax.core.weight_file import read_weights
from drumgan_jax.play.load import FORMAT, load
from drumgan_jax.systems.vocoder import read_vocoder

pytestmark = pytest.mark.usefixtures("unoptimized")
PARTS: dict[str, Any] = {
    "representation": {**REPRESENTATION, "mean": -1.0, "std": 0.5},
    "generator": {"kind": "stylegan2", "base": (4, 8), "z_dim": 4, "w_dim": 4, "mapping_layers": 1, "channel_max": 4},
    "discriminator": {"kind": "stylegan2", "base": (4, 8), "channel_max": 4},
    "objective": LOGISTIC,
}
METRIC = {"metric": "fid/log_mel"}


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "vocoder"
    train = {"batch_size": 4, "compute_dtype": "float32"}
    config = {**SECTIONS, "task": {"kind": "vocoder"}, "train": train, "evaluation": METRIC, "data": {"dir": "/some"}}
    write_run(folder, config, make_vocoder().variables)
    return folder


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "gan"
    variables = make_instrument(PARTS).variables
    ema = jax.tree.map(jnp.asarray, {name: variables[name] for name in ("params", "statistics")})
    write_run(folder, {**config_of(PARTS), "evaluation": METRIC}, ema)
    return folder


def read(folder: Path) -> np.ndarray:
    return np.stack([soundfile.read(path)[0] for path in sorted(folder.glob("*.wav"))])


def test_a_vocoders_run_becomes_a_file(vocoder: Path, tmp_path: Path) -> None:
    out = tmp_path / "vocoder.npz"
    said = drumgan("pack", f"--run={vocoder}", f"--out={out}", "--step=last")
    assert f"of step {STEP}, no labels" in said
    packed, trained = read_vocoder(out), make_vocoder()
    assert packed.vocoder == trained.vocoder
    assert packed.card["images"] == 4 * STEP
    assert "data" not in packed.card["config"]
    said = drumgan("pack", f"--run={vocoder}", f"--out={out}", "--step=last", f"--held_out={tmp_path}", status=2)
    assert "--held_out is for classifiers" in said


def test_only_a_gans_pack_takes_a_vocoder(vocoder: Path, tmp_path: Path) -> None:
    classifier = tmp_path / "classifier"
    classifier.mkdir()
    (classifier / "config.json").write_text(json.dumps({"task": {"kind": "classifier"}}))
    for kind, run in (("vocoder", vocoder), ("classifier", classifier)):
        for other in (vocoder, ""):
            said = drumgan("pack", f"--run={run}", f"--out={tmp_path / 'x.npz'}", f"--vocoder={other}", status=2)
            assert said == f"--vocoder is for GANs, and {run} is of task {kind!r}; leave it out."
    assert not (tmp_path / "x.npz").exists()


def test_an_older_run_sounds_by_a_vocoder_that_was_trained_later(gan: Path, vocoder: Path, tmp_path: Path) -> None:
    drumgan("generate", f"--run={gan}", f"--out={tmp_path / 'inverted'}", "--count=2")
    drumgan("generate", f"--run={gan}", f"--vocoder={vocoder}", f"--out={tmp_path / 'sounding'}", "--count=2")
    sounding = read(tmp_path / "sounding")
    assert not np.allclose(sounding, read(tmp_path / "inverted"))
    latents = tmp_path / "sounding" / "latents.json"
    said = drumgan("generate", f"--run={gan}", f"--latents={latents}", f"--out={tmp_path / 'otherwise'}")
    assert "were made with another vocoder, or none" in said
    again = ("generate", f"--run={gan}", f"--latents={latents}", f"--vocoder={vocoder}", f"--out={tmp_path / 'again'}")
    assert "another vocoder" not in drumgan(*again)
    np.testing.assert_allclose(read(tmp_path / "again"), sounding, atol=1e-4)

    out = tmp_path / "gan.npz"
    drumgan("pack", f"--run={gan}", f"--vocoder={vocoder}", f"--out={out}", "--step=last")
    packed = load(out)
    assert packed.label_names == CLASSES
    assert read_weights(out, FORMAT, "an instrument").header["card"]["vocoder"] is True
    assert packed.decoder_digest
    drumgan("generate", f"--run={out}", f"--out={tmp_path / 'packed'}", "--count=2")
    np.testing.assert_allclose(read(tmp_path / "packed"), sounding, atol=0.03 * np.abs(sounding).max())
    drumgan("generate", f"--run={out}", "--vocoder=", f"--out={tmp_path / 'bare'}", "--count=2")
    assert not np.allclose(read(tmp_path / "bare"), sounding)
    said = drumgan("generate", f"--run={gan}", f"--vocoder={tmp_path}", f"--out={tmp_path / 'x'}", status=2)
    assert "cannot be used; give another, or an empty name for none" in said
