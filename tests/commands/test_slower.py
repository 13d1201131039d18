"""The command that goes on with a run that diverged, as `drumgan train` prints it."""

import shlex
from typing import Any

import pytest
from ml_collections import ConfigDict
from verbs import drumgan, verb_alone

from drumgan_jax.training import loop
from drumgan_jax.training.window import TrainingDiverged


def slower(command: list[str], **rates: Any) -> list[str]:
    config = ConfigDict({"optimizer": {name: {"learning_rate": rate} for name, rate in rates.items()}})
    with verb_alone("train") as module:
        return shlex.split(module.slower(command, config))


def test_it_is_the_command_that_was_given_with_half_the_rates() -> None:
    given = ["--config=splice_loops:tiny", "--workdir=my runs/a", "--config.optimizer.generator.learning_rate=0.002"]
    expected = [
        *("drumgan", "train", "--config=splice_loops:tiny", "--workdir=my runs/a"),
        *("--config.optimizer.discriminator.learning_rate=0.0002", "--config.optimizer.generator.learning_rate=0.001"),
    ]
    for program in (["/usr/bin/drumgan", "train"], ["cli.py", "train"], ["drumgan train"]):
        assert slower([*program, *given], generator=0.002, discriminator=0.0004) == expected


def test_schedules_are_halved_by_their_rates() -> None:
    cosine = {"kind": "cosine", "start": 2e-3, "end": 1e-4, "images": 1000}
    steps = {"kind": "steps", "levels": (1e-3, 1e-4), "images": (500,)}
    assert slower(["drumgan", "train"], a=cosine, b=steps)[2:] == [
        "--config.optimizer.a.learning_rate.start=0.001",
        "--config.optimizer.a.learning_rate.end=5e-05",
        "--config.optimizer.b.learning_rate.levels=(0.0005,5e-05,)",
    ]


def test_the_error_prints_it_and_the_flags_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def train(config: Any, workdir: str, profile: Any, at: Any) -> None:
        seen.append({name: player.learning_rate for name, player in config.optimizer.items()})
        raise TrainingDiverged("training diverged at step 7.")

    monkeypatch.setattr(loop, "train", train)
    said = drumgan("train", "--config=splice_loops:tiny", "--workdir=runs/a", status=2)
    sentence, _, command = said.partition(" At half the learning rate: drumgan train ")
    assert sentence == "training diverged at step 7."
    drumgan("train", *shlex.split(command), status=2)
    assert seen[1] == {name: pytest.approx(rate / 2) for name, rate in seen[0].items()}
    assert len(seen[0]) == 2
