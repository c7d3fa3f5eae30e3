"""Statements as camt.053.001.08 (ISO 20022, bank-to-customer statement), the version that banks send today.

A test validates the files against the schema of the standard. Entries have the direction in which they were booked: a
reversal is an entry of its own with `RvslInd`, and the entry that it reverses stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from hashlib import sha256
from itertools import islice
from textwrap import wrap
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from api.accounts.statement_files.content import PAGE, Content
from projections.accounts.statements.statement import Line

NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
UNDOING = frozenset({"reversal"})
"""Kinds of transactions whose entries are marked as reversals."""
MOST_ID, MOST_ACCOUNT, MOST_NAME, MOST_UNSTRUCTURED = 35, 34, 70, 140
"""Bounds of the standard, in characters."""
_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_camt053(content: Content) -> Iterator[bytes]:
    """The file in parts. The statement must be by booking."""
    yield (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Document xmlns="{NAMESPACE}">\n<BkToCstmrStmt>\n'.encode()
        + _bytes(_group_header(content))
        + b"<Stmt>\n"
        + b"".join(_bytes(one) for one in _statement(content))
    )
    lines = iter(content.lines)
    while page := list(islice(lines, PAGE)):
        yield b"".join(_bytes(_entry(content, line)) for line in page)
    yield b"</Stmt>\n</BkToCstmrStmt>\n</Document>\n"


def _bytes(element: Element) -> bytes:
    written: bytes = ElementTree.tostring(element, encoding="utf-8", xml_declaration=False)
    return written + b"\n"


def _put(parent: Element, path: str, text: object = None) -> Element:
    """Add the elements of a path below each other, and return the last one, with this text."""
    for tag in path.split("/"):
        parent = SubElement(parent, tag)
    if text is not None:
        parent.text = _NO_XML.sub("\ufffd", str(text))
    return parent


def _group_header(content: Content) -> Element:
    header = Element("GrpHdr")
    _put(header, "MsgId", statement_id(content))
    _put(header, "CreDtTm", _time(content.recorded_at))
    return header


def statement_id(content: Content) -> str:
    """The id of a statement: the same for the same account, period and position."""
    head = content.head
    named = "\x1f".join((head.account.account, str(head.since), str(head.until), content.as_of))
    return sha256(named.encode()).hexdigest()[:MOST_ID]


def _statement(content: Content) -> Iterator[Element]:
    """The elements of the statement before its entries."""
    head, currency = content.head, content.head.account.currency
    id = Element("Id")
    id.text = statement_id(content)
    yield id
    created = Element("CreDtTm")
    created.text = _time(content.recorded_at)
    yield created
    period = Element("FrToDt")
    _put(period, "FrDtTm", _time(datetime.combine(head.since, time(), UTC)))
    _put(period, "ToDtTm", _time(datetime.combine(head.until, time.max, UTC)))
    yield period
    account = Element("Acct")
    _put(account, "Id/Othr/Id", head.account.number)
    _put(account, "Tp/Prtry", head.account.type)
    _put(account, "Ccy", currency)
    if head.account.name:
        _put(account, "Nm", head.account.name[:MOST_NAME])
    yield account
    yield _balance(content, "OPBD", head.opening, head.since)
    yield _balance(content, "CLBD", head.closing, head.until)
    summary = Element("TxsSummry")
    total = _put(summary, "TtlNtries")
    _put(total, "NbOfNtries", head.sums.entries)
    _put(total, "Sum", content.amount(head.sums.credits + head.sums.debits))
    net = _put(total, "TtlNetNtry")
    _put(net, "Amt", content.amount(abs(head.sums.net)))
    _put(net, "CdtDbtInd", _side(head.sums.net))
    _put(summary, "TtlCdtNtries/Sum", content.amount(head.sums.credits))
    _put(summary, "TtlDbtNtries/Sum", content.amount(head.sums.debits))
    yield summary


def _balance(content: Content, code: str, minor: int, day: date) -> Element:
    balance = Element("Bal")
    _put(balance, "Tp/CdOrPrtry/Cd", code)
    _amount(balance, content, minor)
    _put(balance, "Dt/Dt", day.isoformat())
    return balance


def _entry(content: Content, line: Line) -> Element:
    entry = Element("Ntry")
    _put(entry, "NtryRef", line.number)
    _amount(entry, content, line.amount)
    if line.kind in UNDOING:
        _put(entry, "RvslInd", "true")
    _put(entry, "Sts/Cd", "BOOK")
    _put(entry, "BookgDt/DtTm", _time(line.recorded_at))
    _put(entry, "ValDt/Dt", line.value_date.isoformat())
    _put(entry, "AcctSvcrRef", line.transaction[:MOST_ID])
    code = _put(entry, "BkTxCd/Prtry")
    _put(code, "Cd", line.kind)
    _put(code, "Issr", "daybook")
    _details(_put(entry, "NtryDtls/TxDtls"), line)
    return entry


def _details(details: Element, line: Line) -> None:
    references = _put(details, "Refs")
    _put(references, "AcctSvcrRef", line.transaction[:MOST_ID])
    text = [] if line.description is None else [line.description]
    if line.reference is not None and len(line.reference) <= MOST_ID:
        _put(references, "EndToEndId", line.reference)
    elif line.reference is not None:
        text.insert(0, line.reference)
    if line.counterparties_in_all == 1 and len(line.counterparties[0]) <= MOST_ACCOUNT:
        side = "CdtrAcct" if line.amount < 0 else "DbtrAcct"
        _put(details, f"RltdPties/{side}/Id/Othr/Id", line.counterparties[0])
    pieces = [piece for one in text for piece in wrap(one, MOST_UNSTRUCTURED)]
    if pieces:
        remittance = _put(details, "RmtInf")
        for piece in pieces:
            _put(remittance, "Ustrd", piece)


def _amount(parent: Element, content: Content, minor: int) -> None:
    _put(parent, "Amt", content.amount(abs(minor))).set("Ccy", content.head.account.currency)
    _put(parent, "CdtDbtInd", _side(minor))


def _side(minor: int) -> str:
    return "DBIT" if minor < 0 else "CRDT"


def _time(at: datetime | None) -> str:
    return (at or datetime.min.replace(tzinfo=UTC)).astimezone(UTC).isoformat().replace("+00:00", "Z")
