"""`drumgan check RUN`: config, checkpoints, metrics, evaluations and packed parts of a run directory."""

import contextlib
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from drumgan_jax.commands.check_file import read_file
from drumgan_jax.commands.findings import NOTE, SOUND, UNSOUND, Finding, tried
from drumgan_jax.core import places
from drumgan_jax.core.array_files import DAMAGES, read_arrays
from drumgan_jax.core.errors import BadInput, brief, first_line, shown
from drumgan_jax.core.regular_files import read_regular
from drumgan_jax.core.settings import is_section, is_whole
from drumgan_jax.core.weight_file import variables_digest
from drumgan_jax.core.write_lock import writer_of
from drumgan_jax.evaluation.report import FOLDER as EVALUATIONS
from drumgan_jax.play.pca_gaussian import FITTED, open_pca_run
from drumgan_jax.runs import digests
from drumgan_jax.runs.checkpoint_items import read_item, step_in
from drumgan_jax.runs.config import CHECKPOINTS, CONFIG_NAME, complete_steps, read_config
from drumgan_jax.runs.identity import check_identity, config_at_save
from drumgan_jax.runs.load import load_encoder, load_gan, load_vocoder, open_classifier
from drumgan_jax.runs.metrics import METRICS_NAME

# Beside a generator's run.
ENCODER = "encoder"
_MEASURE_AGAIN = "delete it and evaluate that step again"
_AGAIN = "restore what is missing or changed, or delete this checkpoint."


def check_run(run: Path) -> tuple[str, list[Finding]]:
    """Read all of a run directory.

    Returns:
        What it is, and a finding for each part.
    """
    found = _parts(run)
    encoder = run / ENCODER
    if encoder.exists():
        found.append(_encoder(run))
    if (encoder / CONFIG_NAME).exists():
        found += [Finding(f"{ENCODER}/{one.part}", one.state, one.detail) for one in _parts(encoder)]
    return _kind(run), found


def _encoder(run: Path) -> Finding:
    """Whether the encoder beside a run is one of its generator's, at any step that can be read."""
    generators = []
    for step in reversed(complete_steps(run / CHECKPOINTS)):
        with contextlib.suppress(BadInput):
            generators.append(load_gan(run, step))
    if not generators:
        return Finding(f"{ENCODER}/", NOTE, "not compared, as no generator of this run can be read")
    problem = ""
    for one in generators:
        try:
            load_encoder(run / ENCODER, one.gan, len(one.label_names), variables_digest(one.variables))
        except BadInput as error:
            problem = problem or str(error)
        else:
            return Finding(f"{ENCODER}/", SOUND, f"of the generator of step {one.step}")
    return Finding(f"{ENCODER}/", UNSOUND, problem)


def _parts(run: Path) -> list[Finding]:
    """Findings of a run directory without what lies beside it."""
    found = [tried(CONFIG_NAME, functools.partial(_config, run))]
    if (writer := writer_of(run)) is not None:
        found.append(Finding("(written now)", NOTE, f"by {writer}: what is written meanwhile may look unsound"))
    found += _checkpoints(run)
    if (run / METRICS_NAME).exists():
        found.append(tried(METRICS_NAME, functools.partial(_metrics, run / METRICS_NAME)))
    if (run / EVALUATIONS).is_dir():
        found.append(tried(f"{EVALUATIONS}/", functools.partial(_evaluations, run / EVALUATIONS)))
    for path in sorted(run.glob("*.npz")):
        read: Callable[[], str] = functools.partial(_arrays, path)
        if path.name == FITTED:
            read = functools.partial(_fitted, run)
        elif not path.name.startswith("components-"):
            read = functools.partial(read_file, path)
        found.append(tried(path.name, read))
    return found


def _kind(run: Path) -> str:
    try:
        return f"a run of task {shown(read_config(run)['task']['kind'])}"
    except (BadInput, KeyError, TypeError):
        return "a run directory"


def _config(run: Path) -> str:
    config = read_config(run)
    for name in ("task", "representation"):
        if not isinstance(config.get(name), dict):
            raise BadInput(f"{run / CONFIG_NAME} has no section {name}; restore it.")
    steps = [step for step in complete_steps(run / CHECKPOINTS) if digests.first_altered(_step(run, step)) is None]
    foreign = _foreign(run, config)
    if steps and foreign.keys() >= set(steps):
        raise foreign[steps[-1]]
    own = [step for step in steps if step not in foreign]
    if own and config["task"].get("kind") in _NETWORKS:
        _NETWORKS[config["task"]["kind"]](run, own[-1])
    return f"{config.get('name', '')}, format {config['format']}".removeprefix(", ")


def _foreign(run: Path, config: Mapping[str, Any]) -> dict[int, BadInput]:
    """The steps that were saved with another config, and the sentence of each."""
    found = {}
    for step in complete_steps(run / CHECKPOINTS):
        try:
            check_identity(_step(run, step), config, run / CONFIG_NAME)
        except BadInput as problem:
            found[step] = problem
    return found


# By the kind of task: what loads the networks of a run's step, which must be those of its config.
_NETWORKS: dict[str, Callable[[Path, int], Any]] = {
    "gan": load_gan,
    "vocoder": lambda run, _: load_vocoder(run),
    "classifier": lambda run, step: open_classifier(str(run), str(step)),
}


def _step(run: Path, step: int) -> Path:
    return places.absolute(run) / CHECKPOINTS / str(step)


