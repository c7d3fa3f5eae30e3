"""Reads camt.053 (ISO 20022, bank-to-customer statement), versions 02 and later: elements are found by local name.

A line is an entry that is booked. An entry with several transactions, each with an amount, is as many lines. The
direction is `CdtDbtInd` alone: a reversal is booked in its own direction, and `RvslInd` only says what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from api.accounts.outside_statements.parsed import (
    MOST_COUNTERPARTY,
    MOST_TEXT,
    ParsedStatement,
    StatementFileError,
    code_of,
    cut,
    day_of,
    is_code,
    minor_units,
    normalised,
    references_of,
)
from api.accounts.outside_statements.xml_tree import Node, xml_tree
from domain.accounts.reconciliation.statement import MOST_LINES, Statement, StatementLine
from domain.money import EXPONENTS

OPENING, CLOSING = ("OPBD", "PRCD"), ("CLBD",)
"""The codes of the balances at the beginning and at the end of what is booked. Others are not looked at."""
SIGNS: Final = {"CRDT": 1, "DBIT": -1}
BOOKED: Final = "BOOK"
NOT_PROVIDED: Final = "NOTPROVIDED"
"""What stands in place of a reference where there is none."""
_REFERENCES: Final = ("Refs/EndToEndId", "Refs/InstrId", "RmtInf/Strd/CdtrRefInf/Ref", "RmtInf/Strd/RfrdDocInf/Nb")


def read_camt053(file: str | bytes) -> list[ParsedStatement]:
    """The statements of a file. Raises `StatementFileError`."""
    root = xml_tree(file)
    message = root.node("BkToCstmrStmt")
    if message is None:
        found = next((child.name for child in root if isinstance(child, Node)), root.name)
        raise StatementFileError(f"{root.where}: a camt.053 has a BkToCstmrStmt, and the file has {found[:40]}")
    statements = [_statement(one) for one in message.children("Stmt")]
    if not statements:
        raise StatementFileError(f"{message.where}: it has no Stmt")
    return statements


def _statement(stmt: Node) -> ParsedStatement:
    id = stmt.first("Id")
    if id is None:
        raise StatementFileError(f"{stmt.where}: it has no Id")
    opening, closing = _balance(stmt, OPENING), _balance(stmt, CLOSING)
    currency = _currency(opening)
    stated = stmt.first("Acct/Ccy")
    if stated is not None and stated != currency:
        raise StatementFileError(f"{opening.where} is in {currency}, and the account in {stated[:10]!r}")
    lines: list[StatementLine] = []
    skipped = 0
    for entry in stmt.children("Ntry"):
        if entry.first("Sts/Cd", "Sts/Prtry", "Sts") not in (None, BOOKED):
            skipped += 1
            continue
        lines += _lines(entry, currency)
        if len(lines) > MOST_LINES:
            raise StatementFileError(f"{entry.where}: the statement has more than {MOST_LINES:,} lines")
    since, until = _period(stmt, opening, closing, lines)
    statement = Statement(
        statement=code_of(id),
        currency=currency,
        since=since,
        until=until,
        opening=_amount(opening, currency),
        closing=_amount(closing, currency),
        lines=tuple(lines),
        skipped=skipped,
    )
    account = stmt.node("Acct/Id")
    numbers = [] if account is None else [account.first("IBAN"), account.first("Othr/Id")]
    return ParsedStatement(statement, tuple(normalised(number) for number in numbers if number is not None))


def _period(stmt: Node, opening: Node, closing: Node, lines: list[StatementLine]) -> tuple[date, date]:
    """The period that the statement states. Without one, that of its lines up to the day of its closing balance."""
    start, end = stmt.node("FrToDt/FrDtTm", "FrToDt/FrDt"), stmt.node("FrToDt/ToDtTm", "FrToDt/ToDt")
    if start is not None and end is not None:
        return day_of(start.text or "", start.where), day_of(end.text or "", end.where)
    ends_on = _date(closing, "Dt")
    if ends_on is None:
        raise StatementFileError(f"{closing.where}: it has no date, and the statement has no FrToDt")
    booked = [line.booked_on for line in lines]
    return min([ends_on, *booked]), max([ends_on, *booked])


def _balance(stmt: Node, codes: tuple[str, ...]) -> Node:
    """The balance with the first of these codes."""
    balances = stmt.children("Bal")
    for code in codes:
        found = [one for one in balances if one.first("Tp/CdOrPrtry/Cd") == code]
        if len(found) > 1:
            raise StatementFileError(f"{found[1].where}: a second balance {code}")
        if found:
            return found[0]
    raise StatementFileError(f"{stmt.where}: it has no balance {' or '.join(codes)}")


def _currency(of: Node) -> str:
    """The currency of the amount of an element."""
    amount = of.node("Amt")
    currency = "" if amount is None else amount.get("Ccy", "")
    if currency not in EXPONENTS:
        raise StatementFileError(f"{of.where}: its Amt has no currency that is known: {currency[:10]!r}")
    return currency


def _amount(of: Node, currency: str, sign: str | None = None) -> int:
    """The amount of an element, positive for a credit."""
    amount = of.node("Amt")
    assert amount is not None, "its currency was read"
    if (other := _currency(of)) != currency:
        raise StatementFileError(f"{of.where} is in {other}, and the statement in {currency}")
    return _sign(of, sign) * _unsigned(amount, currency)


def _unsigned(amount: Node, currency: str) -> int:
    minor = minor_units(amount.text or "", currency, amount.where)
    if minor < 0:
        raise StatementFileError(f"{amount.where}: an amount has no sign; CdtDbtInd says the direction")
    return minor


def _sign(of: Node, usual: str | None = None) -> int:
    side = of.first("CdtDbtInd") or usual
    if side not in SIGNS:
        raise StatementFileError(f"{of.where}: its CdtDbtInd is neither CRDT nor DBIT")
    return SIGNS[side]


def _date(of: Node, name: str) -> date | None:
    """The day in an element with a date or a time, or None."""
    found = of.node(f"{name}/Dt", f"{name}/DtTm")
    return None if found is None else day_of(found.text or "", found.where)


def _lines(entry: Node, currency: str) -> Iterator[StatementLine]:
    """The lines of an entry: one, or one for each of its transactions."""
    amount = _amount(entry, currency)
    booked_on, value_date = _date(entry, "BookgDt"), _date(entry, "ValDt")
    day = booked_on or value_date
    if day is None:
        raise StatementFileError(f"{entry.where}: it has neither a BookgDt nor a ValDt")
    days = day, value_date or day
    details = [one for group in entry.children("NtryDtls") for one in group.children("TxDtls")]
    amounts = [_detail_amount(one, currency, entry.first("CdtDbtInd")) for one in details]
    of_entry = entry.first("AcctSvcrRef")
    if len(details) > 1 and sum(one or 0 for one in amounts) == amount and all(amounts):
        for one, its_amount in zip(details, amounts, strict=True):
            yield _line(entry, [one], its_amount or 0, days, one.first("Refs/AcctSvcrRef"))
    else:
        own = details[0].first("Refs/AcctSvcrRef") if len(details) == 1 else None
        yield _line(entry, details, amount, days, of_entry or own)


def _detail_amount(details: Node, currency: str, sign: str | None) -> int | None:
    """The amount of a transaction of an entry, if it has one in the currency of the account."""
    for amount in (details.node("Amt"), details.node("AmtDtls/TxAmt/Amt")):
        if amount is not None and amount.get("Ccy") == currency:
            return _sign(details, sign) * _unsigned(amount, currency)
    return None


def _line(
    entry: Node, details: list[Node], amount: int, days: tuple[date, date], bank_reference: str | None
) -> StatementLine:
    unstructured = [text for one in details for text in _texts(one)]
    named = [one.first(path) for one in details for path in _REFERENCES]
    provided = [text for text in named if text is not None and text != NOT_PROVIDED]
    # A text that is one code with a digit is taken for a reference. A single word may be a name, and stays sealed.
    alone = [text for text in unstructured if any(character.isdigit() for character in text) and is_code(text)]
    others = [text for text in provided if not is_code(text)]
    text = " ".join([*unstructured, *others]) or entry.first("AddtlNtryInf") or ""
    return StatementLine(
        booked_on=days[0],
        value_date=days[1],
        amount=amount,
        references=references_of([*provided, *alone]),
        bank_reference=bank_reference if bank_reference is not None and is_code(bank_reference) else None,
        counterparty=cut("; ".join(_counterparties(details, amount)), MOST_COUNTERPARTY),
        text=cut(text, MOST_TEXT),
    )


def _texts(details: Node) -> Iterator[str]:
    remittance = details.node("RmtInf")
    if remittance is not None:
        for one in remittance.children("Ustrd"):
            if one.text is not None and one.text.strip():
                yield one.text.strip()


def _counterparties(details: list[Node], amount: int) -> Iterator[str]:
    """Who is on the other side: the creditor of what we paid, the debtor of what we got."""
    side = "Cdtr" if amount < 0 else "Dbtr"
    for one in details:
        name = one.first(f"RltdPties/{side}/Pty/Nm", f"RltdPties/{side}/Nm")
        account = one.first(f"RltdPties/{side}Acct/Id/IBAN", f"RltdPties/{side}Acct/Id/Othr/Id")
        if name is not None or account is not None:
            yield ", ".join(part for part in (name, account) if part is not None)
