"""The plans that the server chose for the statements of a test."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

Node = dict[str, Any]
INDEX_SCANS = frozenset({"Index Scan", "Index Only Scan"})


@dataclass(frozen=True)
class Statement:
    """An executed statement, its plan, and the nodes of the plan that read a table."""

    text: str
    plan: Node
    scans: list[Node]


class Explained:
    """A connection of the superuser that records its statements, also those within functions."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self._messages: list[str] = []
        connection.add_notice_handler(lambda notice: self._messages.append(notice.message_primary or ""))
        connection.execute("LOAD 'auto_explain'")
        connection.execute(
            "SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;"
            " SET auto_explain.log_format = json; SET auto_explain.log_level = notice"
        )

    def statements(self, run: Callable[[], object]) -> list[Statement]:
        """All statements that `run` executes."""
        self._messages.clear()
        run()
        answered = [json.loads(message[message.index("{") :]) for message in self._messages if "plan:" in message]
        assert answered, "the server sent no plan"
        return [
            Statement(
                one["Query Text"],
                one["Plan"],
                [node for node in nodes(one["Plan"]) if "Relation Name" in node and _scans(node)],
            )
            for one in answered
        ]

    def scans(self, run: Callable[[], object]) -> list[Node]:
        """The nodes that read a table, of all the statements that `run` executes."""
        return [node for statement in self.statements(run) for node in statement.scans]


def nodes(plan: Node) -> Iterator[Node]:
    """A plan and all its parts."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def probed_index(scan: Node) -> str | None:
    """The index that a scan uses to find its rows; None if it reads a whole table or a whole index."""
    if scan["Node Type"] == "Bitmap Heap Scan":
        scan = scan["Plans"][0]
    return scan["Index Name"] if "Index Cond" in scan else None


def _scans(node: Node) -> bool:
    return "Relation Name" in node and "Scan" in node["Node Type"]