def _checkpoints(run: Path) -> list[Finding]:
    folder = run / CHECKPOINTS
    if not folder.is_dir():
        return [Finding(CHECKPOINTS, UNSOUND, f"{folder} is no folder; restore it.")] if folder.exists() else []
    complete = complete_steps(folder)
    try:
        foreign = _foreign(run, read_config(run))
    except BadInput:
        foreign = {}
    if len(foreign) == len(complete):
        # Then the config is another's.
        foreign = {}
    found = [_checkpoint(run, step, foreign.get(step)) for step in complete]
    if not complete:
        none = "holds no complete checkpoint, so there is nothing to play or to go on from; restore one."
        written = writer_of(run) is not None
        found.append(
            Finding(f"{CHECKPOINTS}/", NOTE, "none is complete yet")
            if written
            else Finding(f"{CHECKPOINTS}/", UNSOUND, f"{folder} {none}")
        )
    for path in sorted(one for one in folder.iterdir() if one.name not in map(str, complete)):
        if not path.is_dir():
            if not path.name.startswith("."):
                found.append(Finding(_name(path), NOTE, "a file, and no checkpoint; it does not count"))
        elif digests.is_step(path.name):
            found.append(
                Finding(_name(path), NOTE, "not complete: its process ended, or is saving it; it does not count")
            )
        else:
            found.append(Finding(_name(path), NOTE, "set aside, or not ended; it does not count"))
    return found


def _checkpoint(run: Path, step: int, foreign: BadInput | None) -> Finding:
    path = run / CHECKPOINTS / str(step)
    size = f"{sum(places.size_of(path / name) for name in places.names_in(path)) / 2**20:,.1f} MiB"
    if not digests.has_digests(path):
        try:
            for item in ("train", "ema"):
                read_item(places.absolute(path), item)
        except BadInput as problem:
            return Finding(_name(path), UNSOUND, str(problem))
        return Finding(_name(path), NOTE, f"{size}, can be read; no digests, as of an earlier version")
    try:
        stored = digests.read_digests(path)
    except BadInput as problem:
        return Finding(_name(path), UNSOUND, str(problem))
    if bad := stored.altered():
        more = f" and {len(bad) - 1} more of its {len(stored.files)} files" if len(bad) > 1 else ""
        return Finding(_name(path), UNSOUND, f"{path}: {brief(bad[0])}{more} not what was saved; {_AGAIN}")
    if odd := digests.unlisted(stored):
        return Finding(
            _name(path), UNSOUND, f"{path / brief(odd[0])} has no digest in {path / digests.DIGESTS_NAME}; {_AGAIN}"
        )
    if (held := step_in(places.absolute(path))) not in (None, step):
        return Finding(_name(path), UNSOUND, f"{path} holds step {held}: its folder was renamed; give it that name.")
    if foreign:
        return Finding(_name(path), UNSOUND, f"{path} is of another run: {foreign}")
    if config_at_save(path) is None:
        return Finding(_name(path), NOTE, f"{len(stored.files)} files, {size}; no config, as of an earlier version")
    return Finding(_name(path), SOUND, f"{len(stored.files)} files, {size}")


def _metrics(path: Path) -> str:
    try:
        lines = read_regular(path).decode().splitlines()
        steps = [json.loads(line)["step"] for line in lines]
        if odd := [step for step in steps if not is_whole(step, 0)]:
            raise ValueError(f"its step is {shown(odd[0])}")
    except DAMAGES as error:
        raise BadInput(
            f"{path} has a line that is damaged ({first_line(error)}); training drops it when it goes on."
        ) from error
    back = next((number for number in range(1, len(steps)) if steps[number] < steps[number - 1]), None)
    if back is not None:
        raise BadInput(
            f"{path} goes back from step {steps[back - 1]} to {steps[back]} in line {back + 1}, as where two processes"
            " wrote it; its figures are not of one training."
        )
    return f"{len(lines):,} lines, to step {steps[-1]:,}" if steps else "empty"


def _evaluations(folder: Path) -> str:
    paths = sorted(folder.glob("step_*.json"))
    for path in paths:
        # A figure may be NaN.
        try:
            report = json.loads(read_regular(path))
        except DAMAGES as error:
            raise BadInput(f"{path} is damaged ({first_line(error)}); {_MEASURE_AGAIN}.") from error
        if not is_section(report):
            raise BadInput(f"{path} is damaged: it holds no report; {_MEASURE_AGAIN}.")
        step = report.get("step")
        if not is_whole(step, 0) or path.stem != f"step_{step:08d}":
            raise BadInput(f"{path}: step is {shown(report.get('step'))}; {_MEASURE_AGAIN}.")
        if not is_section(report.get("figures", {})):
            raise BadInput(f"{path}: figures is {shown(report['figures'])}; {_MEASURE_AGAIN}.")
    return f"{len(paths)} reports"


def _arrays(path: Path) -> str:
    try:
        arrays = read_arrays(path, "delete it, and it will be made again")
    except BadInput:
        raise
    except DAMAGES as error:
        raise BadInput(f"{path} is damaged ({first_line(error)}); delete it, and it will be made again.") from error
    return f"{sum(array.nbytes for array in arrays.values()):,} bytes of arrays"


def _fitted(run: Path) -> str:
    instrument = open_pca_run(run, "last", None)
    return f"principal components of {len(instrument.label_names)} classes"


def _name(path: Path) -> str:
    return f"{CHECKPOINTS}/{path.name}"
