"""The aggregate settlement agreement: how a merchant account is settled, and up to where it is.

Its stream has what the next settlement needs: the next day, the position up to which entries are settled, and what is
carried over. So its days are settled one after the other, each entry once.

Amounts are integers of minor units in the currency of the account. Rates are in millionths. What is carried over are
two amounts: `gross`, which is payments less refunds, and `fee`, the fees that were not booked. Gross less fee is
negative, or both are zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Literal, TypeAlias

from msgspec.structs import replace

from domain.accounts.account.state import Account
from domain.accounts.allocation import MILLIONTHS
from domain.accounts.settlement.events import Basis
from domain.aggregate import Aggregate, Broken, Decided, EventType, refused
from domain.kernel import Accepted, Context, Decision, Event, Figure, Refused, States, Unknown, Value, found
from domain.permissions import OPERATORS

SETTLEMENT_AGREEMENT = "settlement-agreement:"
"""Beginning of the name of each stream of an agreement. The account follows."""
MOST_DAYS_AGO = 31
"""How many days before today a settlement may begin at most."""
MOST_DAYS_AHEAD = 366
"""How many days after today it may begin at most."""
ONE_DAY = timedelta(days=1)

# Events


class SettlementAgreed(Event, frozen=True):
    """The account is settled from a day on. It is the first event of its stream."""

    account: str
    currency: str
    payout: str  # the account that gets the money
    fee_rate: int  # millionths of the payments
    starts_on: date


class SettlementRenewed(Event, frozen=True):
    """The account is settled again, from a day after the last one on. What was carried over stays."""

    account: str
    payout: str
    fee_rate: int
    starts_on: date
    after: int  # the position in the log up to which entries are settled already


class SettlementTermsChanged(Event, frozen=True):
    """Other terms hold for what is calculated or paid out from then on."""

    payout: str
    fee_rate: int


class SettlementPaused(Event, frozen=True):
    """No day is settled until it is resumed."""


class SettlementResumed(Event, frozen=True):
    """The days since are settled, each by itself, and the next ones when they are over.

    It has what the settlement goes on with, so it also begins anew what an operator ended.
    """

    account: str
    starts_on: date
    next_day: date
    last_day: date | None
    after: int


class SettlementEnded(Event, frozen=True):
    """The account is settled up to this day, and not after it."""

    last_day: date


class DaySettled(Event, frozen=True):
    """A day was calculated, in the unit of the settlement. The next one is the day after it."""

    day: date
    settlement: str
    basis: Basis  # of its figures
    until: int  # the position in the log up to which entries are settled
    gross: int  # carried over
    fee: int  # carried over


AgreementEvent: TypeAlias = (
    SettlementAgreed
    | SettlementRenewed
    | SettlementTermsChanged
    | SettlementPaused
    | SettlementResumed
    | SettlementEnded
    | DaySettled
)

# State

AgreementStatus = Literal["active", "paused", "ended"]


class SettlementAgreement(Value, frozen=True):
    """An agreement at a version of its stream."""

    version: int
    account: str
    currency: str
    payout: str
    fee_rate: int
    starts_on: date
    next_day: date  # the next one to settle
    paused: bool = False
    last_day: date | None = None
    until: int = 0  # the position up to which entries are settled
    gross: int = 0  # carried over
    fee: int = 0  # carried over

    @property
    def basis(self) -> Basis:
        """What it gives to the figures of the next day."""
        return Basis(self.starts_on, self.until, self.fee_rate, self.gross, self.fee)

    @property
    def ended(self) -> bool:
        """Whether its last day is settled."""
        return self.last_day is not None and self.next_day > self.last_day

    @property
    def status(self) -> AgreementStatus:
        """What it is now."""
        return "ended" if self.ended else "paused" if self.paused else "active"


def evolve(state: SettlementAgreement | None, event: AgreementEvent) -> SettlementAgreement:
    """Return the agreement after the event. Raises ValueError if the stream does not begin with `SettlementAgreed`."""
    version = event.originator_version
    if isinstance(event, SettlementAgreed):
        return SettlementAgreement(
            version=version,
            account=event.account,
            currency=event.currency,
            payout=event.payout,
            fee_rate=event.fee_rate,
            starts_on=event.starts_on,
            next_day=event.starts_on,
        )
    if state is None:
        raise ValueError(f"{event.originator_id} begins with {type(event).__name__}, not with SettlementAgreed")
    match event:
        case SettlementRenewed():
            return replace(
                state,
                version=version,
                payout=event.payout,
                fee_rate=event.fee_rate,
                starts_on=event.starts_on,
                next_day=event.starts_on,
                paused=False,
                last_day=None,
            )
        case SettlementTermsChanged():
            return replace(state, version=version, payout=event.payout, fee_rate=event.fee_rate)
        case SettlementPaused():
            return replace(state, version=version, paused=True)
        case SettlementResumed():
            return replace(state, version=version, paused=False)
        case SettlementEnded():
            return replace(state, version=version, last_day=event.last_day)
        case DaySettled():
            return replace(
                state,
                version=version,
                next_day=event.day + ONE_DAY,
                until=event.until,
                gross=event.gross,
                fee=event.fee,
            )


def agreement_stream(account: str) -> str:
    """Return the name of the stream of the agreement on an account."""
    return f"{SETTLEMENT_AGREEMENT}{account}"


# Commands


class AgreeSettlement(Value, frozen=True):
    """Settle a merchant account from a day on."""

    account: str
    payout: str
    fee_rate: int
    starts_on: date

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((agreement_stream(self.account), self.account, self.payout)))


class ChangeSettlementTerms(Value, frozen=True):
    """Settle the account by other terms from then on."""

    account: str
    payout: str
    fee_rate: int

    @property
    def streams(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((agreement_stream(self.account), self.account, self.payout)))


class _OnOneAgreement(Value, frozen=True):
    account: str

    @property
    def streams(self) -> tuple[str, ...]:
        return (agreement_stream(self.account),)


class PauseSettlement(_OnOneAgreement, frozen=True):
    """Settle no day until it is resumed."""


class ResumeSettlement(_OnOneAgreement, frozen=True):
    """Settle the days since the pause, and go on."""


class EndSettlement(_OnOneAgreement, frozen=True):
    """Settle the account up to a day, and not after it."""

    last_day: date


# Rules

RULES: dict[str, str] = {
    "settlement_account": "Account {account} is of the type {type}; only a merchant account is settled.",
    "settlement_payout": (
        "Account {payout} cannot get what {account} is settled for: that is another account in {currency}."
    ),
    "settlement_rate": "A settlement fee is from 0 to {most} millionths of the payments; this one is {rate}.",
    "settlement_start": "A settlement of {account} can begin from {first} to {last}, not on {starts_on}.",
    "settlement_agreed": "Account {account} is settled already, next for {next_day}; change its terms, or end it.",
    "settlement_unchanged": "The terms of the settlement of {account} already are what they would be changed to.",
    "settlement_status": "The settlement of {account} is {status}; only one that is {required} can be {verb}.",
    "settlement_last_day": "Account {account} is settled up to {settled}; its settlement cannot end on {last_day}.",
}

# Decisions


def agree(command: AgreeSettlement, states: States, context: Context) -> Decision:
    stream = agreement_stream(command.account)
    agreement = found(states, stream, SettlementAgreement)
    account = found(states, command.account, Account)
    if account is None:
        return Unknown("account", command.account)
    refusal = (
        _refuse_account(account)
        or refuse_agreeing(agreement, command.account, command.starts_on, context.today)
        or refuse_rate(command.fee_rate)
    )
    refused_payout = refusal or _refuse_payout(account, command.payout, states)
    if refused_payout is not None:
        return refused_payout
    terms = (command.payout, command.fee_rate, command.starts_on)
    if agreement is None:
        return _accepted(None, SettlementAgreed(stream, 1, command.account, account.profile.currency, *terms))
    renewed = SettlementRenewed(stream, agreement.version + 1, command.account, *terms, agreement.until)
    return _accepted(agreement, renewed)


def change_terms(command: ChangeSettlementTerms, states: States, context: Context) -> Decision:
    stream = agreement_stream(command.account)
    agreement = found(states, stream, SettlementAgreement)
    account = found(states, command.account, Account)
    if agreement is None or account is None:
        return Unknown("settlement agreement", command.account)
    event = SettlementTermsChanged(stream, agreement.version + 1, command.payout, command.fee_rate)
    refusal = _refuse_terms(agreement, event) or _refuse_payout(account, command.payout, states)
    return _accepted(agreement, event) if refusal is None else refusal


def pause(command: PauseSettlement, states: States, context: Context) -> Decision:
    agreement = found(states, agreement_stream(command.account), SettlementAgreement)
    if agreement is None:
        return Unknown("settlement agreement", command.account)
    refusal = refuse_unless(agreement, "active", "paused")
    if refusal is not None:
        return refusal
    return _accepted(agreement, SettlementPaused(agreement_stream(command.account), agreement.version + 1))


def resume(command: ResumeSettlement, states: States, context: Context) -> Decision:
    agreement = found(states, agreement_stream(command.account), SettlementAgreement)
    if agreement is None:
        return Unknown("settlement agreement", command.account)
    refusal = refuse_unless(agreement, "paused", "resumed")
    if refusal is not None:
        return refusal
    return _accepted(agreement, resumed(agreement))


def resumed(agreement: SettlementAgreement) -> SettlementResumed:
    """Return the event that resumes the settlement of a paused agreement."""
    return SettlementResumed(
        originator_id=agreement_stream(agreement.account),
        originator_version=agreement.version + 1,
        account=agreement.account,
        starts_on=agreement.starts_on,
        next_day=agreement.next_day,
        last_day=agreement.last_day,
        after=agreement.until,
    )


def end(command: EndSettlement, states: States, context: Context) -> Decision:
    agreement = found(states, agreement_stream(command.account), SettlementAgreement)
    if agreement is None:
        return Unknown("settlement agreement", command.account)
    refusal = refuse_ending(agreement, command.last_day)
    if refusal is not None:
        return refusal
    event = SettlementEnded(agreement_stream(command.account), agreement.version + 1, command.last_day)
    return _accepted(agreement, event)


def _accepted(before: SettlementAgreement | None, event: AgreementEvent) -> Accepted:
    after = evolve(before, event)
    result: dict[str, Figure] = {
        "merchant": after.account,
        "status": after.status,
        "next_day": None if after.ended else after.next_day.isoformat(),
        "last_day": None if after.last_day is None else after.last_day.isoformat(),
    }
    return Accepted((event,), result)


def refuse_unless(agreement: SettlementAgreement, required: AgreementStatus, verb: str) -> Refused | None:
    """Return the refusal of what is done with an agreement of another status, or None."""
    if agreement.status == required:
        return None
    figures = {"account": agreement.account, "status": agreement.status, "required": required, "verb": verb}
    return Refused("settlement_status", figures)


def refuse_agreeing(
    agreement: SettlementAgreement | None, account: str, starts_on: date, today: date
) -> Refused | None:
    """Return why the account cannot be settled from that day on, or None."""
    first, last = today - timedelta(days=MOST_DAYS_AGO), today + timedelta(days=MOST_DAYS_AHEAD)
    if agreement is not None:
        if not agreement.ended:
            next_day = agreement.next_day.isoformat()
            return Refused("settlement_agreed", {"account": account, "next_day": next_day})
        first = max(first, agreement.next_day)
    if first <= starts_on <= last:
        return None
    days = {"first": first.isoformat(), "last": last.isoformat(), "starts_on": starts_on.isoformat()}
    return Refused("settlement_start", {"account": account, **days})


def refuse_ending(agreement: SettlementAgreement, last_day: date) -> Refused | None:
    """Return why the settlement cannot end on that day, or None. The day before the next one is the earliest."""
    if agreement.ended:
        figures = {"account": agreement.account, "status": "ended", "required": "active or paused", "verb": "ended"}
        return Refused("settlement_status", figures)
    settled = agreement.next_day - ONE_DAY
    if last_day >= settled:
        return None
    days = {"settled": settled.isoformat(), "last_day": last_day.isoformat()}
    return Refused("settlement_last_day", {"account": agreement.account, **days})


def refuse_rate(rate: int) -> Refused | None:
    """Return the refusal of a rate of a fee, or None."""
    return None if 0 <= rate < MILLIONTHS else Refused("settlement_rate", {"most": MILLIONTHS - 1, "rate": rate})


def _refuse_terms(agreement: SettlementAgreement, event: SettlementTermsChanged) -> Refused | None:
    if (agreement.payout, agreement.fee_rate) == (event.payout, event.fee_rate):
        return Refused("settlement_unchanged", {"account": agreement.account})
    return refuse_rate(event.fee_rate)


def _refuse_account(account: Account) -> Refused | None:
    type = account.profile.type
    return None if type == "merchant" else Refused("settlement_account", {"account": account.profile.id, "type": type})


def _refuse_payout(account: Account, payout: str, states: States) -> Refused | Unknown | None:
    other = found(states, payout, Account)
    if other is None:
        return Unknown("account", payout)
    own, currency = account.profile.id, account.profile.currency
    if own != payout and other.profile.currency == currency:
        return None
    return Refused("settlement_payout", {"payout": payout, "account": own, "currency": currency})


# What stored events are held to


def check(before: SettlementAgreement | None, events: Sequence[AgreementEvent], decided: Decided) -> Iterator[Broken]:
    """Find an agreement that is made, changed, paused or ended where it cannot be, and a day that is not the next."""
    agreement = before
    for event in events:
        if isinstance(event, SettlementAgreed) and event.originator_id != agreement_stream(event.account):
            yield Broken(event, f"{event.originator_id} is not the stream of the agreement on {event.account}")
        if agreement is not None and not _goes_on(agreement, event):
            yield Broken(event, f"{event.originator_id} goes on with another account, day or position than it has")
        refusal = _refuse(agreement, event, decided)
        if refusal is not None:
            yield refused(event, refusal, RULES)
        elif isinstance(event, DaySettled) and agreement is not None:
            yield from _settled(agreement, event)
        agreement = evolve(agreement, event)


def _goes_on(agreement: SettlementAgreement, event: AgreementEvent) -> bool:
    """Return whether an event that begins the process of the agreement anew has what the agreement has."""
    match event:
        case SettlementRenewed():
            return (event.account, event.after) == (agreement.account, agreement.until)
        case SettlementResumed():
            return event == resumed(agreement)
    return True


def _refuse(agreement: SettlementAgreement | None, event: AgreementEvent, decided: Decided) -> Refused | None:
    if isinstance(event, SettlementAgreed | SettlementRenewed):
        return refuse_agreeing(agreement, event.account, event.starts_on, decided.today) or refuse_rate(event.fee_rate)
    assert agreement is not None, "the fold was tried before"
    match event:
        case SettlementTermsChanged():
            return _refuse_terms(agreement, event)
        case SettlementPaused():
            return refuse_unless(agreement, "active", "paused")
        case SettlementResumed():
            return refuse_unless(agreement, "paused", "resumed")
        case SettlementEnded():
            return refuse_ending(agreement, event.last_day)
        case DaySettled():
            return refuse_unless(agreement, "active", "settled")


def _settled(agreement: SettlementAgreement, event: DaySettled) -> Iterator[Broken]:
    account = agreement.account
    if event.day != agreement.next_day:
        yield Broken(event, f"{account} is settled for {event.day}, and its next day is {agreement.next_day}")
    if event.basis != agreement.basis:
        yield Broken(event, f"{account} is settled for {event.day} on another basis than its agreement has")
    if event.until < agreement.until:
        yield Broken(event, f"{account} is settled up to position {event.until}, after {agreement.until}")
    if event.gross >= event.fee and (event.gross, event.fee) != (0, 0):
        yield Broken(event, f"{event.gross} less {event.fee} is carried over on {account}, which is due to be paid")


AGGREGATE = Aggregate(
    name="settlement_agreement",
    prefix=SETTLEMENT_AGREEMENT,
    events=(
        EventType("settlement_agreement.agreed.v1", SettlementAgreed),
        EventType("settlement_agreement.renewed.v1", SettlementRenewed),
        EventType("settlement_agreement.terms_changed.v1", SettlementTermsChanged),
        EventType("settlement_agreement.paused.v1", SettlementPaused),
        EventType("settlement_agreement.resumed.v1", SettlementResumed),
        EventType("settlement_agreement.ended.v1", SettlementEnded),
        EventType("settlement_agreement.day_settled.v1", DaySettled),
    ),
    evolve=evolve,
    decisions={
        AgreeSettlement: agree,
        ChangeSettlementTerms: change_terms,
        PauseSettlement: pause,
        ResumeSettlement: resume,
        EndSettlement: end,
    },
    rules=RULES,
    snapshot=(SettlementAgreement, 1),
    may=dict.fromkeys(
        (AgreeSettlement, ChangeSettlementTerms, PauseSettlement, ResumeSettlement, EndSettlement), OPERATORS
    ),
    amounts=frozenset({"gross", "fee"}),
    check=check,
)
