"""What is said of an .npz that is damaged, without the bytes that are in it."""

import io
import zipfile

import numpy as np
import pytest

from drumgan_jax.core.array_files import arrays_of


def written(**arrays: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def test_a_name_that_was_changed_in_one_of_its_two_places() -> None:
    sound = written(first=np.arange(3))
    assert list(arrays_of(sound)) == ["first"]
    # Zipfile says "File name in directory 'first.npy' and header b'...' differ."
    with pytest.raises(ValueError, match=r"^it is no whole zip archive$"):
        arrays_of(sound.replace(b"first", b"f\xfe\x00st", 1))
    with pytest.raises(ValueError, match=r"^it is no whole zip archive$"):
        arrays_of(sound[:-30])


def test_a_header_that_is_none() -> None:
    content = io.BytesIO()
    header = b"{'descr': '" + b"\xfe" * 5000
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("first.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ValueError, match=r"^an array's header cannot be read$"):
        arrays_of(content.getvalue())
