"""Repositories of models on the Hugging Face hub: hf://OWNER/NAME[@REVISION][/PATH].

The library huggingface_hub downloads, and keeps what it has in a cache of its own (HF_HOME), where a file's name is the
digest of its content. It reads HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE.
"""

import contextlib
import dataclasses
import functools
import glob
import importlib.util
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from absl import logging
from tqdm import tqdm

from drumgan_jax.core.cache_folder import is_offline
from drumgan_jax.core.copies import WORTH_A_BAR
from drumgan_jax.core.digests import file_hash, git_blob
from drumgan_jax.core.disks import is_disk_full
from drumgan_jax.core.errors import BadInput, brief, first_line

SCHEME = "hf"
_LIBRARY = "drumgan_jax"
_FORM = "hf://OWNER/NAME[@REVISION][/PATH]"
_DIGESTS = {40: git_blob, 64: file_hash}


@dataclasses.dataclass(frozen=True)
class HubFolder:
    """A repository at one commit, or a folder in it, whose files are fetched as they are needed.

    Attributes:
        address: as it was given.
        repository: OWNER/NAME.
        commit: hash of the commit.
        path: of the folder in the repository, or of one file; empty for the repository itself.
        sizes: bytes of all files of the repository, by their paths in it.
        folder: of this machine, with those that were fetched.
    """

    address: str
    repository: str
    commit: str
    path: str
    sizes: Mapping[str, int]
    folder: Path

    @property
    def pinned(self) -> str:
        """The address of what is here, whatever is written to the repository later."""
        return f"{SCHEME}://{self.repository}@{self.commit}" + (f"/{self.path}" if self.path else "")

    def fetch(self, names: Collection[str]) -> Path:
        """The folder of this machine with the named files, each what the hub says that it is.

        Args:
            names: paths in the repository.

        Raises:
            BadInput: a file cannot be fetched, or comes otherwise than the hub says also when it is fetched again.
        """
        self._download([name for name in names if not (self.folder / name).exists()])
        altered = self._altered(names)
        if altered and _is_offline():
            raise BadInput(
                f"{brief(self.address)}: {brief(altered[0])} is damaged in the cache {self.folder}, and cannot be"
                f" fetched again while {_offline_name()} is set; unset it."
            )
        if altered:
            logging.warning("%s: %s is not what the hub has, and is fetched again.", self.address, brief(altered[0]))
            self._download(altered, force=True)
        if still := self._altered(altered):
            raise BadInput(f"{brief(self.address)}: {brief(still[0])} came damaged twice; try again later.")
        return self.folder

    def _altered(self, names: Collection[str]) -> list[str]:
        return [name for name in names if not _is_sound(self.folder / name)]

    def _download(self, names: Collection[str], force: bool = False) -> None:
        if not names:
            return
        from huggingface_hub import snapshot_download

        if _is_offline():
            raise _not_here(self.address)
        size = sum(self.sizes[name] for name in names)
        # The library's own bar for what takes a while.
        bar: Any = None if size >= WORTH_A_BAR else functools.partial(tqdm, disable=True)
        download = functools.partial(
            snapshot_download,
            self.repository,
            revision=self.commit,
            allow_patterns=[glob.escape(name) for name in names],
            force_download=force,
            tqdm_class=bar,
            library_name=_LIBRARY,
        )
        with _errors(self.address):
            try:
                download()
            except OSError as error:
                # So the library tells of an answer that is whole by its own words, and too short.
                if type(error) is not OSError or error.errno is not None:
                    raise
                download()
        if lacking := [name for name in names if not (self.folder / name).exists()]:
            raise BadInput(f"{brief(self.address)}: {brief(lacking[0])} could not be fetched; try again later.")


