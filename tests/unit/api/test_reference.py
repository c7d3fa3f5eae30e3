"""docs/reference/requests.md and access.md have the figures, parameters and permissions that the code has."""

from __future__ import annotations

from pathlib import Path

import pytest

from api import registry
from api.gateway.connections import ConnectionLimits
from api.gateway.principals import ROLES
from api.gateway.request_heads import SINGLETONS
from api.gateway.routes import RouteTable
from api.services import Limits

REFERENCE = Path(__file__).parents[3] / "docs" / "reference"
PAGE = (REFERENCE / "requests.md").read_text(encoding="utf-8")
ACCESS = (REFERENCE / "access.md").read_text(encoding="utf-8")
ROUTES = RouteTable(registry.routes())
CONNECTION, LIMITS = ConnectionLimits(), Limits()


def size(number: int) -> str:
    """As people write it: 8 KiB, 1 MiB."""
    return f"{number >> 20} MiB" if number >= 1 << 20 else f"{number >> 10} KiB"


@pytest.mark.parametrize(
    ("what", "figures"),
    [
        ("connections of one process", [f"{CONNECTION.connections:,}"]),
        ("request line and headers", [size(CONNECTION.head_bytes)]),
        ("headers", [f"{CONNECTION.headers}"]),
        ("request target", [size(CONNECTION.target_bytes)]),
        ("a head, from its first byte or the connection", [f"{CONNECTION.head_seconds:g} s"]),
        ("trailers, or extensions of a chunk, between two parts of a body", [size(CONNECTION.head_bytes)]),
        ("the rest of a body after the answer", [f"{CONNECTION.head_seconds:g} s"]),
        ("requests sent before the first is answered", [f"{CONNECTION.pipelined}"]),
        ("an idle connection", [f"{CONNECTION.idle_seconds} s"]),
        ("an answer of which nothing is read", [f"{CONNECTION.write_seconds:g} s"]),
        ("a body", [size(LIMITS.body_bytes), f"{LIMITS.body_seconds:g} s"]),
        ("a batch", [size(LIMITS.batch_bytes), f"{LIMITS.batch_seconds:g} s", f"{LIMITS.batch_items:,} items"]),
        ("bodies of all requests under way", [size(LIMITS.held_bytes)]),
        ("batches at once", [f"{LIMITS.batches}"]),
        ("followers of the log", [f"{LIMITS.followers}"]),
        ("reads that wait for their `min_position`", [f"{LIMITS.waiting:,}"]),
        ("any of the last four, for one principal", ["half"] if LIMITS.principal_share == 0.5 else []),
    ],
)
def test_a_bound_is_written_as_it_is(what: str, figures: list[str]) -> None:
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {what} |")]
    assert figures
    for figure in figures:
        assert figure in row.split("|")[2], row


def test_headers_that_may_come_once_are_written_as_they_are() -> None:
    written = PAGE.partition("These may come once")[2].partition(".\n")[0]
    assert sorted(written.split("`")[3::2]) == sorted(SINGLETONS.values())


def test_the_parameters_of_every_read_are_written_as_they_are() -> None:
    table = PAGE.partition("| route | parameters |")[2].partition("\n\n")[0]
    rows = [row.split("|") for row in table.splitlines()[2:]]
    written = {path.strip(): tuple(parameters.strip("` ").split("`, `")) for _, path, parameters, _ in rows}
    reads = [one for one in ROUTES.routes if "GET" in (one.route.methods or ())]
    assert written == {f"`{one.route.path_format}`": one.parameters or ("",) for one in reads}


def test_the_permissions_are_written_as_they_are() -> None:
    section = ACCESS.partition("## Who may use what")[2].partition("\n## ")[0]
    head, _, *rows = [row.split("|")[1:-1] for row in section.splitlines() if row.startswith("|")]
    roles = [name.strip("` ") for name in head[1:]]
    assert roles == [*ROLES, "without token"]
    written = {
        routes.strip(): {role for role, cell in zip(roles, cells, strict=True) if cell.strip()}
        for routes, *cells in rows
    }
    for one in ROUTES.routes:
        path = one.route.path_format
        named = [cells for routes, cells in written.items() if f"{path}`" in routes]
        if not named:
            named = [written[_COMMANDS if "POST" in (one.route.methods or ()) else _READS]]
        assert named == [{"without token" if right == "public" else right for right in one.declaration.may}], path


_COMMANDS = "all commands, `POST /v1/batches`"
_READS = "reads of accounts, transactions, orders, posts, the trial balance, `/v1/lag`"
