"""The table of currencies: complete beside ISO 4217 as a maintained package has it, and never less than it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from iso4217 import Currency

from domain.money import EXPONENTS

SHIPPED: Final[dict[str, int]] = json.loads(
    (Path(__file__).parents[2] / "fixtures" / "currencies.json").read_text(encoding="ascii")
)
"""Every code that any version of Daybook took, with the exponent its amounts are stored with. Only ever added to."""

PUBLISHED: Final[dict[str, int | None]] = {one.code: one.exponent for one in Currency}

LEFT_OUT: Final = {
    "BOV": "a fund: Bolivian Mvdol, an index",
    "CHE": "a fund: WIR euro",
    "CHW": "a fund: WIR franc",
    "CLF": "a fund: Unidad de Fomento, an index, with an exponent of 4",
    "COU": "a fund: Unidad de Valor Real, an index",
    "MXV": "a fund: Mexican Unidad de Inversion, an index",
    "USN": "a fund: US dollar of the next day",
    "UYI": "a fund: Uruguay Peso en Unidades Indexadas, an index",
    "UYW": "a fund: Unidad Previsional, an index, with an exponent of 4",
    "XAD": "a unit of account between Arab central banks",
}
"""What ISO 4217 gives an exponent and nobody pays with. A code without an exponent, such as gold, is no money here."""

WITHDRAWN: Final[dict[str, str]] = {}
"""Codes that Daybook keeps although ISO 4217 no longer lists them, with the date of their end."""

CORRECTED: Final[dict[str, str]] = {}
"""Codes whose exponent ISO 4217 has changed since amounts were stored, with the reason."""


def test_no_code_that_was_shipped_is_missing_or_has_another_exponent() -> None:
    changed = {code: EXPONENTS.get(code) for code, exponent in SHIPPED.items() if EXPONENTS.get(code) != exponent}
    assert changed == {}, "amounts may be stored in these: their codes and exponents stay as they are"


def test_every_code_is_kept_from_now_on() -> None:
    added = {code: exponent for code, exponent in EXPONENTS.items() if code not in SHIPPED}
    assert added == {}, "add these to tests/fixtures/currencies.json"


def test_every_currency_of_iso_4217_is_there() -> None:
    missing = {code: exponent for code, exponent in PUBLISHED.items() if exponent is not None and code not in EXPONENTS}
    assert missing.keys() == LEFT_OUT.keys(), "add the new ones to domain/money.py, or to LEFT_OUT with the reason"


def test_every_code_is_one_of_iso_4217() -> None:
    assert EXPONENTS.keys() - PUBLISHED.keys() == WITHDRAWN.keys(), "name those that were withdrawn, and keep them"


def test_exponents_are_those_of_iso_4217() -> None:
    other = {code for code, exponent in EXPONENTS.items() if PUBLISHED.get(code, exponent) != exponent}
    assert other == CORRECTED.keys(), "amounts are stored with the old exponent: keep it, and name the code"


def test_the_newest_currencies_are_there() -> None:
    assert {code: EXPONENTS[code] for code in ("XCG", "ZWG", "VED")} == {"XCG": 2, "ZWG": 2, "VED": 2}