def open_hub(address: str) -> HubFolder:
    """A repository's files at the commit of the address's revision; without a network, those that were fetched before.

    Raises:
        BadInput: the address is no repository's, the library is not installed, or the hub refuses or cannot be reached
            and the repository is not in the cache.
    """
    if importlib.util.find_spec("huggingface_hub") is None:
        raise BadInput(
            f"{brief(address)} is read by huggingface_hub, which is not installed; pip install 'drumgan-jax[hub]'."
        )
    from huggingface_hub import HfApi, RepoFile, constants, get_cached_repo_tree
    from huggingface_hub.errors import CachedRepoTreeNotFoundError, HfUriError
    from huggingface_hub.file_download import repo_folder_name
    from huggingface_hub.utils import parse_hf_uri

    try:
        uri = parse_hf_uri(SCHEME + address[len(SCHEME) :])
    except HfUriError as error:
        raise BadInput(f"{brief(address)} is no address of a repository; write {_FORM}.") from error
    if uri.type != "model":
        raise BadInput(f"{brief(address)} is of a {uri.type}, and models alone can be loaded; write {_FORM}.")
    hub = HfApi(library_name=_LIBRARY)
    with _errors(address):
        offline = _is_offline()
        commit = hub.resolve_revision(uri.id, revision=uri.revision, local_files_only=offline).resolved
        try:
            tree = get_cached_repo_tree(uri.id, revision=commit)
        except CachedRepoTreeNotFoundError:
            if offline:
                raise _not_here(address) from None
            tree = [
                one for one in hub.list_repo_tree(uri.id, recursive=True, revision=commit) if isinstance(one, RepoFile)
            ]
    sizes = {one.path: one.size for one in tree}
    cache = Path(constants.HF_HUB_CACHE).expanduser().resolve()
    folder = cache / repo_folder_name(repo_id=uri.id, repo_type="model") / "snapshots" / commit
    return HubFolder(address, uri.id, commit, uri.path_in_repo.strip("/"), sizes, folder)


def _is_sound(path: Path) -> bool:
    """Whether a file of the library's cache is what its name there says, if it says anything.

    It does where the cache is made of links: the SHA-256 of a large file, and Git's name of the content of a small one.
    """
    try:
        named = os.path.basename(os.readlink(path)) if path.is_symlink() else ""
        digest = _DIGESTS.get(len(named))
        return digest is None or digest(path) == named
    except OSError:
        return False


def _is_offline() -> bool:
    from huggingface_hub import constants

    return is_offline() or constants.is_offline_mode()


def _not_here(address: str) -> BadInput:
    from huggingface_hub import constants

    return BadInput(
        f"{brief(address)} is not in the cache {constants.HF_HUB_CACHE}, or not all of it, and {_offline_name()} is"
        " set; unset it, or load it once with a network."
    )


def _offline_name() -> str:
    return "DRUMGAN_OFFLINE" if is_offline() else "HF_HUB_OFFLINE"


@contextlib.contextmanager
def _errors(address: str) -> Iterator[None]:
    """Turn what the library raises into a BadInput."""
    from huggingface_hub import constants, errors

    what = brief(address)
    log_in = "log in (`hf auth login`, or HF_TOKEN)"
    try:
        yield
    except BadInput:
        raise
    except errors.GatedRepoError as error:
        raise BadInput(f"{what} is gated: ask for access on its page at {constants.ENDPOINT}, and {log_in}.") from error
    except errors.RepositoryNotFoundError as error:
        raise BadInput(
            f"{what} is not at {constants.ENDPOINT}, or is private; correct the name, or {log_in}."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise BadInput(f"{what}: there is no such revision; give a branch, a tag or a commit's whole hash.") from error
    # A library for HTTP raises many things.
    except Exception as error:
        if _is_offline():
            raise _not_here(address) from error
        if is_disk_full(error):
            raise BadInput(
                f"the disk of the cache {constants.HF_HUB_CACHE} is too full for {what}; make room, or set HF_HOME to"
                " another folder."
            ) from error
        if isinstance(error, errors.RevisionResolutionError | errors.LocalEntryNotFoundError):
            reason = first_line(error.__cause__ or error)
            raise BadInput(
                f"{what} cannot be reached ({reason}), and is not in the cache; try again when online."
            ) from error
        raise BadInput(f"{what} cannot be fetched ({first_line(error)}); try again later.") from error
