"""The fields of a protocol buffer, without its schema's classes."""

from typing import TypeVar

# A view is cut without copying, for large messages.
Buffer = TypeVar("Buffer", bytes, memoryview)

# Kinds of values, and the sizes in bytes of those that are of fixed size.
_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}


def fields(message: Buffer) -> dict[int, list]:
    """Values of a protocol buffer's fields by number: whole numbers and parts of the buffer.

    Raises:
        IndexError: the message ends too early.
        KeyError: a field is of a kind that is no longer in use.
    """
    found: dict[int, list] = {}
    at = 0
    while at < len(message):
        (tag,), at = varints(message, at, 1)
        value: int | Buffer
        if tag & 7 == _VARINT:
            (value,), at = varints(message, at, 1)
        else:
            (length,), at = varints(message, at, 1) if tag & 7 == _BYTES else ([_FIXED[tag & 7]], at)
            value, at = message[at : at + length], at + length
        found.setdefault(tag >> 3, []).append(value)
    return found


def varints(buffer: bytes | memoryview, at: int, count: int) -> tuple[list[int], int]:
    """Whole numbers of seven bits a byte, the lowest first, and where the next byte is.

    Raises:
        IndexError: the buffer ends too early.
    """
    numbers = []
    for _ in range(count):
        number, shift = buffer[at] & 127, 7
        while buffer[at] & 128:
            at += 1
            number |= (buffer[at] & 127) << shift
            shift += 7
        at += 1
        numbers.append(number)
    return numbers, at
