"""The bank's files: the meaning of each line, and a message for each wrong line."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from workers.importers.czech_bank.reconciling import bank_days
from workers.importers.czech_bank.source import (
    SourceError,
    SourceOrder,
    SourceTransaction,
    read_accounts,
    read_orders,
    read_transactions,
    transaction_files,
)

CZECH_BANK = Path(__file__).parents[2] / "fixtures" / "czech-bank"
HEADING = '"trans_id";"account_id";"date";"type";"operation";"amount";"balance";"k_symbol";"bank";"account"'


def rows(tmp_path: Path, *lines: str) -> list[SourceTransaction]:
    file = tmp_path / "trans-test.asc"
    file.write_text("\r\n".join([HEADING, *lines]) + "\r\n")
    return list(read_transactions(file))


@pytest.mark.parametrize(
    ("type", "operation", "symbol", "credit", "role", "kind"),
    [
        ("PRIJEM", "VKLAD", "", True, "cash", "deposit"),
        ("VYDAJ", "VYBER", "", False, "cash", "withdrawal"),
        ("VYBER", "VYBER", "", False, "cash", "withdrawal"),
        ("VYDAJ", "VYBER KARTOU", "", False, "cash", "withdrawal"),
        ("VYDAJ", "VYBER", "SIPO", False, "cash", "withdrawal"),
        ("PRIJEM", "PREVOD Z UCTU", "DUCHOD", True, "banks", "transfer"),
        ("VYDAJ", "PREVOD NA UCET", " ", False, "banks", "transfer"),
        ("PRIJEM", "", "UROK", True, "interest", "interest"),
        ("VYDAJ", "VYBER", "SLUZBY", False, "fees", "fee"),
        ("VYDAJ", "VYBER", "SANKC. UROK", False, "penalties", "penalty"),
    ],
)
def test_the_internal_account_of_a_transaction(
    tmp_path: Path, type: str, operation: str, symbol: str, credit: bool, role: str, kind: str
) -> None:
    (row,) = rows(tmp_path, f'7;9;930131;"{type}";"{operation}";12.30;-4.50;"{symbol}";"AB";"123"')
    assert (row.credit, row.role, row.kind) == (credit, role, kind)
    assert (row.amount, row.balance, row.signed) == (1230, -450, 1230 if credit else -1230)
    assert (row.id, row.account, str(row.day)) == (7, 9, "1993-01-31")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('7;9;930231;"PRIJEM";"VKLAD";1.00;1.00;"";;', "'930231' is not a date"),
        ('7;9;930131;"PRIJEM";"VKLAD";1.005;1.00;"";;', "3 decimals"),
        ('7;9;930131;"PRIJEM";"VKLAD";-1.00;1.00;"";;', "less than zero"),
        ('7;9;930131;"PRIJEM";"VKLAD";much;1.00;"";;', "not a decimal amount"),
        ('7;9;930131;"PRIJEM";"GIFT";1.00;1.00;"";;', "'GIFT'"),
        ('7;9;930131;"GIFT";"VKLAD";1.00;1.00;"";;', "'GIFT'"),
        ('x;9;930131;"PRIJEM";"VKLAD";1.00;1.00;"";;', "trans_id is 'x'"),
        ('7;9;930131;"PRIJEM"', "4 columns"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(SourceError, match=r"trans-test\.asc:2") as wrong:
        rows(tmp_path, line)
    assert says in str(wrong.value)


def test_an_amount_may_have_been_rounded_to_zero(tmp_path: Path) -> None:
    (row,) = rows(tmp_path, '7;9;930131;"PRIJEM";"";0.00;12.30;"UROK";;')
    assert (row.amount, row.signed, row.balance) == (0, 0, 1230)


def test_the_published_name_and_parts_of_it_are_found(tmp_path: Path) -> None:
    parts = [tmp_path / "trans-1.asc", tmp_path / "trans-2.asc"]
    for part in reversed(parts):
        part.touch()
    assert transaction_files(tmp_path) == parts
    (tmp_path / "trans.asc").touch()
    with pytest.raises(SourceError, match=r"both trans\.asc and trans-1\.asc: keep either"):
        transaction_files(tmp_path)
    for part in parts:
        part.unlink()
    assert transaction_files(tmp_path) == [tmp_path / "trans.asc"]


def test_lines_out_of_date_order_are_refused(tmp_path: Path) -> None:
    later, earlier = (f'{n};9;{day};"PRIJEM";"VKLAD";1.00;1.00;"";;' for n, day in ((1, 930202), (2, 930201)))
    with pytest.raises(SourceError, match="not in date order"):
        rows(tmp_path, later, earlier)


def test_the_file_of_birth_numbers_is_not_needed(tmp_path: Path) -> None:
    shutil.copytree(CZECH_BANK, tmp_path, dirs_exist_ok=True)
    assert not (tmp_path / "client.asc").exists()
    accounts = read_accounts(tmp_path)
    assert len(accounts) == len({account.id for account in accounts})
    assert [a.opened_on for a in accounts] == sorted(a.opened_on for a in accounts)


def test_missing_files_and_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"there is neither trans\.asc nor trans-\*\.asc"):
        transaction_files(tmp_path)
    with pytest.raises(SourceError, match=r"disp\.asc is missing"):
        read_accounts(tmp_path)
    (tmp_path / "disp.asc").write_text('"disp_id";"client_id"\r\n')
    with pytest.raises(SourceError, match=r"disp\.asc: no column account_id, type"):
        read_accounts(tmp_path)


def test_an_account_without_owner_is_an_error(tmp_path: Path) -> None:
    shutil.copytree(CZECH_BANK, tmp_path, dirs_exist_ok=True)
    disp = (tmp_path / "disp.asc").read_text()
    (tmp_path / "disp.asc").write_text(disp.replace('"OWNER"', '"DISPONENT"', 1))
    with pytest.raises(SourceError, match="has no owner"):
        read_accounts(tmp_path)


def test_the_last_balance_of_a_day_is_found_in_any_order_of_rows(tmp_path: Path) -> None:
    first = '1;9;930101;"PRIJEM";"VKLAD";700.00;700.00;"";;'
    chained = [
        '2;9;930202;"VYDAJ";"VYBER";14.60;785.40;"SLUZBY";;',
        '3;9;930202;"PRIJEM";"VKLAD";100.00;800.00;"";;',
        '4;9;930202;"PRIJEM";"";3.20;788.60;"UROK";;',
    ]
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)):
        days = list(bank_days(rows(tmp_path, first, *(chained[n] for n in order))))
        assert [(str(day), balance) for _, day, balance in days] == [("1993-01-01", 70000), ("1993-02-02", 78860)]


ORDERS = '"order_id";"account_id";"bank_to";"account_to";"amount";"k_symbol"'


def orders(tmp_path: Path, *lines: str) -> list[SourceOrder]:
    (tmp_path / "order.asc").write_text("\r\n".join([ORDERS, *lines]) + "\r\n")
    return list(read_orders(tmp_path))


def test_standing_orders(tmp_path: Path) -> None:
    assert list(read_orders(tmp_path)) == [], "the file may be missing"
    found = orders(tmp_path, '29401;1;"YZ";"87144583";2452.00;"SIPO"', '29402;2;"ST";"89597016";0.70;" "')
    assert found == [SourceOrder(29401, 1, 245_200, "SIPO"), SourceOrder(29402, 2, 70, "")]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('x;1;"YZ";"87144583";2452.00;"SIPO"', "order_id is 'x'"),
        ('29401;1;"YZ";"87144583";-1.00;"SIPO"', "less than zero"),
        ('29401;1;"YZ";"87144583";1.001;"SIPO"', "3 decimals"),
        ('29401;1;"YZ";"87144583";1.00;"two words"', "'two words' is not a code"),
        ("29401;1", "2 columns"),
    ],
)
def test_a_wrong_order_is_named(tmp_path: Path, line: str, says: str) -> None:
    with pytest.raises(SourceError, match=r"order\.asc:2") as wrong:
        orders(tmp_path, line)
    assert says in str(wrong.value)
