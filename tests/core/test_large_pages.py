"""Large pages are asked for where they can be had, and a program that starts anew stays the program it is."""

import os
import subprocess
import sys

import pytest

from drumgan_jax.core.large_pages import with_large_pages

GLIBC = ("glibc", "2.36")


@pytest.fixture
def setting(tmp_path):
    path = tmp_path / "enabled"
    path.write_text("always [madvise] never\n")
    return path


def test_the_tunable_is_added_to_those_there_are(setting):
    assert with_large_pages({"A": "b"}, GLIBC, setting) == {"A": "b", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    there = {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}
    asked = with_large_pages(there, GLIBC, setting)
    assert asked == {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1:glibc.malloc.hugetlb=1"}
    assert with_large_pages(asked, GLIBC, setting) is None


def test_nothing_changes_where_they_cannot_be_had_or_are_declined(setting, tmp_path):
    declined = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}
    assert with_large_pages(declined, GLIBC, setting) is None
    assert with_large_pages({}, ("glibc", "2.31"), setting) is None
    assert with_large_pages({}, ("", ""), setting) is None
    assert with_large_pages({}, GLIBC, tmp_path / "none") is None
    for kernel in ("[always] madvise never", "always madvise [never]"):
        setting.write_text(kernel)
        assert with_large_pages({}, GLIBC, setting) is None


def test_a_program_starts_anew_once_with_its_arguments():
    program = (
        "import os, sys; from drumgan_jax.core import large_pages;"
        "large_pages.with_large_pages = lambda now: None if 'ANEW' in now else {**now, 'ANEW': '1'};"
        "print('start', os.getpid(), flush=True); large_pages.restart_with_large_pages();"
        "print(os.environ['ANEW'], sys.argv[1:], os.getpid(), sys.flags.optimize)"
    )
    command = [sys.executable, "-O", "-c", program, "train", "--config=a b"]
    environment = {name: value for name, value in os.environ.items() if name != "ANEW"}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(said) == 3
    assert said[0] == said[1]
    assert said[2] == f"1 ['train', '--config=a b'] {said[0].split()[1]} 1"
