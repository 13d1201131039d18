"""Full disks: what tells of them, and what a verb says."""

import errno
import os
import sys
from typing import Any

import pytest

from drumgan_jax import cli
from drumgan_jax.core.disks import is_disk_full


def raising(error: Exception) -> Any:
    def run(*_: Any, **__: Any) -> None:
        raise error

    return run


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_known_by_its_number_or_its_words(number: int) -> None:
    assert is_disk_full(OSError(number, os.strerror(number)))
    assert is_disk_full(ValueError(f"tensorstore: {os.strerror(number)} [path]"))
    outer = RuntimeError("a save failed")
    outer.__cause__ = OSError(number, os.strerror(number))
    assert is_disk_full(outer)


def test_other_errors_are_no_full_disk() -> None:
    assert not is_disk_full(ValueError("something else"))
    assert not is_disk_full(OSError(errno.EACCES, os.strerror(errno.EACCES)))


def test_any_verb_says_in_a_sentence_that_the_disk_is_full(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["drumgan", "configs"])
    monkeypatch.setattr(cli.app, "run", raising(OSError(errno.ENOSPC, "No space left on device", "out/sound.wav")))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("drumgan configs: the disk is full (out/sound.wav); make room, ")
    assert said.count("\n") == 1


def test_other_errors_of_a_verb_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["drumgan", "configs"])
    monkeypatch.setattr(cli.app, "run", raising(OSError(errno.EACCES, "Permission denied")))
    with pytest.raises(PermissionError):
        cli.main()
