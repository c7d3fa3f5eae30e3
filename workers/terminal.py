"""Output on terminals that do not know every character: LANG=C, latin-1."""

from __future__ import annotations

import codecs
import io
import sys

ESCAPES = "daybook.escapes"


def escape(error: UnicodeError) -> tuple[str, int]:
    """JSON's escapes instead of what has no bytes: right within JSON, and plain enough for people."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end


def print_anything() -> None:
    """Let every character be printed by this process, as itself or escaped."""
    codecs.register_error(ESCAPES, escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPES)
