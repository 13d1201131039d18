"""A packed instrument plays as the run does, but for rounding, and nothing else is taken for one."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest
from instrument_cases import CLASSES, GROWING, RATE, STYLED, drum, make_instrument
from weight_cases import changed

from drumgan_jax.core.errors import BadInput
from drumgan_jax.core.weight_file import read_weights
from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import FORMAT, load, save_instrument
from drumgan_jax.systems.encoder import Encoding, build_encoder

pytestmark = pytest.mark.usefixtures("unoptimized")
SECTION = {"kind": "convolution", "view": {"kind": "thresholded"}, "channels": [4, 4], "dense": [8]}
CARD = {"licence": "CC0-1.0", "figures": {"fad": 3.25}}


def with_encoder(instrument: Instrument) -> Instrument:
    """The instrument with a random encoder, and few components to find."""
    encoder = build_encoder({"encoder": SECTION}, instrument.gan, len(CLASSES))
    encoding = Encoding(encoder, SECTION, jax.jit(encoder.init)(jax.random.key(1)))
    return dataclasses.replace(instrument, own_encoding=encoding)


@pytest.fixture(scope="module")
def instrument() -> Instrument:
    return with_encoder(make_instrument(GROWING, step=15))


@pytest.fixture
def path(instrument: Instrument, tmp_path: Path) -> Path:
    save_instrument(tmp_path / "toy.npz", instrument, CARD)
    return tmp_path / "toy.npz"


@pytest.mark.smoke
def test_a_packed_instrument_plays_encodes_and_edits(instrument: Instrument, path: Path, tmp_path: Path) -> None:
    packed = load(path)
    assert (packed.step, packed.label_names, packed.gan.stage) == (15, CLASSES, 1)
    assert packed.model != instrument.model
    assert read_weights(path, FORMAT, "an instrument").header["card"] == CARD
    assert "data" not in packed.config
    np.testing.assert_array_equal(packed.components(3).directions, instrument.components(3).directions)
    assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(packed.variables))
    wanted = instrument.sample([1, 2], labels="snare").waveforms
    np.testing.assert_allclose(
        packed.sample([1, 2], labels="snare").waveforms, wanted, atol=5e-3 * np.abs(wanted).max()
    )
    assert packed.encoding is not None
    np.testing.assert_allclose(packed.encode(drum(), RATE).ws, instrument.encode(drum(), RATE).ws, atol=1e-2)
    # Latents are of the rounded parameters or of the others, and packing what was packed changes nothing.
    with pytest.raises(BadInput, match="another run or step"):
        packed.render(instrument.draw([1]))
    save_instrument(tmp_path / "again.npz", packed, CARD)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()
    # Stage 2 is not in use yet.
    assert not packed.variables["params"]["blocks_2"]["up"]["kernel"].any()


def test_a_packed_instrument_may_have_no_encoder_and_large_weights(tmp_path: Path) -> None:
    made = make_instrument(STYLED)
    params = {**made.variables["params"], "constant": np.full((4, 8, 8), 1e6, np.float32)}
    made = dataclasses.replace(made, variables={**made.variables, "params": params})
    save_instrument(tmp_path / "plain.npz", made, {})
    packed = load(tmp_path / "plain.npz")
    assert packed.encoding is None
    np.testing.assert_array_equal(packed.variables["params"]["constant"], params["constant"])
    average = made.variables["statistics"]["w_average"]
    np.testing.assert_array_equal(packed.variables["statistics"]["w_average"], average)
    with pytest.raises(BadInput, match="no encoder; use invert"):
        packed.encode(drum(), RATE)


def test_steps_that_a_packed_instrument_has_not_are_told(path: Path) -> None:
    assert all(load(path, step).step == 15 for step in (None, "last", "best", 15, "15"))
    with pytest.raises(BadInput, match="no step 3; it is of step 15"):
        load(path, 3)


def test_without_a_packaged_model_that_is_told(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drumgan_jax.play.load.SHIPPED", tmp_path / "absent.npz")
    with pytest.raises(BadInput, match="no packaged model"):
        load()
    monkeypatch.setattr("drumgan_jax.play.load.SHIPPED", path)
    assert load().step == 15


def test_files_that_are_no_instrument_are_refused(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "odd.npz"
    out.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BadInput, match=r"odd.npz is not an instrument's file, or is damaged"):
        load(out)
    with pytest.raises(BadInput, match="cannot be opened"):
        load(tmp_path / "absent.npz")
    config = read_weights(path, FORMAT, "an instrument").header["config"]
    for header, arrays, match in (
        ({"format": "drumgan classifier 1"}, {}, "the file of a drumgan classifier; give that of a drumgan instrument"),
        ({"format": "drumgan instrument 0"}, {}, "is of format 'drumgan instrument 0'"),
        ({"step": "x"}, {}, "is not an instrument's file"),
        ({}, {"components__mean": None}, "its principal components are damaged"),
        ({}, {"components__mean": np.zeros(3)}, "its principal components are damaged"),
        ({"labels": ["kick"]}, {}, "does not fit this version"),
        ({"config": {**config, "generator": {"kind": "other"}}}, {}, "config.generator.kind is 'other'"),
        ({"config": {}}, {}, "does not fit this version"),
        ({}, {"generator__params__outputs_0__bias": np.zeros(9, np.float16)}, r"bias is float32\[9\]"),
        ({}, {"generator__params__outputs_0__bias": None}, "differ in params/outputs_0/bias"),
        ({}, {"encoder__params__output__kernel": None}, "differ in params/output/kernel"),
    ):
        with pytest.raises(BadInput, match=match):
            load(changed(path, out, header, **arrays))


def test_weights_that_are_not_finite_are_not_written(instrument: Instrument, tmp_path: Path) -> None:
    params = jax.tree.map(lambda leaf: np.full_like(leaf, np.nan), instrument.variables["params"])
    broken = dataclasses.replace(instrument, variables={**instrument.variables, "params": params})
    with pytest.raises(BadInput, match="holds NaN or infinite values"):
        save_instrument(tmp_path / "broken.npz", broken, {})
    encoding = instrument.encoding
    odd = jax.tree.map(lambda leaf: leaf[..., None], encoding.variables)
    other = dataclasses.replace(instrument, own_encoding=encoding._replace(variables=odd))
    with pytest.raises(BadInput, match=r"encoder/\S+ is float32.*, but the network has"):
        save_instrument(tmp_path / "broken.npz", other, {})
    components = instrument.components()
    kept = {(instrument.model, 100_000): dataclasses.replace(components, mean=np.nan * components.mean)}
    with pytest.raises(BadInput, match="components/mean holds NaN or infinite values"):
        save_instrument(tmp_path / "broken.npz", dataclasses.replace(instrument, kept=kept), {})
    with pytest.raises(BadInput, match="must end in"):
        save_instrument(tmp_path / "toy.bin", instrument, {})
    assert not list(tmp_path.iterdir())
