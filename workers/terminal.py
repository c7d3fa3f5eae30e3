"""Output for terminals that cannot show every character, such as with LANG=C or latin-1."""

from __future__ import annotations

import codecs
import io
import sys

ESCAPES = "daybook.escapes"


def escape(error: UnicodeError) -> tuple[str, int]:
    """Replace characters that the terminal cannot show by JSON escapes, which are valid in JSON and readable."""
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)), error.end


def print_anything() -> None:
    """Let this process print every character, as itself or escaped."""
    codecs.register_error(ESCAPES, escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPES)
