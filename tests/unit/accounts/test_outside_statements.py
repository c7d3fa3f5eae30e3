"""Files of statements: what is read of them, and what is wrong with them, in a sentence with the line or field."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounts.outside_statements import xml_tree
from api.accounts.outside_statements.camt053 import read_camt053
from api.accounts.outside_statements.csv_file import CsvColumns, CsvStatement, read_csv_statement
from api.accounts.outside_statements.parsed import StatementFileError, chosen
from domain.accounts.reconciliation.statement import StatementLine, refuse_statement
from domain.money import show

IBAN = "DE89370400440532013000"
DAY = date(2026, 11, 21)


def balance(code: str, amount: str, side: str = "CRDT", currency: str = "EUR") -> str:
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd><Dt><Dt>2026-11-21</Dt></Dt></Bal>'
    )


def entry(
    amount: str = "12.30",
    side: str = "CRDT",
    status: str = "<Sts>BOOK</Sts>",
    details: str = "",
    more: str = "",
    currency: str = "EUR",
) -> str:
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{side}</CdtDbtInd>{more}{status}'
        f"<BookgDt><Dt>2026-11-21</Dt></BookgDt><ValDt><Dt>2026-11-22</Dt></ValDt>"
        f"<NtryDtls>{details}</NtryDtls></Ntry>"
    )


def stmt(*entries: str, id: str = "S-1", iban: str = IBAN, opening: str = "0.00", closing: str = "12.30") -> str:
    return (
        f"<Stmt><Id>{id}</Id><Acct><Id><IBAN>{iban}</IBAN></Id><Ccy>EUR</Ccy></Acct>"
        f"{balance('OPBD', opening)}\n{balance('CLBD', closing)}\n{''.join(entries)}</Stmt>"
    )


def document(*statements: str, version: str = "02", prolog: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>{prolog}\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.{version}"><BkToCstmrStmt>\n'
        f"{''.join(statements)}</BkToCstmrStmt></Document>"
    )


def lines_of(*entries: str, closing: str = "12.30") -> tuple[StatementLine, ...]:
    [parsed] = read_camt053(document(stmt(*entries, closing=closing)))
    return parsed.statement.lines


def wrong(file: str | bytes) -> str:
    """The sentence about a wrong camt.053."""
    with pytest.raises(StatementFileError) as raised:
        read_camt053(file)
    return str(raised.value)


# camt.053


@pytest.mark.parametrize("version", ["02", "04", "08", "13"])
def test_a_statement_of_each_version(version: str) -> None:
    status = "<Sts>BOOK</Sts>" if version == "02" else "<Sts><Cd>BOOK</Cd></Sts>"
    [parsed] = read_camt053(document(stmt(entry(status=status)), version=version))
    statement = parsed.statement
    assert (statement.statement, statement.currency, statement.opening, statement.closing) == ("S-1", "EUR", 0, 1230)
    assert (statement.since, statement.until, parsed.accounts) == (DAY, DAY, (IBAN,))
    assert statement.lines == (StatementLine(DAY, date(2026, 11, 22), 1230),)
    assert refuse_statement(statement) is None


def test_the_direction_is_that_of_the_entry_also_of_a_reversal() -> None:
    assert [line.amount for line in lines_of(entry(), entry("2.00", "DBIT"))] == [1230, -200]
    reversal = entry("2.00", "CRDT", more="<RvslInd>true</RvslInd>")
    assert [line.amount for line in lines_of(reversal)] == [200]


def test_entries_that_are_not_booked_are_counted_and_left_out() -> None:
    pending, info = entry(status="<Sts>PDNG</Sts>"), entry(status="<Sts><Cd>INFO</Cd></Sts>")
    [parsed] = read_camt053(document(stmt(pending, entry(), info)))
    assert (len(parsed.statement.lines), parsed.statement.skipped) == (1, 2)


def detail(amount: str, reference: str, side: str = "") -> str:
    direction = f"<CdtDbtInd>{side}</CdtDbtInd>" if side else ""
    return (
        f"<TxDtls><Refs><AcctSvcrRef>B-{reference}</AcctSvcrRef><EndToEndId>{reference}</EndToEndId></Refs>"
        f'<Amt Ccy="EUR">{amount}</Amt>{direction}</TxDtls>'
    )


def test_a_batch_is_as_many_lines_as_it_has_transactions_with_amounts() -> None:
    lines = lines_of(entry("30.00", details=detail("10.00", "A") + detail("20.00", "B")))
    assert [(line.amount, line.references, line.bank_reference) for line in lines] == [
        (1000, ("A",), "B-A"),
        (2000, ("B",), "B-B"),
    ]
    mixed = lines_of(entry("10.00", details=detail("30.00", "A") + detail("20.00", "B", "DBIT")))
    assert [line.amount for line in mixed] == [3000, -2000]


def test_a_batch_whose_amounts_do_not_add_up_is_one_line_with_all_references() -> None:
    [line] = lines_of(entry("31.00", details=detail("10.00", "A") + detail("20.00", "B")))
    assert (line.amount, line.references) == (3100, ("A", "B"))


def test_references_texts_and_counterparties() -> None:
    details = (
        "<TxDtls><Refs><EndToEndId>NOTPROVIDED</EndToEndId><InstrId>two words</InstrId></Refs>"
        "<RltdPties><Dbtr><Pty><Nm>Ada  Lovelace</Nm></Pty></Dbtr><DbtrAcct><Id><IBAN>GB1</IBAN></Id></DbtrAcct>"
        "<Cdtr><Nm>Nobody</Nm></Cdtr></RltdPties>"
        "<RmtInf><Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd>"
        "<Ustrd>INV-2026-1</Ustrd><Ustrd>Lovelace</Ustrd><Ustrd>for the engine</Ustrd></RmtInf></TxDtls>"
    )
    [line] = lines_of(entry(details=details, more="<AcctSvcrRef>BANK/1</AcctSvcrRef>"))
    assert line.references == ("RF18539007547034", "INV-2026-1"), "a single word may be a name"
    assert (line.bank_reference, line.counterparty) == ("BANK/1", "Ada Lovelace, GB1")
    assert line.text == "INV-2026-1 Lovelace for the engine two words"


def test_a_text_is_cut_and_an_id_that_is_no_code_is_a_digest() -> None:
    [line] = lines_of(entry(details=f"<TxDtls><RmtInf><Ustrd>{'x' * 600}</Ustrd></RmtInf></TxDtls>"))
    assert len(str(line.text)) == 500
    [parsed] = read_camt053(document(stmt(entry(), id="Statement of May")))
    assert parsed.statement.statement.startswith("digest:")


def test_several_statements_in_a_file() -> None:
    found = read_camt053(document(stmt(entry()), stmt(entry(), id="S-2"), stmt(entry(), id="S-3", iban="GB99XXXX1234")))
    assert chosen(found, " gb99 XXXX 1234").statement.statement == "S-3"
    assert chosen(found, IBAN, "S-2").statement.statement == "S-2"
    with pytest.raises(StatementFileError, match="the file has 2 statements of this account; name one: S-1, S-2"):
        chosen(found, IBAN)
    with pytest.raises(
        StatementFileError, match="outside_account: the file is a statement of …1234, …3000, not of …0001"
    ):
        chosen(found, "FR0001")
    with pytest.raises(StatementFileError, match="statement: the file has no statement 'S-9'"):
        chosen(found, IBAN, "S-9")


BILLION_LAUGHS = '<!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol1 "&lol;&lol;&lol;">]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY file SYSTEM "file:///etc/passwd">]>'
WHOLE = document(stmt(entry()))


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (document(stmt(entry()), prolog=BILLION_LAUGHS), "line 1: the file declares a document type or an entity"),
        (document(stmt(entry()), prolog=EXTERNAL), "line 1: the file declares a document type or an entity"),
        (document(stmt(entry()), prolog='<!DOCTYPE x SYSTEM "http://example.com/x.dtd">'), "line 1: the file declares"),
        (WHOLE[: len(WHOLE) // 2], "line 4: the file is no XML, or is cut: no element"),
        ("", "line 1: the file is no XML, or is cut: no element found"),
        ("Date;Amount\n", "line 1: the file is no XML, or is cut: not well-formed"),
        (b'<?xml version="1.0" encoding="EBCDIC-X"?><a/>', "line 1: the "),
        ("<Document><BkToCstmrAcctRpt/></Document>", "line 1: Document: a camt.053 has a BkToCstmrStmt"),
        (document(), "line 2: BkToCstmrStmt: it has no Stmt"),
        (document(stmt(entry()).replace("<Id>S-1</Id>", "")), "line 3: Stmt: it has no Id"),
        (document(stmt(entry()).replace("OPBD", "ITBD")), "line 3: Stmt: it has no balance OPBD or PRCD"),
        (document(stmt(entry()).replace("OPBD", "CLBD")), "line 3: Stmt: it has no balance OPBD or PRCD"),
        (
            document(stmt(balance("CLBD", "1.00"), entry())),
            "line 5: Bal: a second balance CLBD",
        ),
        (document(stmt(entry(currency="USD"))), "line 5: Ntry is in USD, and the statement in EUR"),
        (document(stmt(entry(currency="XXX"))), "line 5: Ntry: its Amt has no currency that is known: 'XXX'"),
        (
            document(stmt(entry()).replace("<Ccy>EUR</Ccy>", "<Ccy>USD</Ccy>")),
            "line 3: Bal is in EUR, and the account in 'USD'",
        ),
        (document(stmt(entry("12.345"))), "line 5: Amt: '12.345' has 3 decimals; EUR has 2."),
        (document(stmt(entry("-1.00"))), "line 5: Amt: an amount has no sign; CdtDbtInd says the direction"),
        (document(stmt(entry("1e3"))), "line 5: Amt: '1e3' is not a decimal amount such as '12.30'."),
        (document(stmt(entry(side="UP"))), "line 5: Ntry: its CdtDbtInd is neither CRDT nor DBIT"),
        (document(stmt(entry()).replace("2026-11-22", "22.11.2026")), "line 5: Dt: '22.11.2026' is not a date"),
    ],
)
def test_a_bad_file_is_one_sentence_with_its_line(file: str | bytes, sentence: str) -> None:
    assert wrong(file).startswith(sentence)


def test_a_tree_that_is_too_deep_or_too_large_is_not_built(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wrong("<a>" * 41) == "line 1: elements are nested deeper than 40"
    monkeypatch.setattr(xml_tree, "MOST_ELEMENTS", 10)
    assert wrong(f"<a>{'<b/>' * 10}</a>") == "line 1: the file has more than 10 elements"
    assert wrong(f"<a>{'<b/>' * 9}</a>").startswith("line 1: a: a camt.053")


def test_a_text_of_one_line_in_another_encoding() -> None:
    file = document(stmt(entry(details="<TxDtls><RmtInf><Ustrd>Tür</Ustrd></RmtInf></TxDtls>")))
    latin = file.replace("UTF-8", "ISO-8859-1")
    for content in (latin.encode("latin-1"), latin, file.encode()):
        [parsed] = read_camt053(content)
        assert parsed.statement.lines[0].text == "Tür"


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_whatever_a_file_is_there_is_a_sentence(file: str | bytes) -> None:
    content = file.encode("utf-8", "ignore").decode() if isinstance(file, str) else file
    with pytest.raises(StatementFileError):
        read_camt053(content)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_file_is_never_read_in_part(length: int) -> None:
    with pytest.raises(StatementFileError):
        read_camt053(WHOLE[:length])


# CSV

COLUMNS = CsvColumns(booked_on="Day", amount="Amount", balance="Balance", references=["Ref"], text="Text")
FILE = "Day,Amount,Balance,Ref,Text\n2026-11-20,12.30,12.30,INV-1,one\n2026-11-21,-2.00,10.30,two words,two\n"
SAYS = CsvStatement("S-1", IBAN, "EUR")


def refused_csv(file: str, columns: CsvColumns = COLUMNS, says: CsvStatement = SAYS) -> str:
    with pytest.raises(StatementFileError) as raised:
        read_csv_statement(file, columns, says)
    return str(raised.value)


def test_a_csv_file() -> None:
    parsed = read_csv_statement(FILE, COLUMNS, SAYS)
    statement = parsed.statement
    assert (statement.opening, statement.closing, statement.since, statement.until) == (
        0,
        1030,
        date(2026, 11, 20),
        DAY,
    )
    assert [(line.amount, line.references, line.text) for line in statement.lines] == [
        (1230, ("INV-1",), "one"),
        (-200, (), "two"),
    ]
    assert refuse_statement(statement) is None


def test_a_csv_file_with_the_newest_row_first_is_turned() -> None:
    header, *rows = FILE.splitlines()
    turned = "\n".join([header, *reversed(rows)])
    assert read_csv_statement(turned, COLUMNS, SAYS) == read_csv_statement(FILE, COLUMNS, SAYS)


def test_a_csv_file_of_another_country() -> None:
    columns = CsvColumns(
        booked_on="Tag", incoming="Ein", outgoing="Aus", delimiter=";", decimal_mark=",", date_format="%d.%m.%Y",
        skip_lines=1,
    )  # fmt: skip
    file = "Umsätze\nTag;Ein;Aus\n21.11.2026;1.234,50;\n21.11.2026;;0,50\n"
    says = CsvStatement("S-1", IBAN, "EUR", opening=0, closing=123_400)
    assert [line.amount for line in read_csv_statement(file, columns, says).statement.lines] == [123_450, -50]


@pytest.mark.parametrize(("minus", "amount"), [("outgoing", -50), ("return", 50)])
def test_a_minus_in_the_column_of_what_goes_out_is_explained(minus: Literal["outgoing", "return"], amount: int) -> None:
    columns = CsvColumns(booked_on="Day", incoming="In", outgoing="Out")
    file, says = "Day,In,Out\n2026-11-21,,-0.50\n", CsvStatement("S-1", IBAN, "EUR", opening=0, closing=amount)
    assert refused_csv(file, columns, says).startswith("line 2: Out is '-0.50': set minus to 'outgoing' if")
    explained = columns.model_copy(update={"minus": minus})
    assert [line.amount for line in read_csv_statement(file, explained, says).statement.lines] == [amount]


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (FILE.replace("Ref,", "Reference,"), "line 1: no column Ref"),
        (FILE.replace("Text", "Ref"), "line 1: no column Text"),
        (FILE.replace("12.30,12.30", "12.3x,12.30"), "line 2: Amount is '12.3x', not an amount with the decimal mark"),
        (FILE.replace("2026-11-21", "21/11/2026"), "line 3: Day is '21/11/2026', not a date as %Y-%m-%d"),
        (FILE.replace("-2.00", "-2.001"), "line 3: Amount: '-2.001' has 3 decimals; EUR has 2."),
        (FILE.replace("10.30", "10.31"), "line 3: Balance: the balance does not follow from the one before"),
        (FILE.replace(",two\n", "\n"), "line 3: 4 columns, and the header has 5"),
        ("", "line 0: no column Amount, Balance, Day, Ref, Text"),
        ("Day,Amount,Balance,Ref,Text\n", "opening: name the column of balances, or say the opening balance"),
        (f'{FILE}2026-11-21,"1', "line 4: unexpected end of data"),
    ],
)
def test_a_bad_csv_file_is_one_sentence_with_line_and_column(file: str, sentence: str) -> None:
    assert refused_csv(file).startswith(sentence)


@given(st.lists(st.integers(-(10**9), 10**9).filter(bool), min_size=1, max_size=20))
def test_amounts_of_a_csv_file_are_exact(amounts: list[int]) -> None:
    rows, balance = ["Day,Amount,Balance,Ref,Text"], 0
    for amount in amounts:
        balance += amount
        rows.append(f"2026-11-21,{show(amount, 'EUR')},{show(balance, 'EUR')},,")
    statement = read_csv_statement("\n".join(rows), COLUMNS, SAYS).statement
    assert [line.amount for line in statement.lines] == amounts
    assert sum(Decimal(show(amount, "EUR")) for amount in amounts) == Decimal(show(statement.closing, "EUR"))
