"""Samples of accounts, with their holds."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any, get_args

from msgspec.structs import replace

from domain.accounts.account.attachment import AttachAccount, DetachAccount
from domain.accounts.account.details import ChangeAccountDetails, ChangeAccountMetadata
from domain.accounts.account.holds import MOST_DAYS_HELD, MOST_HOLDS, ExpireHold, PlaceHold, ReleaseHold, of_transaction
from domain.accounts.account.lifecycle import (
    CancelClosing,
    CloseAccount,
    CloseWhenFree,
    FreezeAccount,
    OpenAccount,
    ReopenAccount,
    UnfreezeAccount,
)
from domain.accounts.account.limits import MOST_COUNT, ChangeLimits, Limits
from domain.accounts.account.owners import (
    MOST_MANDATES,
    MOST_OWNERS,
    AddOwner,
    GiveMandate,
    RemoveOwner,
    WithdrawMandate,
)
from domain.accounts.account.state import ACCOUNT, HOLD, Account
from domain.accounts.chart.nodes import AddNode
from domain.accounts.numbers import InternalRole, account_number
from domain.accounts.posting import internal_account
from domain.accounts.transaction import TRANSACTION, Deposit, Transfer, Withdraw
from domain.accounts.transaction.closing import CloseFreeAccount
from domain.codes import MOST_METADATA_KEY, MOST_PAIRS
from domain.kernel import Principal
from domain.money import MAX_AMOUNT
from tests.samples.accounts import chart
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import MACHINE, NOW, OPENED, TODAY, By, MemoryLedger, opening

CASH = internal_account("main", "cash", "EUR")

# Requests

OPENING = {"type": "checking", "currency": "EUR", "owner": "owner-1", "name": "Ada Lovelace", "minimum": "-500.00"}
PAIRS = {"branch": "12", "till": "4"}
AMOUNT = {"amount": "1.00", "currency": "EUR"}
REASON = {"reason": "Court order"}


def with_balance(world: World, balance: str | None = None) -> str:
    """An account with so much on it."""
    id: str = world.do("accounts", OPENING)["account"]
    if balance is not None:
        world.do(f"accounts/{id}/deposits", {"amount": balance, "currency": "EUR"})
    return id


def hold(world: World) -> tuple[str, str]:
    """An account, and a hold on it."""
    account = with_balance(world, "100.00")
    return account, world.do(f"accounts/{account}/holds", AMOUNT)["hold"]


def releases(world: World) -> Request:
    account, held = hold(world)
    return Request({"account": account, "hold": held}, {})


def frozen(world: World) -> str:
    account = with_balance(world)
    world.do(f"accounts/{account}/freeze", REASON)
    return account


def closed(world: World) -> str:
    account = with_balance(world)
    world.do(f"accounts/{account}/close", REASON)
    return account


def closes(world: World) -> Request:
    """A request to close an account with something on it."""
    return Request({"account": with_balance(world, "100.00")}, {**REASON, "sweep_to": with_balance(world)})


def waits_to_close(world: World) -> str:
    """An account that is to be closed once its hold has ended."""
    account, _ = hold(world)
    world.do(f"accounts/{account}/close-when-free", {**REASON, "sweep_to": with_balance(world)})
    return account


def closes_when_free(world: World) -> Request:
    account, _ = hold(world)
    return Request({"account": account}, {**REASON, "sweep_to": with_balance(world)})


def described(world: World) -> Request:
    """A request to change the metadata of an account that has some."""
    account: str = world.do("accounts", {**OPENING, "metadata": PAIRS})["account"]
    return Request({"account": account}, {"set": {"branch": "13"}, "remove": ["till"]})


PERSON = {"person": "prsn_1"}
MANDATE = {**PERSON, "may_see": True, "move_up_to": "1.00", "currency": "EUR", "until": "9999-12-31T00:00:00Z"}


def owned_by_two(world: World) -> str:
    account = with_balance(world)
    world.do(f"accounts/{account}/owners", PERSON)
    return account


def with_mandate(world: World) -> str:
    account = with_balance(world)
    world.do(f"accounts/{account}/mandates", MANDATE)
    return account


def attached(world: World) -> str:
    account = with_balance(world)
    world.do(f"accounts/{account}/attach", {"node": chart.node(world)})
    return account


ROUTES = {
    "/v1/accounts/{account}/limits": lambda world: Request(
        {"account": with_balance(world)},
        {**REASON, "currency": "EUR", "minimum": "0", "daily": "100.00", "hourly_count": 9},
    ),
    "/v1/accounts/{account}/attach": lambda world: Request(
        {"account": with_balance(world)}, {"node": chart.node(world)}
    ),
    "/v1/accounts/{account}/detach": lambda world: Request({"account": attached(world)}, {}),
    "/v1/accounts/{account}/owners": lambda world: Request({"account": with_balance(world)}, PERSON),
    "/v1/accounts/{account}/owners/remove": lambda world: Request({"account": owned_by_two(world)}, PERSON),
    "/v1/accounts/{account}/mandates": lambda world: Request({"account": with_balance(world)}, MANDATE),
    "/v1/accounts/{account}/mandates/withdraw": lambda world: Request({"account": with_mandate(world)}, PERSON),
    "/v1/accounts": lambda world: Request({}, {**OPENING, "metadata": PAIRS}),
    "/v1/accounts/{account}/details": lambda world: Request({"account": with_balance(world)}, {"name": "Ada King"}),
    "/v1/accounts/{account}/metadata": described,
    "/v1/accounts/{account}/reopen": lambda world: Request({"account": closed(world)}, REASON),
    "/v1/accounts/{account}/freeze": lambda world: Request({"account": with_balance(world)}, REASON),
    "/v1/accounts/{account}/unfreeze": lambda world: Request({"account": frozen(world)}, REASON),
    "/v1/accounts/{account}/close": closes,
    "/v1/accounts/{account}/close-when-free": closes_when_free,
    "/v1/accounts/{account}/cancel-closing": lambda world: Request({"account": waits_to_close(world)}, REASON),
    "/v1/accounts/{account}/holds": lambda world: Request(
        {"account": with_balance(world, "100.00")}, {**AMOUNT, "reference": "sample-1", "metadata": {"till": "4"}}
    ),
    "/v1/accounts/{account}/holds/{hold}/release": releases,
}

# Rules

A = (
    opening(account="acct_a", number="CHK000000000101", minimum=100, maximum=1_000),
    Deposit("txn_a", "acct_a", 500, "EUR", TODAY),
    PlaceHold("acct_a", "hold_1", 100, "EUR"),
)
"""5.00 EUR, 1.00 of it held, between limits of 1.00 and 10.00."""
B = opening(account="acct_b", minimum=None)


def deposit(amount: int, account: str = "acct_a", days: int = 0) -> Deposit:
    return Deposit("txn_1", account, amount, "EUR", TODAY + timedelta(days))


def holding(id: str, amount: int = 1, account: str = "acct_a") -> PlaceHold:
    return PlaceHold(account, id, amount, "EUR")


LATEST = NOW + timedelta(MOST_DAYS_HELD)
BEFORE_OPENING = (OPENED - TODAY).days - 1


def owner(number: int = 1) -> AddOwner:
    return AddOwner("acct_b", f"prsn_{number}")


def mandate(number: int = 1, move_up_to: int | None = None, **more: Any) -> GiveMandate:
    """A mandate of `acct_b` to see it, and to move so much."""
    return replace(GiveMandate("acct_b", f"prsn_{number}", True, move_up_to, "EUR", None), **more)


def metadata(set: dict[str, str], *remove: str) -> ChangeAccountMetadata:
    return ChangeAccountMetadata("acct_b", set, remove)


def numbered(pairs: int) -> dict[str, str]:
    """So many pairs of metadata."""
    return {f"k{n}": "1" for n in range(pairs)}


CUSTOMER = Principal("ada", ("customer",), person="prsn_1")
FULL = opening(account="acct_full", maximum=0)

NODE = AddNode("1000", "Customers", "liability")

LIMITS = Limits(minimum=None, maximum=None, daily=100, hourly=100, hourly_count=2)


def limited(limits: Limits, account: str = "acct_b") -> ChangeLimits:
    return ChangeLimits(account, "EUR", limits, "a contract")


def taken(amount: int, id: str = "txn_9") -> Withdraw:
    return Withdraw(id, "acct_b", amount, "EUR", TODAY)


RULES = {
    "limits_unchanged": RuleSample(
        given=(B, limited(LIMITS)),
        broken=limited(LIMITS),
        sentence="Account acct_b already has the limits that it would get.",
        kept=(limited(replace(LIMITS, daily=101)),),
    ),
    "limit_bounds": RuleSample(
        given=(B,),
        broken=limited(replace(LIMITS, hourly_count=MOST_COUNT + 1)),
        sentence="The limit hourly_count is 0 to 1000000; this one is 1000001.",
        kept=(limited(replace(LIMITS, hourly_count=MOST_COUNT)),),
    ),
    "overdraft_without_minimum": RuleSample(
        given=(B,),
        broken=limited(replace(LIMITS, overdraft=1)),
        sentence="Account acct_b has no minimum, so an overdraft line has no meaning.",
        kept=(limited(replace(LIMITS, overdraft=1, minimum=0)),),
    ),
    "overdraft_ended": RuleSample(
        given=(B,),
        broken=limited(Limits(0, None, 1, TODAY - timedelta(1))),
        sentence="The overdraft line would end on 2026-11-20, before today, 2026-11-21 (UTC).",
        kept=(limited(Limits(0, None, 1, TODAY)),),
    ),
    "outgoing_limit": RuleSample(
        given=(B, limited(LIMITS), taken(40, "txn_8")),
        broken=taken(61),
        sentence=(
            "Account acct_b has an outgoing limit of 1.00 EUR a day (UTC); 0.40 is used and 0.60 is left, and this "
            "takes 0.61."
        ),
        kept=(taken(60),),
    ),
    "outgoing_count": RuleSample(
        given=(B, limited(LIMITS), taken(1, "txn_7"), taken(1, "txn_8")),
        broken=taken(1),
        sentence="Account acct_b may make 2 outgoing transactions an hour; it made 2, and 0 are left.",
        kept=(By(MACHINE, taken(1), NOW + timedelta(minutes=61)),),
    ),
    "account_attached": RuleSample(
        given=(B, NODE, AttachAccount("acct_b", "1000")),
        broken=AttachAccount("acct_b", "1000"),
        sentence="Account acct_b is attached to node 1000 already.",
        kept=(AddNode("2000", "Others", "liability"), AttachAccount("acct_b", "2000")),
    ),
    "account_not_attached": RuleSample(
        given=(B, NODE),
        broken=DetachAccount("acct_b"),
        sentence="Account acct_b is attached to no node.",
        kept=(AttachAccount("acct_b", "1000"), DetachAccount("acct_b")),
    ),
    "owner_exists": RuleSample(
        given=(B, owner()),
        broken=owner(),
        sentence="prsn_1 is an owner of account acct_b already.",
        kept=(owner(2),),
    ),
    "owner_unknown": RuleSample(
        given=(B, owner()),
        broken=RemoveOwner("acct_b", "prsn_2"),
        sentence="prsn_2 is no owner of account acct_b.",
        kept=(RemoveOwner("acct_b", "prsn_1"),),
    ),
    "owner_last": RuleSample(
        given=(B,),
        broken=RemoveOwner("acct_b", "owner-1"),
        sentence="owner-1 is the last owner of account acct_b; add another one first.",
        kept=(owner(), RemoveOwner("acct_b", "owner-1")),
    ),
    "owner_count": RuleSample(
        given=(B, *(owner(number) for number in range(MOST_OWNERS - 1))),
        broken=owner(99),
        sentence="Account acct_b has 20 owners and can have no other one; remove one first.",
        kept=(RemoveOwner("acct_b", "prsn_0"), owner(99)),
    ),
    "mandate_unknown": RuleSample(
        given=(B, mandate()),
        broken=WithdrawMandate("acct_b", "prsn_2"),
        sentence="prsn_2 has no mandate of account acct_b.",
        kept=(WithdrawMandate("acct_b", "prsn_1"),),
    ),
    "mandate_count": RuleSample(
        given=(B, *(mandate(number) for number in range(MOST_MANDATES))),
        broken=mandate(99),
        sentence=("Account acct_b has 50 mandates and can have no other one; withdraw some first, such as ended ones."),
        kept=(mandate(0, 1), WithdrawMandate("acct_b", "prsn_0"), mandate(99)),
    ),
    "mandate_empty": RuleSample(
        given=(B,),
        broken=mandate(may_see=False),
        sentence="A mandate is to see the account, to move an amount from it, or both; this one is for neither.",
        kept=(mandate(1, 1, may_see=False), mandate()),
    ),
    "mandate_amount": RuleSample(
        given=(B,),
        broken=mandate(1, 0),
        sentence="A mandate is to move 0.01 to 9999999999999.99 EUR; this one is for 0.00.",
        kept=(mandate(1, MAX_AMOUNT), mandate(1, 1)),
    ),
    "mandate_end": RuleSample(
        given=(B,),
        broken=mandate(until=NOW),
        sentence=f"The mandate would end at {NOW.isoformat()}; a mandate ends after now, {NOW.isoformat()}.",
        kept=(mandate(until=NOW + timedelta(microseconds=1)),),
    ),
    "mandate_exceeded": RuleSample(
        given=(*A, B, deposit(500, "acct_b"), mandate(1, 300)),
        broken=By(CUSTOMER, Transfer("txn_2", "acct_b", "acct_a", 301, "EUR", TODAY)),
        sentence="prsn_1 may move up to 3.00 EUR at a time from account acct_b; this is 3.01.",
        kept=(By(CUSTOMER, Transfer("txn_2", "acct_b", "acct_a", 300, "EUR", TODAY)),),
    ),
    "account_unseen": RuleSample(
        given=(*A, B, owner(), FULL),
        broken=By(CUSTOMER, Transfer("txn_2", "acct_b", "acct_full", 1, "EUR", TODAY)),
        sentence="Account acct_full takes no part in this; prsn_1 may not see the account, nor why.",
        kept=(By(CUSTOMER, Transfer("txn_2", "acct_b", "acct_a", 1, "EUR", TODAY)),),
    ),
    "not_a_code": no_code(
        "key of metadata",
        replace(holding("hold_1", account="acct_b"), metadata={"k" * (MOST_METADATA_KEY + 1): "1"}),
        replace(holding("hold_1", account="acct_b"), metadata={"k" * MOST_METADATA_KEY: "1"}),
        given=(B,),
        most=MOST_METADATA_KEY,
    ),
    "metadata_unchanged": RuleSample(
        given=(B,),
        broken=metadata({}),
        sentence="The change of the metadata of account acct_b sets nothing and removes nothing.",
        kept=(metadata({"branch": "12"}),),
    ),
    "metadata_unknown": RuleSample(
        given=(B, metadata({"branch": "12"})),
        broken=metadata({}, "till"),
        sentence="Account acct_b has no metadata till that could be removed.",
        kept=(metadata({}, "branch"),),
    ),
    "metadata_twice": RuleSample(
        given=(B, metadata({"branch": "12"})),
        broken=metadata({"branch": "13"}, "branch"),
        sentence="The change sets and removes the metadata branch; it can only do one of them.",
        kept=(metadata({"till": "4"}, "branch"),),
    ),
    "metadata_pairs": RuleSample(
        given=(B, metadata(numbered(MOST_PAIRS))),
        broken=metadata({"till": "4"}),
        sentence="The metadata has 21 pairs; the most is 20.",
        kept=(
            replace(holding("hold_1", account="acct_b"), metadata=numbered(MOST_PAIRS)),
            metadata({"k0": "2"}),
            metadata({"till": "4"}, "k0"),
        ),
    ),
    "hold_expiry": RuleSample(
        given=(B,),
        broken=replace(holding("hold_1", account="acct_b"), expires_at=LATEST + timedelta(microseconds=1)),
        sentence=(
            f"Hold hold_1 would expire at {(LATEST + timedelta(microseconds=1)).isoformat()}; a hold expires after now, "
            f"{NOW.isoformat()}, and at most 366 days later."
        ),
        kept=(replace(holding("hold_1", account="acct_b"), expires_at=LATEST),),
    ),
    "hold_not_expired": RuleSample(
        given=(B, replace(holding("hold_1", account="acct_b"), expires_at=LATEST)),
        broken=ExpireHold("acct_b", "hold_1"),
        sentence=f"Hold hold_1 on account acct_b ends at {LATEST.isoformat()}; it is {NOW.isoformat()}.",
        kept=(
            ReleaseHold("acct_b", "hold_1"),
        ),  # the clock stands still here; tests/unit/accounts/test_holds.py moves it
    ),
    "account_exists": RuleSample(
        given=A,
        broken=opening(account="acct_a"),
        sentence="Account acct_a exists already.",
        kept=(opening(account="acct_b"),),
    ),
    "account_closed": RuleSample(
        given=(*A, B, CloseAccount("acct_b", "moved away")),
        broken=deposit(1, "acct_b"),
        sentence="Account acct_b is closed; nothing can be posted to it or changed on it.",
        kept=(deposit(1),),
    ),
    "account_frozen": RuleSample(
        given=(B, FreezeAccount("acct_b", "court order")),
        broken=deposit(1, "acct_b"),
        sentence="Account acct_b is frozen; unfreeze it first.",
        kept=(UnfreezeAccount("acct_b", "lifted"), deposit(1, "acct_b")),
    ),
    "account_not_frozen": RuleSample(
        given=(B,),
        broken=UnfreezeAccount("acct_b", "lifted"),
        sentence="Account acct_b is not frozen.",
        kept=(FreezeAccount("acct_b", "court order"), UnfreezeAccount("acct_b", "lifted")),
    ),
    "account_not_closed": RuleSample(
        given=(B,),
        broken=ReopenAccount("acct_b", "a mistake"),
        sentence="Account acct_b is open, not closed.",
        kept=(CloseAccount("acct_b", "x"), ReopenAccount("acct_b", "a mistake"), deposit(1, "acct_b")),
    ),
    "account_internal": RuleSample(
        given=(B,),
        broken=holding("hold_1", account=CASH),
        sentence=f"Account {CASH} is an internal account (cash); this command is for customer accounts.",
        kept=(holding("hold_1", account="acct_b"),),
    ),
    "balance_not_zero": RuleSample(
        given=(B, deposit(1, "acct_b")),
        broken=CloseAccount("acct_b", "x"),
        sentence="Account acct_b has a balance of 0.01 EUR; it must be zero to close.",
        kept=(
            CloseAccount("acct_b", "x", CASH, "txn_3"),
            ReopenAccount("acct_b", "y"),
            Deposit("txn_4", "acct_b", 1, "EUR", TODAY),
            Withdraw("txn_2", "acct_b", 1, "EUR", TODAY),
            CloseAccount("acct_b", "x"),
        ),
    ),
    "holds_open": RuleSample(
        given=(B, holding("hold_1", account="acct_b")),
        broken=CloseAccount("acct_b", "x"),
        sentence="Account acct_b has 1 open holds for 0.01 EUR; release or capture them first.",
        kept=(ReleaseHold("acct_b", "hold_1"), CloseAccount("acct_b", "x")),
    ),
    "number_taken": RuleSample(
        given=A,
        broken=opening(number="CHK000000000101"),
        sentence="Account number CHK000000000101 is in use.",
        kept=(opening(number=account_number("checking", 9_999_999)),),
    ),
    "limits_crossed": RuleSample(
        given=(),
        broken=opening(minimum=2, maximum=1),
        sentence="The minimum 0.02 is higher than the maximum 0.01.",
        kept=(opening(minimum=1, maximum=1),),
    ),
    "opened_in_future": RuleSample(
        given=(),
        broken=opening(opened_on=TODAY + timedelta(1)),
        sentence="The opening date 2026-11-22 is after today, 2026-11-21 (UTC).",
        kept=(opening(opened_on=TODAY),),
    ),
    "currency_mismatch": RuleSample(
        given=(opening(account="acct_usd", currency="USD", minimum=None),),
        broken=PlaceHold("acct_usd", "hold_1", 1, "EUR"),
        sentence="Account acct_usd is kept in USD; the amount is in EUR.",
        kept=(PlaceHold("acct_usd", "hold_1", 1, "USD"),),
    ),
    "value_date_before_opening": RuleSample(
        given=A,
        broken=deposit(1, days=BEFORE_OPENING),
        sentence="The value date 2019-12-31 is before account acct_a was opened, 2020-01-01.",
        kept=(deposit(1, days=BEFORE_OPENING + 1),),
    ),
    "below_minimum": RuleSample(
        given=A,
        broken=Withdraw("txn_1", "acct_a", 301, "EUR", TODAY),
        sentence="Account acct_a has 4.00 EUR available; debiting 3.01 would leave 0.99, below its minimum of 1.00.",
        kept=(Withdraw("txn_1", "acct_a", 300, "EUR", TODAY),),
    ),
    "above_maximum": RuleSample(
        given=A,
        broken=deposit(501),
        sentence="Account acct_a has a balance of 5.00 EUR; crediting 5.01 would make 10.01, above its maximum of 10.00.",
        kept=(deposit(500),),
    ),
    "hold_exists": RuleSample(
        given=A,
        broken=holding("hold_1"),
        sentence="Hold hold_1 exists already on account acct_a.",
        kept=(holding("hold_2"),),
    ),
    "hold_amount": RuleSample(
        given=A,
        broken=holding("hold_2", 0),
        sentence="Hold hold_2 is for 0.00 EUR; a hold must be for 0.01 to 9999999999999.99.",
        kept=(holding("hold_2", 1),),
    ),
    "hold_count": RuleSample(
        given=(B, *(holding(f"hold_{number}", account="acct_b") for number in range(MOST_HOLDS))),
        broken=holding("hold_x", account="acct_b"),
        sentence=(
            "Account acct_b has 250 open holds and pending transactions and can have no other one; end some first."
        ),
        kept=(ReleaseHold("acct_b", "hold_0"), holding("hold_x", account="acct_b")),
    ),
    "hold_of_transaction": RuleSample(
        given=(B,),
        broken=holding("txn_9", account="acct_b"),
        sentence="Hold txn_9 belongs to a pending transaction; post or cancel that.",
        kept=(holding("hold_txn_9", account="acct_b"),),
    ),
    "account_closing": RuleSample(
        given=(*A, B, deposit(500, "acct_b"), CloseWhenFree("acct_b", "moving", "acct_a")),
        broken=holding("hold_x", account="acct_b"),
        sentence=(
            "Account acct_b is to be closed once no hold is open; nothing new is taken from it or held on it. Cancel the "
            "closing first."
        ),
        kept=(CancelClosing("acct_b", "staying"), holding("hold_x", account="acct_b")),
    ),
    "closing_not_asked": RuleSample(
        given=(*A, B),
        broken=CancelClosing("acct_b", "staying"),
        sentence="Account acct_b is not to be closed.",
        kept=(CloseWhenFree("acct_b", "moving", "acct_a"), CancelClosing("acct_b", "staying")),
    ),
    "hold_of_payroll": RuleSample(
        given=(B,),
        broken=holding("payroll_9", account="acct_b"),
        sentence="Hold payroll_9 belongs to a payroll run, which pays from it; stop the run to end it.",
        kept=(holding("hold_payroll_9", account="acct_b"),),
    ),
    "hold_of_transfer_order": RuleSample(
        given=(B,),
        broken=holding("tord_9", account="acct_b"),
        sentence="Hold tord_9 belongs to a transfer order, which pays from it; cancel that to end it.",
        kept=(holding("hold_tord_9", account="acct_b"),),
    ),
}

# A life

CURRENCIES = ("EUR", "JPY")


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """The ledger's own accounts, then those of a few owners, with and without limits, and with holds."""
    currency = chance.choice(CURRENCIES)
    for role in get_args(InternalRole):
        internal = internal_account("main", role, currency)
        if internal not in ledger.states:
            return opening(role, account=internal, currency=currency, minimum=None)
    accounts = [one for one in ledger.of(Account) if one.profile.currency == currency and not one.profile.internal]
    if len(accounts) < 3 or chance.random() < 0.3:
        return _opens(ledger, chance, currency)
    if chance.random() < 0.2:
        return _about_persons(ledger, chance, accounts)
    account = chance.choice(accounts)
    id = account.profile.id
    if account.status == "frozen":
        return UnfreezeAccount(id, "a reason")
    if account.status == "closed":
        return ReopenAccount(id, "a reason")
    if account.profile.closing_to is not None and chance.random() < 0.3:
        ended = CloseFreeAccount(id, ledger.new_id(TRANSACTION))
        return ended if not account.holds and chance.random() < 0.5 else CancelClosing(id, "a\treason")
    if chance.random() < 0.05:
        return _about_details(chance, account)
    choice = chance.random()
    holds = [hold for hold in account.holds if not of_transaction(hold[0])]
    if holds and choice < 0.3:
        hold, _, expires_at = chance.choice(holds)
        if expires_at is None or choice < 0.15:
            return ReleaseHold(id, hold)
        ledger.context = replace(ledger.context, decided_at=max(ledger.context.decided_at, expires_at))
        return ExpireHold(id, hold)
    if choice < 0.5:
        amount = chance.randint(1, 500)
        expires_at = ledger.context.decided_at + timedelta(seconds=1) if amount % 2 else None
        return PlaceHold(id, ledger.new_id(HOLD), amount, currency, "till/4", {"till": "4"}, expires_at)
    if choice < 0.65:
        limits = Limits(
            minimum=chance.choice((None, 0, -50)),
            maximum=None,
            daily=5_000,
            monthly=chance.choice((None, 9_000)),
            hourly_count=chance.choice((None, 5)),
            approve_above=chance.choice((None, 400)),
        )
        return ChangeLimits(id, currency, limits, "a\treason")
    if choice < 0.97:
        return FreezeAccount(id, "a reason") if choice < 0.8 else CloseAccount(id, "a reason")
    if choice < 0.985:
        return CloseWhenFree(id, "a\treason", chance.choice(accounts).profile.id)
    return CloseAccount(id, "a reason", chance.choice(accounts).profile.id, ledger.new_id(TRANSACTION))


