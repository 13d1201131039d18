"""An instrument that lies elsewhere: as a packed file, and as a run."""

from pathlib import Path

import jax
import pytest
from instrument_cases import STYLED, config_of, make_instrument
from verbs import State, write_run

from drumgan_jax.play.instrument import Instrument
from drumgan_jax.play.load import save_instrument
from drumgan_jax.runs.checkpoints import Checkpoints


@pytest.fixture(scope="session")
def instrument() -> Instrument:
    """Of step 12, with random weights."""
    return make_instrument(STYLED)


@pytest.fixture(scope="session")
def packed(instrument: Instrument, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Its file."""
    path = tmp_path_factory.mktemp("packed") / "toy.npz"
    save_instrument(path, instrument, {})
    return path.read_bytes()


@pytest.fixture(scope="session")
def run(instrument: Instrument, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of it with the steps 12 and 16, of which 12 is the best."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    config = {**config_of(STYLED), "evaluation": {"metric": "fid/log_mel"}}
    ema = {name: jax.device_put(instrument.variables[name]) for name in ("params", "statistics")}
    write_run(folder, config, ema, step=12)
    checkpoints = Checkpoints(folder, keep=2, metric="fid/log_mel", config=config)
    checkpoints.save(16, State(ema))
    checkpoints.close()
    lines = [f'{{"step": {step}, "evaluation/fid/log_mel": {value}}}\n' for step, value in ((12, 1.0), (16, 2.0))]
    (folder / "metrics.jsonl").write_text("".join(lines))
    return folder
