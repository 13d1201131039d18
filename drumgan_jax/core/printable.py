"""Names of files as text that every terminal, JSON file and record can hold."""

import re

# Control characters, line and paragraph separators, and what Python makes of bytes that are no UTF-8.
_ODD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_BYTES = range(0xDC80, 0xDD00)


def printable(text: str) -> str:
    r"""The text with odd characters written as in Python: `\n` for a newline, `\xe9` for a byte that is no UTF-8."""
    return _ODD.sub(lambda odd: _escaped(odd[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if code in _BYTES else character.encode("unicode_escape").decode()