def _about_details(chance: Random, account: Account) -> Any:
    """Another name, or other metadata."""
    id, keys = account.profile.id, account.profile.metadata_keys
    if chance.random() < 0.3:
        return ChangeAccountDetails(id, f"B\tname {chance.randint(1, 9)}")
    pairs = {key: str(chance.randint(1, 9)) for key in chance.sample(("branch", "till", "segment"), 2)}
    removed = [key for key in keys if key not in pairs]
    return ChangeAccountMetadata(id, pairs, tuple(removed[: chance.randint(0, 1)]))


def _about_persons(ledger: MemoryLedger, chance: Random, accounts: list[Account]) -> Any:
    """Another owner or mandate, or one less."""
    shared = [one.profile for one in accounts if len(one.profile.owners) > 1]
    mandated = [one.profile for one in accounts if one.profile.mandates]
    profile, person, choice = chance.choice(accounts).profile, f"owner-{chance.randint(1, 5)}", chance.random()
    if choice < 0.2 and shared:
        profile = chance.choice(shared)
        return RemoveOwner(profile.id, chance.choice(profile.owners))
    if choice < 0.4 and mandated:
        profile = chance.choice(mandated)
        return WithdrawMandate(profile.id, chance.choice(profile.mandates).person)
    if choice < 0.7:
        return AddOwner(profile.id, person)
    amount, until = chance.choice((None, 1, 500)), ledger.context.decided_at + timedelta(seconds=1)
    return GiveMandate(
        account=profile.id,
        person=person,
        may_see=amount is None or choice < 0.85,
        move_up_to=amount,
        currency=profile.currency,
        until=until if chance.random() < 0.5 else None,
    )


