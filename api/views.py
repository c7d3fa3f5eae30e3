"""Rows as clients see them: decimal strings, ISO dates, texts that cannot be read marked."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import Struct
from starlette.responses import Response

from domain.kernel import Erased, Unreadable
from domain.money import show
from eventstore.log.read import Recorded
from projections.accounts.accounts.queries import AccountRow
from projections.accounts.entries.queries import EntryRow
from projections.accounts.movements.queries import DailyBalance
from projections.accounts.transactions.queries import TransactionRow
from projections.accounts.trial_balance.queries import TrialBalance
from projections.orders.orders.queries import OrderRow
from projections.posts.posts.queries import PostRow, RevisionRow


def json_response(body: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    """A success with this body."""
    options = orjson.OPT_UTC_Z | orjson.OPT_PASSTHROUGH_DATACLASS
    return Response(orjson.dumps(body, default=json_form, option=options), status, headers, "application/json")


def account_view(row: AccountRow) -> dict[str, Any]:
    c = row.currency
    return {
        "account": row.account,
        "number": row.number,
        "type": row.type,
        "currency": c,
        "owner": row.owner,
        "name": row.name,
        "name_erased": row.name_erased,
        "status": row.status,
        "reason": row.reason,
        "minimum": None if row.minimum is None else show(row.minimum, c),
        "maximum": None if row.maximum is None else show(row.maximum, c),
        "opened_on": row.opened_on,
        "balance": show(row.balance, c),
        "reserved": show(row.reserved, c),
        "available": show(row.available, c),
        "version": row.version,
        "entries": row.entries,
    }


def entry_view(row: EntryRow) -> dict[str, Any]:
    c = row.currency
    return {
        "number": row.number,
        "transaction": row.transaction,
        "entry": row.entry,
        "side": row.side,
        "amount": show(row.amount, c),
        "currency": c,
        "balance_after": show(row.balance_after, c),
        "value_date": row.value_date,
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def transaction_view(row: TransactionRow) -> dict[str, Any]:
    return {
        "transaction": row.transaction,
        "kind": row.kind,
        "value_date": row.value_date,
        "reference": row.reference,
        "description": row.description,
        "description_erased": row.description_erased,
        "entries": [
            {"account": e.account, "side": e.side, "amount": show(e.amount, e.currency), "currency": e.currency}
            for e in row.entries
        ],
        "recorded_at": row.recorded_at,
        "position": row.position,
    }


def trial_balance_view(balance: TrialBalance) -> dict[str, Any]:
    return {
        "balanced": balance.balanced,
        "totals": [
            {"currency": t.currency, "debits": show(t.debits, t.currency), "credits": show(t.credits, t.currency)}
            for t in balance.totals
        ],
        "lines": [
            {
                "currency": line.currency,
                "type": line.type,
                "debits": show(line.debits, line.currency),
                "credits": show(line.credits, line.currency),
                "balance": show(line.balance, line.currency),
            }
            for line in balance.lines
        ],
    }


def movement_view(row: DailyBalance) -> dict[str, Any]:
    c = row.currency
    return {
        "day": row.day,
        "currency": c,
        "opening": show(row.opening, c),
        "debits": show(row.debits, c),
        "credits": show(row.credits, c),
        "closing": show(row.closing, c),
        "entries": row.entries,
    }


def order_view(row: OrderRow) -> dict[str, Any]:
    c = row.currency
    return {
        "order": row.order,
        "customer": row.customer,
        "currency": c,
        "status": row.status,
        "total": show(row.total, c),
        "reference": row.reference,
        "reason": row.reason,
        "transaction": row.transaction,
        "account": row.account,
        "version": row.version,
        "placed_at": row.placed_at,
        "lines": [
            {"sku": x.sku, "name": x.name, "quantity": x.quantity, "unit_price": show(x.unit_price, c)}
            for x in row.lines
        ],
    }


def post_view(row: PostRow) -> dict[str, Any]:
    return {
        "post": row.post,
        "author": row.author,
        "status": row.status,
        "slug": row.slug,
        "title": row.title,
        "body": row.body,
        "text_erased": row.text_erased,
        "revision": row.revision,
        "reason": row.reason,
        "published_at": row.published_at,
        "drafted_at": row.drafted_at,
        "version": row.version,
    }


def revision_view(row: RevisionRow) -> dict[str, Any]:
    return {
        "revision": row.revision,
        "title": row.title,
        "body": row.body,
        "summary": row.summary,
        "text_erased": row.text_erased,
        "recorded_at": row.recorded_at,
    }


def event_view(recorded: Recorded, event: Any) -> dict[str, Any]:
    """An event as it stands in the log, its sealed fields opened; amounts are minor units."""
    header = ("originator_id", "originator_version")
    return {
        "position": recorded.position,
        "unit_end": recorded.unit_end,
        "stream": recorded.stream,
        "version": recorded.version,
        "type": recorded.type,
        "recorded_at": recorded.recorded_at,
        "data": {name: getattr(event, name) for name in event.__struct_fields__ if name not in header},
        "metadata": orjson.Fragment(recorded.metadata),
    }


def json_form(value: Any) -> Any:
    """Events, states and their values that cannot be read, for orjson, which knows the rest."""
    if isinstance(value, Erased | Unreadable):
        return str(value)
    if isinstance(value, Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    raise TypeError(f"{type(value).__name__} has no form in JSON")
