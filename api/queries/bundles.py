"""Bundles over HTTP: evidence in one snapshot, bounded, so that none of it is held while it is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Final

from fastapi import Query, Request
from psycopg import Connection
from starlette.responses import Response

from api.gateway.documented import READ
from api.gateway.problems import Problem
from api.queries.responses import FileResponse
from api.queries.snapshot import snapshot
from api.services import services
from eventstore.proof.bundle import MEDIA_TYPE, BundleError
from eventstore.proof.evidence import MOST_SINCE, ChangedError, Evidence, EvidenceError

logger = logging.getLogger(__name__)

MOST_BYTES: Final = 16 * 1024 * 1024
"""Most bytes of a bundle over HTTP, which is made in memory: some 8,000 events. `daybook prove` has no such bound."""
FILE_NAME: Final = "bundle.jsonl"
BUNDLE: Final[dict[int | str, dict[str, Any]]] = {
    **READ,
    200: {
        "content": {
            MEDIA_TYPE: {
                "schema": {"type": "string", "description": "One line of the bundle on each line"},
                "x-item-schema": {"type": "object", "description": "`docs/bundle.md` has the members of each kind"},
            }
        }
    },
}
"""The answers of a route that returns a bundle."""

Since = Annotated[
    str | None,
    Query(
        max_length=1_000,
        pattern=r"^[1-9][0-9]{0,17}(,[1-9][0-9]{0,17})*$",
        description="Sizes of checkpoints that the reader kept, with commas between them: the bundle proves that each "
        "is the beginning of its last one",
        examples=["1234"],
    ),
]
Write = Callable[[Evidence], Iterator[bytes]]


def made(connection: Connection[Any], log_number: int, since: str | None, write: Write) -> bytes:
    """A bundle, read in one snapshot. Raises `Problem` where there is none or where it is too large."""
    with snapshot(connection):
        try:
            return _bounded(write(Evidence(connection, log_number, _sizes(since))))
        except EvidenceError as error:
            raise Problem("unknown", str(error), kind=error.kind, id=error.id) from None
        except BundleError as error:
            raise Problem("malformed", f"It does not fit: {error}.") from None
        except ChangedError as error:
            logger.error("no evidence: %s", error)
            raise Problem("internal", f"There is no evidence: {error}.") from None


def sent(content: bytes) -> Response:
    """The response with a bundle."""
    return FileResponse(iter([content]), MEDIA_TYPE, FILE_NAME, content.count(b'\n{"leaf":'))


def bundle_response(request: Request, since: str | None, write: Write) -> Response:
    """The response with a bundle of the log alone. Raises `Problem`."""
    served = services(request)
    with served.reads() as connection:
        return sent(made(connection, served.log_number, since, write))


def _sizes(since: str | None) -> tuple[int, ...]:
    """The sizes of a text. Raises `Problem` if they are too many."""
    sizes = () if since is None else tuple(map(int, since.split(",")))
    if len(sizes) > MOST_SINCE:
        raise Problem("malformed", f"since: at most {MOST_SINCE} sizes, not {len(sizes)}.", most=MOST_SINCE)
    return sizes


def _bounded(lines: Iterator[bytes]) -> bytes:
    content = bytearray()
    for line in lines:
        content += line
        if len(content) > MOST_BYTES:
            raise Problem(
                "malformed",
                f"The bundle has more than {MOST_BYTES} bytes, which is the most over HTTP: let the operator write it "
                "with daybook prove.",
                most=MOST_BYTES,
            )
    return bytes(content)