def _opens(ledger: MemoryLedger, chance: Random, currency: str) -> OpenAccount:
    id, owner = ledger.new_id(ACCOUNT), f"owner-{chance.randint(1, 5)}"
    minimum, maximum = chance.choice((None, None, 0, -50)), chance.choice((None, None, 8_000))
    number = opening().number
    pairs = {"branch": "12"} if chance.random() < 0.3 else {}
    return OpenAccount(id, number, "checking", currency, owner, "A\tb\\c\nd ü", minimum, maximum, OPENED, pairs)


# Events as they were stored

EVENTS = (
    StoredEvent(
        "account.opened.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        1,
        '{"currency":"EUR","maximum":null,"minimum":0,"name":"AUrxBsYGG8KbF00S_4p7kz8h0gAGa_uJvyJNASD7yOHgsFIKtxqIRg==","number":"CHK000000000169","opened_on":"2026-01-31","owner":"owner-1","type":"checking"}',
        {
            "number": "CHK000000000169",
            "type": "checking",
            "currency": "EUR",
            "owner": "owner-1",
            "name": "Ada Lovelace",
            "minimum": 0,
            "maximum": None,
            "opened_on": "2026-01-31",
        },
    ),
    StoredEvent(
        "account.debited.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        2,
        '{"amount":1230,"currency":"EUR","entry":1,"transaction":"txn_01m7xye322ewkrackt3th99f5h","value_date":"2026-01-31"}',
        {
            "transaction": "txn_01m7xye322ewkrackt3th99f5h",
            "entry": 1,
            "amount": 1230,
            "currency": "EUR",
            "value_date": "2026-01-31",
        },
    ),
    StoredEvent(
        "account.credited.v1",
        "acct_01m7xye22teqjrevpr9vnc3e97",
        2,
        '{"amount":1230,"currency":"EUR","entry":2,"transaction":"txn_01m7xye322ewkrackt3th99f5h","value_date":"2026-01-31"}',
        {
            "transaction": "txn_01m7xye322ewkrackt3th99f5h",
            "entry": 2,
            "amount": 1230,
            "currency": "EUR",
            "value_date": "2026-01-31",
        },
    ),
    StoredEvent(
        "account.frozen.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        3,
        '{"owner":"owner-1","reason":"MyqAYlUBRjFOiJaIX6HZ2sLvGipIis8YK-dJkFurOrDVDqQHo0CW"}',
        {"owner": "owner-1", "reason": "Court order"},
    ),
    StoredEvent(
        "account.unfrozen.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        4,
        '{"owner":"owner-1","reason":"yJVlyKBXlc2fw-3ysY_t0bWY-H4q1CbRE5Bck0KF3yOBXA=="}',
        {"owner": "owner-1", "reason": "Lifted"},
    ),
    StoredEvent(
        "account.closed.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        5,
        '{"owner":"owner-1","reason":"FgKxC7Ea19sfubdhITb1eg4XyqA5bSKxtwuFA85OpPejMEIGqWo="}',
        {"owner": "owner-1", "reason": "On request"},
    ),
    StoredEvent(
        "account.hold_placed.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        3,
        '{"amount":500,"currency":"EUR","hold":"hold_01m7xye322ewkrackt3th99f5h","reference":"REF-1"}',
        {
            "hold": "hold_01m7xye322ewkrackt3th99f5h",
            "amount": 500,
            "currency": "EUR",
            "reference": "REF-1",
            "metadata": {},
            "expires_at": None,
        },
    ),
    StoredEvent(
        "account.hold_released.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        4,
        '{"amount":500,"currency":"EUR","hold":"hold_01m7xye322ewkrackt3th99f5h"}',
        {"hold": "hold_01m7xye322ewkrackt3th99f5h", "amount": 500, "currency": "EUR"},
    ),
    StoredEvent(
        "account.hold_captured.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        4,
        '{"amount":500,"currency":"EUR","hold":"hold_01m7xye322ewkrackt3th99f5h","transaction":"txn_01m7xye322ewkrackt3th99f5h"}',
        {
            "hold": "hold_01m7xye322ewkrackt3th99f5h",
            "amount": 500,
            "currency": "EUR",
            "transaction": "txn_01m7xye322ewkrackt3th99f5h",
        },
    ),
    StoredEvent(
        "account.hold_partly_captured.v1",
        "acct_0000000000000000000000002d",
        7,
        '{"amount":18,"currency":"JPY","hold":"hold_000000000000000000000000d7","transaction":"txn_000000000000000000000000da"}',
        {
            "hold": "hold_000000000000000000000000d7",
            "amount": 18,
            "currency": "JPY",
            "transaction": "txn_000000000000000000000000da",
        },
    ),
    StoredEvent(
        "account.opened.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        1,
        '{"currency":"EUR","maximum":null,"minimum":0,"name":"2.AtHviOpNoXimSbwiz54ngxrz1t4fJxfP75cMCkc0haIbAeWMh56DQg==","number":"CHK000000000169","opened_on":"2026-01-31","owner":"owner-1","type":"checking"}',
        {
            "number": "CHK000000000169",
            "type": "checking",
            "currency": "EUR",
            "owner": "owner-1",
            "name": "Ada Lovelace",
            "minimum": 0,
            "maximum": None,
            "opened_on": "2026-01-31",
        },
    ),
    StoredEvent(
        "account.frozen.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        3,
        '{"owner":"owner-1","reason":"2.y33aTyJwcIxibbknq_l3vsbjh4-yxPjTtUpkqRnW9HoV5QFfGmIn"}',
        {"owner": "owner-1", "reason": "Court order"},
    ),
    StoredEvent(
        "account.unfrozen.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        4,
        '{"owner":"owner-1","reason":"2.HJWUJUOfuDYvar3qfHfPeE32BUp8FokB-uiLgJLPcidhrg=="}',
        {"owner": "owner-1", "reason": "Lifted"},
    ),
    StoredEvent(
        "account.closed.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        5,
        '{"owner":"owner-1","reason":"2.UoO18UHjZSw_Ug4wNI3JbGnpx1MCCWyjpMgLsdqSW5vS0uMaV3I="}',
        {"owner": "owner-1", "reason": "On request"},
    ),
    StoredEvent(
        "account.hold_placed.v2",
        "acct_00000000000000000000000018",
        3,
        '{"amount":492,"currency":"EUR","expires_at":"2027-11-22T12:00:00.000001Z","hold":"hold_00000000000000000000000030","metadata":{"till":"4"},"reference":"till/4"}',
        {
            "hold": "hold_00000000000000000000000030",
            "amount": 492,
            "currency": "EUR",
            "reference": "till/4",
            "metadata": {"till": "4"},
            "expires_at": "2027-11-22T12:00:00.000001Z",
        },
    ),
    StoredEvent(
        "account.hold_placed.v2",
        "acct_00000000000000000000000018",
        4,
        '{"amount":1,"currency":"EUR","expires_at":null,"hold":"hold_00000000000000000000000031","metadata":{},"reference":null}',
        {
            "hold": "hold_00000000000000000000000031",
            "amount": 1,
            "currency": "EUR",
            "reference": None,
            "metadata": {},
            "expires_at": None,
        },
    ),
    StoredEvent(
        "account.hold_expired.v1",
        "acct_000000000000000000000000gs",
        11,
        '{"amount":159,"currency":"EUR","hold":"hold_000000000000000000000000xe"}',
        {"hold": "hold_000000000000000000000000xe", "amount": 159, "currency": "EUR"},
    ),
    StoredEvent(
        "account.reopened.v1",
        "acct_0000000000000000000000004m",
        7,
        '{"owner":"owner-1","reason":"2.tekCp_rQ8OKfoYoXNcRP86jX_-zNkBy5jzhCKPTUgCwKuBci"}',
        {"owner": "owner-1", "reason": "a reason"},
    ),
    StoredEvent(
        "account.details_changed.v1",
        "acct_00000000000000000000000172",
        6,
        '{"name":"2.6u-oz7VnXfpOIow1KkF1ycSe3ywpTmBBq55QC8c1nPtAn9UJ","owner":"owner-1"}',
        {"owner": "owner-1", "name": "B\tname 2"},
    ),
    StoredEvent(
        "account.metadata_changed.v1",
        "acct_00000000000000000000000172",
        7,
        '{"metadata":{"branch":"12"},"removed":["till"]}',
        {"metadata": {"branch": "12"}, "removed": ["till"]},
    ),
    StoredEvent(
        "account.owner_added.v1",
        "acct_0000000000000000000000005v",
        3,
        '{"person":"owner-5"}',
        {"person": "owner-5"},
    ),
    StoredEvent(
        "account.owner_removed.v1",
        "acct_0000000000000000000000005v",
        7,
        '{"person":"owner-2"}',
        {"person": "owner-2"},
    ),
    StoredEvent(
        "account.mandate_given.v1",
        "acct_0000000000000000000000002e",
        6,
        '{"currency":"EUR","may_see":true,"move_up_to":1,"person":"owner-3","until":"2026-11-21T12:00:01Z"}',
        {
            "person": "owner-3",
            "may_see": True,
            "move_up_to": 1,
            "currency": "EUR",
            "until": "2026-11-21T12:00:01Z",
        },
    ),
    StoredEvent(
        "account.mandate_withdrawn.v1",
        "acct_00000000000000000000000047",
        6,
        '{"person":"owner-2"}',
        {"person": "owner-2"},
    ),
    StoredEvent(
        "account.assessed.v1",
        "acct_0000000000000000000000004x",
        12,
        '{"action":"verify","amount":5388,"at":"2026-11-21T12:00:00Z","currency":"EUR","factors":[{"allowed":20000,"found":25388,"points":40,"rule":"daily"}],"kind":"transfer","policy_version":19,"score":40,"transaction":"txn_0000000000000000000000006f"}',
        {
            "transaction": "txn_0000000000000000000000006f",
            "kind": "transfer",
            "amount": 5388,
            "currency": "EUR",
            "score": 40,
            "action": "verify",
            "factors": [{"rule": "daily", "points": 40, "found": 25388, "allowed": 20000}],
            "policy_version": 19,
            "at": "2026-11-21T12:00:00Z",
        },
    ),
    StoredEvent(
        "account.limit_used.v1",
        "acct_0000000000000000000000004n",
        7,
        '{"amount":71,"at":"2026-11-21T12:00:00Z","currency":"JPY","transaction":"txn_000000000000000000000000g2"}',
        {
            "transaction": "txn_000000000000000000000000g2",
            "amount": 71,
            "currency": "JPY",
            "at": "2026-11-21T12:00:00Z",
        },
    ),
    StoredEvent(
        "account.limits_changed.v1",
        "acct_0000000000000000000000009g",
        18,
        '{"approve_above":null,"daily":null,"hourly":null,"hourly_count":null,"maximum":null,"minimum":null,"monthly":9000,"overdraft":0,"overdraft_until":null,"owner":"owner-1","reason":"2.A8u4xwvTEZ4uPMAbuMmP5X46cuugMFHZQa272_b1WRqFW6yj"}',
        {
            "owner": "owner-1",
            "reason": "a\treason",
            "minimum": None,
            "maximum": None,
            "overdraft": 0,
            "overdraft_until": None,
            "daily": None,
            "monthly": 9000,
            "hourly": None,
            "hourly_count": None,
            "approve_above": None,
        },
    ),
    StoredEvent(
        "account.limit_returned.v1",
        "acct_0000000000000000000000003s",
        36,
        '{"amount":34,"currency":"JPY","transaction":"txn_000000000000000000000001gp","used_at":"2026-11-21T12:00:00Z"}',
        {
            "transaction": "txn_000000000000000000000001gp",
            "amount": 34,
            "currency": "JPY",
            "used_at": "2026-11-21T12:00:00Z",
        },
    ),
    StoredEvent(
        "account.attached.v1",
        "acct_1qehnwh0pabpdb6bx8sfjap4sg",
        2,
        '{"node":"n6","previous":null}',
        {"node": "n6", "previous": None},
    ),
    StoredEvent("account.detached.v1", "acct_1qehnwh0pabpdb6bx8sfjap4sg", 3, '{"node":"n6"}', {"node": "n6"}),
    StoredEvent(
        "account.closing_asked.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        9,
        '{"open_holds":2,"owner":"owner-1","reason":"2.5Zga437jatsgkFcF2sZrhdgLD_huWf7vR6b65NdnMuIs8GRPnhU=","sweep_to":"acct_01m7xye22teqjrevpr9vnc3e97"}',
        {"owner": "owner-1", "reason": "moves\taway", "sweep_to": "acct_01m7xye22teqjrevpr9vnc3e97", "open_holds": 2},
    ),
    StoredEvent(
        "account.closing_cancelled.v1",
        "acct_01m7xye22needsfrayavc4db6g",
        10,
        '{"owner":"owner-1","reason":"2.TQZ7jhNhmj5Fq1FN-9iz6XeIBdRZrP8HNjgym-VzVxep"}',
        {"owner": "owner-1", "reason": "stays"},
    ),
)

SAMPLES = Samples(events=EVENTS, one=with_balance, rules=RULES, routes=ROUTES, life=life, weight=5)
