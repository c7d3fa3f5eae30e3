"""Money: integer minor units inside, decimal strings outside, floats nowhere.

ISO 4217 gives each currency an exponent, the number of digits of its minor unit. The table has the currencies in use
with exponent 0, 2 or 3. Other currencies are refused. Amounts are stored as minor units for ever. So a code is never
removed from the table and its exponent never changes, even if the currency is abolished.
"""

from __future__ import annotations

import re

MAX_AMOUNT = 10**15 - 1
"""Largest amount of one entry, in minor units. Sums can be larger: they are Python ints and SQL numeric."""

EXPONENTS: dict[str, int] = (
    dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0)
    | dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3)
    | dict.fromkeys(
        (
            "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP "
            "CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS "
            "INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN "
            "MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE "
            "SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR "
            "ZMW ZWG"
        ).split(),
        2,
    )
)
"""The exponent of each currency, by ISO 4217 code."""

_DECIMAL = re.compile(r"(-?)(\d{1,16})(?:\.(\d{1,3}))?", re.ASCII)


class MoneyError(ValueError):
    """An amount or a currency is invalid. The message gives the reason and the figures."""


def exponent(currency: str) -> int:
    """Return the number of digits of the currency's minor unit. Raises `MoneyError` for an unknown currency."""
    try:
        return EXPONENTS[currency]
    except KeyError:
        raise MoneyError(f"Unknown currency {currency!r}: use an ISO 4217 code such as EUR.") from None


def parse(text: str, currency: str) -> int:
    """Return the minor units of a decimal string: ``parse("12.30", "EUR") == 1230``. They can be negative or zero.

    Raises `MoneyError` if the text is not a plain decimal number, has more decimals than the currency, or is larger
    than `MAX_AMOUNT`.
    """
    digits = exponent(currency)
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise MoneyError(f"{text[:40]!r} is not a decimal amount such as '12.30'.")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction) > digits:
        raise MoneyError(f"{text!r} has {len(fraction)} decimals; {currency} has {digits}.")
    minor = int(whole + fraction.ljust(digits, "0"))
    if minor > MAX_AMOUNT:
        raise MoneyError(f"{text!r} {currency} is over the largest amount, {show(MAX_AMOUNT, currency)}.")
    return -minor if sign else minor


def parse_positive(text: str, currency: str) -> int:
    """Return the minor units of an amount that must be more than zero. Raises `MoneyError`."""
    minor = parse(text, currency)
    if minor <= 0:
        raise MoneyError(f"{text!r} is not more than zero.")
    return minor


def show(minor: int, currency: str) -> str:
    """Return the decimal string of minor units: ``show(-1230, "EUR") == "-12.30"``."""
    digits = EXPONENTS[currency]
    if minor < 0:
        return f"-{show(-minor, currency)}"
    text = str(minor)
    if digits == 0:
        return text
    if len(text) <= digits:
        text = text.zfill(digits + 1)
    return f"{text[:-digits]}.{text[-digits:]}"
