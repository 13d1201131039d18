"""Files as `torch.save` writes them, made without PyTorch: pickles assembled opcode by opcode."""

import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np

STORAGES = {"f8": "Double", "f4": "Float", "f2": "Half", "i8": "Long", "i4": "Int", "u1": "Byte", "b1": "Bool"}


def reference(module, name):
    """The opcode for something by its module and name."""
    return b"c" + f"{module}\n{name}\n".encode()


def value(x):
    """The opcodes of plain values; bytes are opcodes already."""
    if isinstance(x, bytes):
        return x
    if isinstance(x, tuple):
        return b"(" + b"".join(value(item) for item in x) + b"t"
    if isinstance(x, str):
        return b"X" + struct.pack("<I", len(x.encode())) + x.encode()
    # Of protocol 2's opcodes for the rest, only what is between the protocol's mark and the stop.
    return pickle.dumps(x, 2)[2:-1]


def ordered(items):
    """The opcodes of an OrderedDict."""
    pairs = b"".join(value(key) + value(item) for key, item in items)
    return reference("collections", "OrderedDict") + b")R(" + pairs + b"u"


def tensor(key, array, legacy, shape=None, strides=None, offset=0):
    """The opcodes of a tensor on storage `key`; the shape and strides are the array's own if not given."""
    storage = reference("torch", f"{STORAGES[array.dtype.str[1:]]}Storage")
    pid = ("storage", storage, key, "cpu", array.size) + ((None,) if legacy else ())
    shape = array.shape if shape is None else shape
    strides = tuple(n // array.itemsize for n in array.strides) if strides is None else strides
    arguments = (value(pid) + b"Q", offset, shape, strides, False, ordered([]))
    return reference("torch._utils", "_rebuild_tensor_v2") + value(arguments) + b"R"


def write(path: Path, state, legacy=False):
    """Write arrays by name in the zip format, or in the one before PyTorch 1.6."""
    arrays = {str(key): np.ascontiguousarray(array) for key, array in enumerate(state.values())}
    items = [
        (name, tensor(key, array.reshape(np.shape(state[name])), legacy))
        for name, (key, array) in zip(state, arrays.items(), strict=True)
    ]
    write_raw(path, ordered(items), arrays, legacy)


def write_raw(path: Path, opcodes, arrays, legacy=False):
    """Write a file with these opcodes as its pickle and these arrays as its storages."""
    program = b"\x80\x02" + opcodes + b"."
    if not legacy:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", program)
            archive.writestr("archive/byteorder", "little")
            for key, array in arrays.items():
                archive.writestr(f"archive/data/{key}", array.tobytes())
            archive.writestr("archive/version", "3\n")
        return
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system))
    tail = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in arrays.values())
    path.write_bytes(head + program + pickle.dumps(list(arrays), 2) + tail)
