"""The events of a settlement."""

from __future__ import annotations

from datetime import date

from domain.kernel import Event, Value


class Basis(Value, frozen=True):
    """What an agreement gives to the figures of its next day. Amounts are minor units."""

    starts_on: date  # no entry with an earlier value date counts
    after: int  # the position in the log up to which entries are settled already
    fee_rate: int  # millionths of the payments
    gross: int  # payments less refunds that are carried over
    fee: int  # fees that are carried over


class SettlementCalculated(Event, frozen=True):
    """The figures of an account and a day. It is the first event of its stream.

    Counted are the entries at positions after that of the basis and up to `until`, with a value date from the start of
    the agreement to `day`. Amounts are minor units.
    """

    account: str
    currency: str
    day: date
    basis: Basis
    until: int
    entries: int  # how many were counted
    payments: int
    refunds: int
    fee: int  # on these payments, rounded half to even

    @property
    def gross(self) -> int:
        """Payments less refunds, with what was carried over."""
        return self.basis.gross + self.payments - self.refunds

    @property
    def fees(self) -> int:
        """The fee, with what was carried over."""
        return self.basis.fee + self.fee

    @property
    def is_due(self) -> bool:
        """Whether there is something to post: the fees are covered, and there are payments."""
        return self.gross > 0 and self.gross >= self.fees


class SettlementPaid(Event, frozen=True):
    """The net amount was paid out and the fee was booked, by a transaction of the same unit."""

    transaction: str
    account: str
    payout: str  # the account that got the money
    currency: str
    gross: int  # what left the merchant account
    fee: int  # of that; the rest was paid out


class SettlementFailed(Event, frozen=True):
    """The payout was refused. It is tried again, or an operator has to look."""

    rule: str
