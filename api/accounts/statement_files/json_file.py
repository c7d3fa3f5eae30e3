"""A statement as JSON with all lines: the members of the API's answer."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from api.accounts.statement_files.content import Content
from api.accounts.statement_views import line_view, statement_view
from domain.json_form import json_form


def write(content: Content) -> Iterator[bytes]:
    """The bytes, with a line for each line of the statement."""
    head = content.head
    members = orjson.dumps(statement_view(head, content.as_of), default=json_form, option=orjson.OPT_UTC_Z)
    yield members[:-1] + b',"items":['
    for number, line in enumerate(content.lines):
        view = line_view(line, head.account.currency)
        yield (b",\n" if number else b"\n") + orjson.dumps(view, default=json_form, option=orjson.OPT_UTC_Z)
    yield b"\n]}\n"
