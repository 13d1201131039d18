"""Folders as they are found: links, loops, pipes, names of any kind; nothing is left out without a word."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from drumgan_jax.audio import listing
from drumgan_jax.audio.listing import Found, walk


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def taken(root: Path) -> list[str]:
    return ["/".join(found.parts) for found in walk(root) if not found.left_out and not found.no_audio]


def left_out(root: Path) -> dict[str, str]:
    return {"/".join(found.parts): found.left_out for found in walk(root) if found.left_out}


def test_files_come_before_folders_and_both_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "b/c.WAV", tmp_path / "a/x.opus", tmp_path / "z.flac", tmp_path / "a/b/y.aif")
    assert taken(tmp_path) == ["z.flac", "a/x.opus", "a/b/y.aif", "b/c.WAV"]
    assert next(walk(tmp_path)) == Found(str(tmp_path / "z.flac"), ("z.flac",))


def test_links_to_folders_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    root = tmp_path / "library"
    touch(root / "kick/a.wav", tmp_path / "elsewhere/toms/t.wav", tmp_path / "elsewhere/toms/floor/u.wav")
    (root / "alias").symlink_to(root / "kick")  # Comes before the folder itself.
    (root / "linked").symlink_to(tmp_path / "elsewhere/toms")
    (root / "twice").symlink_to(tmp_path / "elsewhere/toms/floor")
    (root / "round").symlink_to(root)
    (root / "kick/up").symlink_to(tmp_path)  # All of it is above.
    (tmp_path / "elsewhere/toms/back").symlink_to(root)
    (root / "itself").symlink_to(root / "itself")
    assert taken(root) == ["kick/a.wav", "linked/t.wav", "linked/floor/u.wav"]
    again, within = "a link to a folder that is listed under another name", "a link to a folder that it is in itself"
    assert left_out(root) == {
        "alias": again,
        "twice": again,
        "linked/back": again,
        "round": within,
        "kick/up": within,
        "itself": "it cannot be opened (Too many levels of symbolic links)",
    }


def test_what_is_no_regular_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "library").symlink_to(tmp_path / "unmounted")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "s.wav"))
        assert left_out(tmp_path) == {
            "pipe.wav": "no regular file (a named pipe)",
            "zero.wav": "no regular file (a device)",
            "s.wav": "no regular file (a socket)",
            "library": "a link that leads nowhere",
        }


def test_folders_that_cannot_be_opened_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a/x.wav", tmp_path / "closed/y.wav", tmp_path / "gone/z.wav")
    scandir = os.scandir

    def refusing(path: str) -> object:
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        if path.endswith("gone"):
            raise FileNotFoundError(2, "No such file or directory")
        return scandir(path)

    monkeypatch.setattr(listing.os, "scandir", refusing)
    assert taken(tmp_path) == ["a/x.wav"]
    assert left_out(tmp_path) == {
        "closed": "this folder cannot be opened (Permission denied), nor what is in it",
        "gone": "this folder cannot be opened (No such file or directory), nor what is in it",
    }


def test_other_formats_are_named_and_other_files_counted(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("a.m4a", "b.RX2", ".c.wav", "._d.wav", ".DS_Store", "notes.txt", "README")))
    assert taken(tmp_path) == []
    assert left_out(tmp_path) == {
        "a.m4a": ".m4a is not a format that is read here; convert it to WAV or FLAC",
        "b.RX2": ".rx2 is not a format that is read here; convert it to WAV or FLAC",
        ".c.wav": "its name begins with a dot; rename it to use it",
    }
    kinds = sorted(found.no_audio for found in walk(tmp_path) if found.no_audio)
    assert kinds == [".txt", "hidden", "hidden", "no ending"]


def test_a_deep_tree_is_walked(tmp_path: Path) -> None:
    # Deeper than Python calls functions, and than pytest could clear away.
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(1050):
            os.mkdir("d", dir_fd=folder)
            above, folder = folder, os.open("d", os.O_RDONLY, dir_fd=folder)
            os.close(above)
        os.close(os.open("x.wav", os.O_CREAT, dir_fd=folder))
        assert [len(path.split("/")) for path in taken(tmp_path)] == [1051]
    finally:
        os.close(folder)
        subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)
