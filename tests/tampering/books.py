"""A small log with every kind of content: all events, refusals, batches of both eras, snapshots, read tables, tree."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg
from msgspec.structs import replace

from domain.accounts.account.attachment import AttachAccount, DetachAccount
from domain.accounts.account.details import ChangeAccountDetails, ChangeAccountMetadata
from domain.accounts.account.holds import ExpireHold, PlaceHold, ReleaseHold
from domain.accounts.account.lifecycle import (
    CancelClosing,
    CloseAccount,
    CloseWhenFree,
    FreezeAccount,
    ReopenAccount,
    UnfreezeAccount,
)
from domain.accounts.account.limits import ChangeLimits, Limits
from domain.accounts.account.owners import AddOwner, GiveMandate, RemoveOwner, WithdrawMandate
from domain.accounts.account.state import HOLD
from domain.accounts.allocation import Fee, Tier
from domain.accounts.business_calendar import ChangeCalendar
from domain.accounts.chart.nodes import AddNode, ChangeNode, MoveNode, RemoveNode
from domain.accounts.currencies.conversions import CONVERSION, ConvertMoney
from domain.accounts.currencies.quotes import QUOTE, QuoteConversion
from domain.accounts.currencies.rates import SetRate, WithdrawRate
from domain.accounts.fee_schedule import DefineFeeSchedule, RetireFeeSchedule
from domain.accounts.interest.accrual import DayBalance, end_of_month
from domain.accounts.interest.crediting import CreditInterest
from domain.accounts.interest.terms import AgreeInterest, ChangeInterest, EndInterest
from domain.accounts.payroll.events import PayrollItem
from domain.accounts.payroll.part import GiveUpPayrollItem, PayPart, RetryPayrollItem
from domain.accounts.payroll.paying import MOST_AT_ONCE, PAYROLL, parts_of
from domain.accounts.payroll.run import FinishPayroll, RunPayroll, StopPayroll
from domain.accounts.periods.closing import ClosePeriod, SealPeriod
from domain.accounts.periods.state import PeriodFigures
from domain.accounts.periods.year import CloseYear
from domain.accounts.posting import Entry, entries_between, internal_account, pair_account
from domain.accounts.posting_policy import ChangePostingPolicy, ChangeRiskRules
from domain.accounts.reconciliation.events import EntryName
from domain.accounts.reconciliation.match import MatchByHand, MatchByRules, ProposedMatch, UndoMatch
from domain.accounts.reconciliation.session import (
    AbandonReconciliation,
    CloseReconciliation,
    FinishRun,
    OpenReconciliation,
    ReopenReconciliation,
    RunReconciliation,
)
from domain.accounts.reconciliation.statement import MATCH, RECONCILIATION, Statement, StatementLine
from domain.accounts.recurring import (
    RECURRING,
    CancelRecurringPayment,
    ChangeRecurringAmount,
    CreateRecurringPayment,
    PauseRecurringPayment,
    ResumeRecurringPayment,
    RunRecurringPayment,
    Schedule,
)
from domain.accounts.risk.rules import HourlyRule, RiskRules
from domain.accounts.settlement.agreement import (
    AgreeSettlement,
    ChangeSettlementTerms,
    EndSettlement,
    PauseSettlement,
    ResumeSettlement,
)
from domain.accounts.settlement.settlement import CalculateSettlement, PaySettlement, settlement_id
from domain.accounts.template import DefineTemplate, PostByTemplate, RetireTemplate
from domain.accounts.template.definition import Amount, Definition, Parameter, TemplateEntry
from domain.accounts.transaction import (
    TRANSACTION,
    ApprovePending,
    CancelPending,
    CaptureHold,
    ChargeFee,
    Deposit,
    ExpirePending,
    PendTransfer,
    PostPending,
    PostTransaction,
    RefundTransaction,
    RejectPending,
    ReverseTransaction,
    Transfer,
    Withdraw,
)
from domain.accounts.transaction.conditions import Conditioned
from domain.accounts.transaction.year_end import PostYearEnd, YearEnd
from domain.accounts.transfer_order import (
    TRANSFER_ORDER,
    CancelTransferOrder,
    ExecuteTransferOrder,
    SubmitTransferOrder,
    Sum,
)
from domain.batch import MOST_KEYS, SubmitBatch
from domain.kernel import RULES_VERSION, Context, Principal
from domain.long_batch import (
    LONG_BATCH,
    EndLongBatch,
    OpenLongBatch,
    ReceivePart,
    RecordPart,
    StopLongBatch,
    Unrecorded,
)
from domain.orders.order import ORDER, CancelOrder, ConfirmOrder, OrderLine, PayOrder, PlaceOrder
from domain.people.administrators import RejectAdministrator
from domain.people.mail import RecordMailFailed, RecordMailSent, RetryMail
from domain.people.person.mail import AskForMail
from domain.people.person.profile import ChangeProfile, ChangeSettings, GiveConsent, WithdrawConsent
from domain.people.person.registration import ChangePassword
from domain.people.person.roles import GrantRole, RevokeRole
from domain.people.person.signing_in import (
    EndApiKey,
    EndSessions,
    MakeApiKey,
    MakeRecoveryCodes,
    RecordLockout,
    RemoveSecondFactor,
    ReplaceApiKey,
    SetSecondFactor,
)
from domain.people.person.status import DeletePerson, ReactivatePerson, RestorePerson, SuspendPerson
from domain.people.session import EndSession, OpenSession
from domain.people.sign_in_policy import ChangeSignInPolicy
from domain.posts.post import (
    POST,
    ArchivePost,
    DeletePost,
    DraftPost,
    PublishPost,
    RestorePost,
    RevisePost,
    SchedulePost,
    UnschedulePost,
)
from domain.process_manager import BACK_OFF
from domain.processes.process import RecordFigures, ResolveProcess, RetryProcess
from domain.together import Together
from domain.webhooks.webhook.commands import (
    ChangeWebhook,
    CreateWebhook,
    DisableWebhook,
    PauseWebhook,
    RemoveWebhook,
    ReplayWebhook,
    ResumeWebhook,
    RotateWebhookSecret,
)
from domain.webhooks.webhook.state import WEBHOOK
from eventstore.log.answers import Outcome
from eventstore.log.metadata import encoded_actor, metadata
from eventstore.postgres.connect import connect
from eventstore.proof.cosignatures import cosign
from eventstore.proof.notes import COSIGNATURE, Signer, parse_note
from eventstore.proof.witnesses import keep_cosignature
from tests.samples.accounts.payroll import NOBODY
from tests.samples.accounts.periods import approves, asks
from tests.samples.people import privacy
from tests.samples.people.administrators import (
    ADA,
    ASKED,
    BOB,
    EVE,
    MAX,
    approved,
    asked,
    by_administrator,
    removal,
    withdrawn,
)
from tests.samples.people.mail import queued
from tests.samples.people.person import SIGN_IN
from tests.samples.people.person import by_administrator as by_an_administrator
from tests.samples.processes.process import process_of, reaction
from tests.support.ledger import (
    NOW,
    OPENED,
    PRINCIPAL,
    TODAY,
    Ledger,
    codec_of,
    deposit,
    executed,
    fold,
    ledger_on,
    new_id,
    opening,
    snapshots_on,
    submission,
    transfer,
    withdrawal,
)
from tests.support.memory_ledger import APPROVER, VISITOR, By, by_person
from tests.support.postgres import Database
from tests.support.sealing import HEADS_PACE, KEY, sealing_on
from workers.composition import manager_principal
from workers.erasure import erase_subject
from workers.verify import verify
from workers.verify.processes import Processes
from workers.verify.report import VerifyReport

CASH = internal_account("main", "cash", "EUR")
REVENUE = internal_account("main", "revenue", "EUR")
FEES = internal_account("main", "fees", "EUR")
OLD_ORDER = (
    '{"currency":"EUR","customer":"customer-1","lines":[{"name":"Tea","quantity":1,"sku":"sku-1","unit_price":150}],'
    '"reference":"the order of Ada","total":150}'
)
OLD_HOLD = '{"amount":5,"currency":"EUR","hold":"HOLD","reference":"for the order of Ada"}'
BATCH = "batch_01h455vb4pex5vsknk084sn02q"
OLD_REFUSAL = "old-refusal"
NEXT_KEY = b"2" * 32
"""Of checkpoints, after `KEY`."""
WITNESS = Signer("witness.example", b"w" * 32, COSIGNATURE)
OLD_ITEM, NEW_ITEM, ATOMIC, REFUSED, STALE, LAST = "old-item", "new-item", "atomic", "refused", "stale", "last"


def write_books(database: Database) -> None:
    """Fill the log and fold it into the tables."""
    with snapshots_on(database, 2) as snapshots, ledger_on(database, snapshots=snapshots) as ledger:
        _before_keys_were_named(ledger)
        one, two = ledger.account(10_000, owner="owner-1"), ledger.account(5_000, owner="owner-2")
        _accounts(ledger, one, two)
        _currencies(ledger)
        _orders(ledger, one)
        _templates(ledger)
        _posts(ledger)
        _old_policy(ledger)
        _people(ledger)
        _periods(ledger, one)
        _processes(ledger)
        _expired(ledger, one)
        _money(ledger)
        with psycopg.connect(database.url) as superuser:
            erase_subject(superuser, 1, "gone", "erased")
        _settlements(ledger)
        _interest(ledger)
        _payrolls(ledger)
        _reconciliations(ledger)
        _closings(ledger)
        _recurring(ledger)
        _transfer_orders(ledger)
        _webhooks(ledger)
        _long_batches(ledger)
        _risk(ledger)
        _chart(ledger, one, two)
        seal(database, KEY)
        _batches(ledger, one, two)
        snapshots.settle()
    fold(database)
    seal(database, NEXT_KEY, KEY)
    cosign_head(database)


def seal(database: Database, *keys: bytes) -> None:
    """Seal the log up to its head, and sign it by these keys, the newest first."""
    with sealing_on(database, keys=keys, window=1_000) as sealing:
        last = sealing.last()
        sealing.now = datetime.now(UTC).replace(microsecond=0) if last is None else last.signed_at + HEADS_PACE
        assert sealing.sealer().turn()


def cosign_head(database: Database) -> None:
    """Have a witness cosign the newest checkpoint."""
    with sealing_on(database) as sealing:
        last = sealing.last()
        assert last is not None
        signature = cosign(WITNESS, parse_note(last.note.encode()).text, last.signed_at)
        line, key = signature.line.removesuffix("\n"), str(WITNESS.verifier)
        assert keep_cosignature(sealing.connection, sealing.log_number, key, last.size, line, last.signed_at)


def _old_policy(ledger: Ledger) -> None:
    """The policy is changed by an event of the first version."""
    ledger.accepted(ChangePostingPolicy(10_000))
    with psycopg.connect(ledger.database.url) as superuser:
        superuser.execute(
            "UPDATE log.events SET type = 'posting_policy.changed.v1', payload = '{\"most_days_back\":10000}'"
            " WHERE type = 'posting_policy.changed.v2'"
        )


CLERK = Principal("the-clerk", ("operator",), person="prsn_clerk")
"""Who asks for what the approver decides about."""
FOUR_EYES = 50_000


def _money(ledger: Ledger) -> None:
    """Transactions that wait, and what becomes of them; reversals, limits, and four eyes above an amount."""
    one, two = ledger.account(100_000, owner="owner-6"), ledger.account(owner="owner-7")
    posted, cancelled, approved, rejected, expired, large = (new_id(TRANSACTION) for _ in range(6))
    ends = NOW + timedelta(hours=1)

    def waits(id: str, amount: int, **more: Any) -> By:
        return By(CLERK, PendTransfer(id, one, two, amount, "EUR", TODAY, **more))

    limits = Limits(minimum=0, maximum=None, overdraft=10, daily=80_000, monthly=90_000, approve_above=FOUR_EYES)
    transferred, withdrawn = new_id(TRANSACTION), new_id(TRANSACTION)
    commands = (
        waits(posted, 6_101),
        By(CLERK, PostPending(posted)),
        waits(cancelled, 6_102),
        By(CLERK, CancelPending(cancelled, "no longer wanted")),
        waits(approved, 6_103, awaits="approval"),
        By(APPROVER, ApprovePending(approved)),
        waits(rejected, 6_104, awaits="approval"),
        By(APPROVER, RejectPending(rejected, "not ours")),
        waits(expired, 6_105, expires_at=ends),
        By(manager_principal("pending_expiry"), ExpirePending(expired), ends),
        By(CLERK, ChangeLimits(one, "EUR", limits, "a contract")),
        By(CLERK, Transfer(transferred, one, two, 6_106, "EUR", TODAY)),
        By(CLERK, Withdraw(withdrawn, one, 6_107, "EUR", TODAY)),
        By(CLERK, ReverseTransaction(new_id(TRANSACTION), transferred, TODAY, "twice", amount=6_006, currency="EUR")),
        By(CLERK, ReverseTransaction(new_id(TRANSACTION), transferred, TODAY, "the rest")),
        By(CLERK, ChangePostingPolicy(10_000, None, {"EUR": FOUR_EYES})),
        By(CLERK, Transfer(large, one, two, FOUR_EYES + 8, "EUR", TODAY)),
        By(APPROVER, ApprovePending(large)),
    )
    for command in commands:
        assert executed(ledger.executor, command).outcome is Outcome.ACCEPTED, command


def _templates(ledger: Ledger) -> None:
    """A fee schedule and a template, each in two versions, and what was charged and posted by them."""
    one, two = ledger.account(10_000, owner="owner-1"), ledger.account(owner="owner-2")
    percentage = Fee(tiers=(Tier(None, 2_500_000),))
    ledger.accepted(DefineFeeSchedule("card", "EUR", percentage, role="revenue"))
    ledger.accepted(DefineFeeSchedule("card", "EUR", Fee(fixed=5), role="revenue"))
    ledger.accepted(ChargeFee(new_id(TRANSACTION), one, 100, "EUR", TODAY, schedule="card"))
    ledger.accepted(RetireFeeSchedule("card"))
    commission = Amount("commission", "fee", of="gross", fee=percentage)
    net = Amount("net", "sum", plus=("gross",), minus=("commission",))
    parameters = (
        Parameter("buyer", "account"),
        Parameter("seller", "account"),
        Parameter("gross", "amount", currency="EUR"),
    )
    paid, moved = TemplateEntry("debit", "gross", "buyer"), TemplateEntry("credit", "gross", "seller")
    credits = (TemplateEntry("credit", "net", "seller"), TemplateEntry("credit", "commission", internal="revenue"))
    ledger.accepted(DefineTemplate("sale", Definition("payment", parameters, (), (paid, moved))))
    ledger.accepted(DefineTemplate("sale", Definition("payment", parameters, (commission, net), (paid, *credits))))
    ledger.accepted(RetireTemplate("sale", 1))
    given = {"buyer": one, "seller": two, "gross": "2.00"}
    ledger.accepted(PostByTemplate(new_id(TRANSACTION), "sale", given, TODAY))


def verified(database: Database, processes: int | None = None) -> VerifyReport:
    """The report of `verify` with the rights of an auditor. It does not wait for projections."""
    others = None if processes is None else Processes(processes, database.audit_url)
    with (
        connect(database.audit_url, application_name="verify") as connection,
        connect(database.audit_url, application_name="keys") as keys,
    ):
        return verify(connection, "main", codec_of(keys, 1), patience_seconds=0, processes=others)


def _before_keys_were_named(ledger: Ledger) -> None:
    """Two items of a batch, single commands and a refusal, as they were written before the eras of today.

    An order and a hold of first versions have references that are not codes.
    """
    account = ledger.account(owner="owner-0")
    for key in (OLD_ITEM, f"{OLD_ITEM}-2"):
        ledger.executor.execute([submission(deposit(account, 100), key=key, correlation=BATCH)])
    old, hold = new_id(ORDER), new_id(HOLD)
    ledger.accepted(PlaceOrder(old, "customer-1", "EUR", (OrderLine("sku-1", "Tea", 1, 150),)))
    ledger.accepted(PlaceHold(account, hold, 5, "EUR"))
    ledger.executor.execute([submission(deposit(account, 100), key="old-single", correlation="old-single")])
    with psycopg.connect(ledger.database.url) as superuser:
        for type, stream, payload in (
            ("order.placed", old, OLD_ORDER),
            ("account.hold_placed", account, OLD_HOLD.replace("HOLD", hold)),
        ):
            superuser.execute(
                "UPDATE log.events SET type = %s || '.v1', payload = %s WHERE type = %s || '.v2' AND stream = %s",
                (type, payload.encode(), type, stream),
            )
        superuser.execute(
            "UPDATE log.events SET metadata = convert_to(regexp_replace(convert_from(metadata, 'UTF8'),"
            " ',\"key\":\"[^\"]*\"', ''), 'UTF8')"
        )
        superuser.execute(
            "INSERT INTO log.commands SELECT log, actor, %s, request_hash, 2, 422, 'account_not_frozen', %s, position,"
            " NULL, NULL, c.recorded_at, NULL FROM log.commands c JOIN log.logs USING (log) WHERE key = 'old-single'",
            (OLD_REFUSAL, f'{{"account":"{account}"}}'.encode()),
        )
        for era in ("metadata.key", "command.refused", "codes"):
            superuser.execute("INSERT INTO log.eras SELECT log, %s, position FROM log.logs", (era,))


def _accounts(ledger: Ledger, one: str, two: str) -> None:
    unlimited = ledger.account(minimum=None, owner="owner-3")
    for amount in (100, 250):
        ledger.accepted(transfer(one, two, amount))
    ledger.accepted(Transfer(new_id(TRANSACTION), one, unlimited, 5, "EUR", TODAY, "ref-1", "for lunch"))
    ledger.accepted(withdrawal(two, 75))
    assert ledger.execute(withdrawal(two, 10**9), key=REFUSED).outcome is Outcome.REFUSED
    assert ledger.execute(deposit(one, 1), key=STALE, expected={one: 99}).outcome is Outcome.EXPECTATION_FAILED
    kept, paid = new_id(HOLD), new_id(HOLD)
    for hold in (kept, paid):
        ledger.accepted(PlaceHold(one, hold, 40, "EUR", "ref-2"))
    ledger.accepted(ReleaseHold(one, kept))
    ledger.accepted(CaptureHold(one, paid, new_id(TRANSACTION), two, 30, "EUR", TODAY))
    joint = ledger.account(owner="owner-4")
    parts = new_id(HOLD)
    ledger.accepted(PlaceHold(unlimited, parts, 45, "EUR", "ref-2"))
    for amount in (17, 28):
        ledger.accepted(CaptureHold(unlimited, parts, new_id(TRANSACTION), joint, amount, "EUR", TODAY, keep_rest=True))
    ledger.accepted(AddOwner(joint, "prsn_1"))
    ledger.accepted(RemoveOwner(joint, "prsn_1"))
    for person in ("prsn_1", "prsn_2"):
        ledger.accepted(GiveMandate(joint, person, True, 500, "EUR", NOW + timedelta(days=1)))
    ledger.accepted(WithdrawMandate(joint, "prsn_2"))
    paid_in = Deposit(new_id(TRANSACTION), joint, 1, "EUR", TODAY, "ref-unique")
    ledger.accepted(Conditioned(paid_in, unique_reference="account"))
    swept = ledger.account(100, minimum=100, owner="owner-5")
    ledger.accepted(ChangeAccountDetails(swept, "Ada King"))
    ledger.accepted(ChangeAccountMetadata(swept, {"branch": "12", "till": "4"}))
    ledger.accepted(CloseAccount(swept, "a merger", two, new_id(TRANSACTION)))
    ledger.accepted(ReopenAccount(swept, "no merger"))
    ended = ledger.account(owner="gone")
    ledger.accepted(FreezeAccount(ended, "a question"))
    ledger.accepted(UnfreezeAccount(ended, "an answer"))
    ledger.accepted(CloseAccount(ended, "the end"))


def _recurring(ledger: Ledger) -> None:
    """A payment that runs, changes and is cancelled, and one that is suspended; the calendar that moves them."""
    payer, poor = ledger.account(1_000, owner="owner-6"), ledger.account(owner="owner-6")
    payee, daily = ledger.account(owner="owner-7"), Schedule("days", 1, TODAY)
    paid, refused = new_id(RECURRING), new_id(RECURRING)
    ledger.accepted(ChangeCalendar(("saturday", "sunday"), (date(2026, 12, 25),)))
    create = CreateRecurringPayment(paid, payer, payee, 103, "EUR", daily, "rent-7", "Rent", {"k_symbol": "SIPO"})
    ledger.accepted(create)
    ledger.accepted(replace(create, payment=refused, payer=poor))
    runner = manager_principal("recurring_payments")
    assert executed(ledger.executor, By(runner, RunRecurringPayment(paid, 1))).outcome is Outcome.ACCEPTED
    for command in (
        ChangeRecurringAmount(paid, 104, "EUR"),
        PauseRecurringPayment(paid),
        ResumeRecurringPayment(paid),
        CancelRecurringPayment(paid),
    ):
        ledger.accepted(command)
    for hours in (0, 2, 6):
        run = By(runner, RunRecurringPayment(refused, 1), NOW + timedelta(hours=hours))
        assert executed(ledger.executor, run).outcome is Outcome.REFUSED


def _transfer_orders(ledger: Ledger) -> None:
    """Orders that are executed with a fee and by a conversion, cancelled, expired and failed."""
    payer, payee = ledger.account(10_000, owner="owner-6"), ledger.account(owner="owner-7")
    frozen = ledger.account(owner="owner-7")
    ledger.accepted(DefineFeeSchedule("wire", "EUR", Fee(5)))
    paid, cancelled, expired, failed = (new_id(TRANSFER_ORDER) for _ in range(4))
    order = SubmitTransferOrder(
        paid, payer, payee, Sum(163, "EUR"), fee_schedule="wire", reference="rent-7", description="Rent"
    )
    runner = manager_principal("transfer_orders")
    ledger.accepted(order)
    assert executed(ledger.executor, By(runner, ExecuteTransferOrder(paid))).outcome is Outcome.ACCEPTED
    ledger.accepted(replace(order, order=cancelled))
    ledger.accepted(CancelTransferOrder(cancelled))
    ledger.accepted(replace(order, order=expired, expires_at=NOW + timedelta(hours=1)))
    late = By(runner, ExecuteTransferOrder(expired), NOW + timedelta(hours=1))
    assert executed(ledger.executor, late).outcome is Outcome.ACCEPTED
    ledger.accepted(replace(order, order=failed, target=frozen))
    ledger.accepted(FreezeAccount(frozen, "a question"))
    at = NOW
    for pause in (*BACK_OFF, timedelta()):
        assert executed(ledger.executor, By(runner, ExecuteTransferOrder(failed), at)).outcome is Outcome.REFUSED
        at += pause


def _webhooks(ledger: Ledger) -> None:
    """A webhook that is changed, paused, disabled and replayed, and one that is removed."""
    webhook, removed = new_id(WEBHOOK), new_id(WEBHOOK)
    create = CreateWebhook(webhook, "https://receiver.example/daybook", ("orders",), (), (), ADA, 5, 24)
    commands = (
        By(PRINCIPAL, create),
        By(PRINCIPAL, ChangeWebhook(webhook, create.url, (), ("order.paid",), (), ADA, 5, 24)),
        By(PRINCIPAL, RotateWebhookSecret(webhook, NOW + timedelta(hours=1))),
        By(PRINCIPAL, PauseWebhook(webhook)),
        By(PRINCIPAL, ResumeWebhook(webhook)),
        By(manager_principal("webhooks"), DisableWebhook(webhook, 5, "gone", 410, 1, NOW)),
        By(PRINCIPAL, ReplayWebhook(webhook, 0)),
        By(PRINCIPAL, replace(create, webhook=removed)),
        By(PRINCIPAL, RemoveWebhook(removed)),
    )
    for command in commands:
        assert executed(ledger.executor, command).outcome is Outcome.ACCEPTED, command


def _long_batches(ledger: Ledger) -> None:
    """One that is finished, with an item that was unknown, one that is stopped, and one whose part is lost."""
    finished, stopped, lost = new_id(LONG_BATCH), new_id(LONG_BATCH), new_id(LONG_BATCH)
    worker = manager_principal("long_batches")

    def part(batch: str, number: int, items: int) -> By:
        keys = tuple(f"long-{batch[-3:]}-{number}-{item}" for item in range(items))
        digests = ("0123456789abcdef",) * items
        return By(PRINCIPAL, ReceivePart(batch, number, keys, digests, "ab" * 32, 100))

    commands = (
        By(PRINCIPAL, OpenLongBatch(finished, 3)),
        part(finished, 1, 2),
        part(finished, 2, 1),
        By(worker, RecordPart(finished, 1, 1, 0, 0, 0, (Unrecorded(2, "unknown"),))),
        By(worker, RecordPart(finished, 2, 0, 1, 0, 0, ())),
        By(PRINCIPAL, OpenLongBatch(stopped, 9)),
        By(PRINCIPAL, StopLongBatch(stopped, "Wrong file")),
        By(PRINCIPAL, OpenLongBatch(lost, 1)),
        part(lost, 1, 1),
        By(worker, EndLongBatch(lost, "lost")),
    )
    for command in commands:
        assert executed(ledger.executor, command).outcome is Outcome.ACCEPTED, command


def _risk(ledger: Ledger) -> None:
    """Risk rules watch one transfer, and are off afterwards."""
    rules = RiskRules(True, hourly=HourlyRule(25, 0))
    payer, payee = ledger.account(1_000, owner="owner-6"), ledger.account(owner="owner-6")
    ledger.accepted(ChangeRiskRules(rules))
    ledger.accepted(transfer(payer, payee, 100))
    ledger.accepted(ChangeRiskRules(replace(rules, on=False)))


def _chart(ledger: Ledger, one: str, two: str) -> None:
    """The second account is attached when the batches come, and its node takes what they post."""
    for command in (
        AddNode("1000", "Customers", "liability"),
        AddNode("1100", "Savings", parent="1000"),
        AddNode("1200", "Current", parent="1000", kinds=("deposit",)),
        AddNode("2000", "Gone", "asset", contra=True),
        AttachAccount(two, "1100"),
        AttachAccount(one, "1100"),
        DetachAccount(one),
        AttachAccount(two, "1200"),
        ChangeNode("1200", "Current", ("deposit", "transfer")),
        MoveNode("1100", None),
        RemoveNode("2000"),
    ):
        ledger.accepted(command)


def _currencies(ledger: Ledger) -> None:
    """A pair with a rate that was withdrawn, one in force and one to come; a conversion at it, and one at a quote."""
    for currency in ("EUR", "CHF"):
        id = pair_account("main", "liquidity", "EUR:CHF", currency)
        ledger.accepted(opening("liquidity", account=id, owner="main", minimum=None, currency=currency))
    for role in ("revenue", "rounding"):
        id = internal_account("main", role, "CHF")
        ledger.accepted(opening(role, account=id, owner="main", minimum=None, currency="CHF"))
    source, target = ledger.account(5_000, owner="owner-5"), ledger.account(owner="owner-5", currency="CHF")
    rate = SetRate("EUR", "CHF", "0.950000", 25, "ECB")
    ledger.accepted(rate)
    ledger.accepted(WithdrawRate("EUR:CHF", 1))
    ledger.accepted(rate)
    ledger.accepted(replace(rate, rate="0.940000", valid_from=NOW + timedelta(days=1)))
    quotes = [new_id(QUOTE) for _ in range(2)]
    for quote in quotes:
        ledger.accepted(QuoteConversion(quote, "EUR", "CHF", "EUR", 1_000, 60))
    convert = ConvertMoney(new_id(CONVERSION), new_id(TRANSACTION), source, target, TODAY, quote=quotes[0])
    ledger.accepted(convert)
    again = replace(convert, conversion=new_id(CONVERSION), transaction=new_id(TRANSACTION))
    ledger.accepted(replace(again, quote=None, amount=1_003, currency="EUR"))


def _orders(ledger: Ledger, payer: str) -> None:
    ledger.accepted(opening("revenue", account=REVENUE, owner="main", minimum=None))
    lines = (OrderLine("sku-1", "Tea", 2, 150), OrderLine("sku-2", "Cup", 1, 200))
    paid, cancelled = new_id(ORDER), new_id(ORDER)
    for order in (paid, cancelled):
        ledger.accepted(PlaceOrder(order, "customer-1", "EUR", lines, "ref-3", {"channel": "web"}))
    ledger.accepted(ConfirmOrder(paid))
    ledger.accepted(PayOrder(paid, payer, new_id(TRANSACTION), TODAY))
    ledger.accepted(CancelOrder(cancelled, "no tea today"))


def _posts(ledger: Ledger) -> None:
    post, other = new_id(POST), new_id(POST)
    for id in (post, other):
        ledger.accepted(DraftPost(id, "author-1", f"Title of {id}", "A text."))
    ledger.accepted(RevisePost(post, "Another title", "Another text.", "all of it"))
    for slug in ("first-name", "second-name"):
        ledger.accepted(PublishPost(post, slug))
        ledger.accepted(ArchivePost(post))
    ledger.accepted(DeletePost(other, "a mistake"))
    ledger.accepted(RestorePost(other))


OF_THE_WORKER = (
    queued("mail_1", ADA),
    RecordMailSent("mail_1", 1),
    queued("mail_2", BOB),
    RecordMailFailed("mail_2", 1, "refused_for_now", 451),
    RecordMailFailed("mail_2", 2, "refused", 550),
    queued("mail_3", BOB),
    RecordMailFailed("mail_3", 1, "refused", 550),
)
MAILS = (
    *(By(manager_principal("mailing"), command) for command in OF_THE_WORKER),
    By(PRINCIPAL, RetryMail("mail_3", "the server works again")),
)
"""A mail that was sent, one that was given up, and one that somebody wants to be tried again."""


def _people(ledger: Ledger) -> None:
    """Two administrators, a third one by two persons, a request that was withdrawn, and a person with everything.

    One person is exported and erased, another one is under a legal hold.
    """
    everything = (
        ChangeProfile(ADA, "Ada King", "Counts", "London", "https://example.com/ada", date(1990, 12, 10)),
        ChangeSettings(ADA, "Europe/London", "en-GB"),
        GiveConsent(ADA, "newsletter", "1"),
        GiveConsent(ADA, "terms", "2"),
        WithdrawConsent(ADA, "terms"),
        ChangePassword(ADA),
        SetSecondFactor(ADA),
        MakeRecoveryCodes(ADA),
        RemoveSecondFactor(ADA),
        MakeApiKey(ADA, "akey_1", ("accounts",), "read", ("acct_1",), None),
        ReplaceApiKey(ADA, "akey_1", "akey_2", NOW + timedelta(days=1)),
        EndApiKey(ADA, "akey_1"),
        EndSessions(ADA),
    )
    commands = (
        *ASKED,
        approved(BOB),
        asked(ADA, MAX, "appr_2"),
        withdrawn(ADA, "appr_2"),
        removal(BOB, EVE, "appr_3"),
        approved(ADA, "appr_3"),
        asked(ADA, MAX, "appr_4"),
        asked(ADA, MAX, "appr_5"),
        by_administrator(BOB, RejectAdministrator("appr_5")),
        *(By(by_person(ADA), command) for command in everything),
        *map(
            by_an_administrator,
            (GrantRole(MAX, "author"), GrantRole(MAX, "audit", "case-7"), RevokeRole(MAX, "author")),
        ),
        *map(by_an_administrator, (SuspendPerson(MAX, "spam"), ReactivatePerson(MAX, "a mistake"))),
        By(VISITOR, AskForMail(BOB, "reset")),
        *MAILS,
        *map(
            by_an_administrator,
            (DeletePerson(EVE, "asked for"), RestorePerson(EVE, "asked for"), DeletePerson(EVE, "left")),
        ),
        By(SIGN_IN, RecordLockout(MAX, 10)),
        By(VISITOR, OpenSession("sess_1", MAX, 1, second_factor=False)),
        By(VISITOR, OpenSession("sess_2", MAX, 1, second_factor=False)),
        By(by_person(MAX), EndSession("sess_1")),
        by_an_administrator(ChangeSignInPolicy(("administrator", "audit"))),
        privacy.placed(EVE),
        privacy.lifted(EVE),
        privacy.export_asked(EVE, "appr_6"),
        privacy.approved("appr_6"),
        privacy.exported(EVE, "appr_6"),
        privacy.erasure_asked(EVE, "appr_7"),
        privacy.approved("appr_7"),
        privacy.begun(EVE, "appr_7"),
        privacy.completed(EVE, "appr_7"),
        privacy.placed(MAX),
    )
    for command in commands:
        assert executed(ledger.executor, command).outcome is Outcome.ACCEPTED, command


def _periods(ledger: Ledger, account: str) -> None:
    """A period that is sealed and whose year is closed twice, one that is reopened, and one that may be."""
    first = OPENED + timedelta(days=1)
    ledger.accepted(Deposit(new_id(TRANSACTION), account, 100, "EUR", first))
    for role in ("fees", "equity"):
        ledger.accepted(opening(role, account=internal_account("main", role, "EUR"), owner="main", minimum=None))
    ledger.accepted(ChargeFee(new_id(TRANSACTION), account, 31, "EUR", first))
    ledger.accepted(ClosePeriod("per_1", "first", OPENED, first))
    figures = (_figures("cash", 100, 0), _figures("checking", 31, 100), _figures("fees", 0, 31))
    ledger.accepted(SealPeriod("per_1", _digest((CASH, -100), (account, 69), (FEES, 31)), figures))
    early, again = new_id(TRANSACTION), new_id(TRANSACTION)
    for year_end in (
        CloseYear("per_1"),
        PostYearEnd("per_1", (YearEnd(early, "EUR", ((FEES, 31),)),)),
        ReverseTransaction(new_id(TRANSACTION), early, None, "closed too early"),
        CloseYear("per_1"),
        PostYearEnd("per_1", (YearEnd(again, "EUR", ((FEES, 31),)),)),
    ):
        ledger.accepted(year_end)
    ledger.accepted(ClosePeriod("per_2", "second", first + timedelta(days=1), first + timedelta(days=1)))
    for command in (asks("per_2", "appr_8", ADA), approves("appr_8", BOB)):
        assert executed(ledger.executor, command).outcome is Outcome.ACCEPTED, command
    ledger.accepted(ClosePeriod("per_3", "second", first + timedelta(days=1), first + timedelta(days=2)))
    assert executed(ledger.executor, asks("per_3", "appr_9", ADA)).outcome is Outcome.ACCEPTED


def _settlements(ledger: Ledger) -> None:
    """A merchant whose first day is paid out at the second try, and whose second day is carried over."""
    shop = ledger.account(type="merchant", minimum=None, owner="owner-5")
    full, bank = ledger.account(maximum=1, owner="owner-5"), ledger.account(owner="owner-5")
    payer, first = ledger.account(9_000, owner="owner-6"), TODAY - timedelta(days=2)
    second, payment = first + timedelta(days=1), new_id(TRANSACTION)
    ledger.accepted(AgreeSettlement(shop, full, 25_000, first))
    paid = ledger.accepted(PostTransaction(payment, "payment", entries_between(payer, shop, 5_309, "EUR"), first))
    ledger.accepted(CalculateSettlement(shop, first, 0, paid.last_position or 0, 1, 5_309, 0))
    back = RefundTransaction(new_id(TRANSACTION), payment, second, "too much", amount=1_013, currency="EUR", fee_rate=0)
    given_back = ledger.accepted(back).last_position or 0
    pay = PaySettlement(settlement_id(shop, first), shop, new_id(TRANSACTION))
    assert ledger.execute(pay).outcome is Outcome.REFUSED
    commands = (
        ChangeSettlementTerms(shop, bank, 20_000),
        pay,
        PauseSettlement(shop),
        ResumeSettlement(shop),
        CalculateSettlement(shop, second, paid.last_position or 0, given_back, 1, 0, 1_013),
        EndSettlement(shop, second),
        AgreeSettlement(shop, bank, 30_000, TODAY),
    )
    for command in commands:
        ledger.accepted(command)


def _interest(ledger: Ledger) -> None:
    """Interest that is credited for a month, at terms that change, and that ends."""
    account, other = ledger.account(owner="owner-5"), ledger.account(owner="owner-5")
    paying = internal_account("main", "interest", "EUR")
    ledger.accepted(opening("interest", account=paying, owner="main", minimum=None))
    first = TODAY - timedelta(days=25)
    paid = ledger.accepted(Deposit(new_id(TRANSACTION), account, 30_023, "EUR", first)).last_position or 0
    last, transaction = end_of_month(first), new_id(TRANSACTION)
    commands = (
        AgreeInterest(account, account, 20_000, 365, first),
        ChangeInterest(account, other, 30_000, 360, last),
        CreditInterest(account, transaction, first, last, (DayBalance(first, 30_023),), paid),
        EndInterest(account, TODAY),
    )
    for command in commands:
        ledger.accepted(command)


def _payrolls(ledger: Ledger) -> None:
    """A run at once, one in parts with an item that is paid later and one that is given up, and one that is stopped."""
    company = ledger.account(10_007, owner="owner-5")
    ada, bob = ledger.account(owner="owner-6"), ledger.account(owner="owner-7")
    few = (PayrollItem("E-1", ada, 107), PayrollItem("E-2", bob, 109))
    missing = (PayrollItem(f"E-{number}", NOBODY[number], 1) for number in range(2, MOST_AT_ONCE + 2))
    many = (few[0], *missing)
    once, parts, stopped = (new_id(PAYROLL) for _ in range(3))

    def run(payroll: str, period: str, items: tuple[PayrollItem, ...]) -> RunPayroll:
        return RunPayroll(payroll, new_id(TRANSACTION), company, period, "EUR", items, TODAY)

    commands = (
        run(once, "2026-09", few),
        run(parts, "2026-10", many),
        *(PayPart(parts, part, new_id(TRANSACTION)) for part in parts_of(len(many))),
        FinishPayroll(parts),
        opening(account=NOBODY[2], owner="owner-7"),
        RetryPayrollItem(parts, 2, new_id(TRANSACTION), TODAY),
        GiveUpPayrollItem(parts, 3, "paid by cheque"),
        run(stopped, "2026-11", many),
        StopPayroll(stopped, "the wrong month"),
    )
    for command in commands:
        ledger.accepted(command)


def _reconciliations(ledger: Ledger) -> None:
    """A session with a match by a rule and one that is undone, closed and reopened; and one that is abandoned."""
    account, first, second = ledger.account(owner="owner-6"), new_id(TRANSACTION), new_id(TRANSACTION)
    kept, given_up, undone = new_id(RECONCILIATION), new_id(RECONCILIATION), new_id(MATCH)
    lines = (
        StatementLine(TODAY, TODAY, 7_013, ("INV-7013",), "BANK-1", "Ada Lovelace", "for the engine"),
        StatementLine(TODAY, TODAY, 7_019),
    )
    statement = Statement("2026-11/1", "EUR", TODAY, TODAY, 0, 14_032, lines)
    other = Statement("2026-11/2", "EUR", TODAY, TODAY, 0, 7_013, lines[:1])
    proposed = ProposedMatch(new_id(MATCH), "reference", (1,), (EntryName(first, 2),))
    commands = (
        Deposit(first, account, 7_013, "EUR", TODAY, "INV-7013"),
        Deposit(second, account, 7_019, "EUR", TODAY),
        OpenReconciliation(kept, account, statement, False, 3, "DE89370400440532013000"),
        MatchByRules(kept, (proposed,)),
        MatchByHand(kept, undone, (2,), (EntryName(second, 2),)),
        UndoMatch(kept, undone, "another payer"),
        FinishRun(kept, (2,)),
        RunReconciliation(kept),
        CloseReconciliation(kept, "one line is asked about"),
        ReopenReconciliation(kept, "the payer answered"),
        OpenReconciliation(given_up, account, other, False, 3),
        AbandonReconciliation(given_up, "the wrong account"),
    )
    for command in commands:
        ledger.accepted(command)


def _closings(ledger: Ledger) -> None:
    """An account that is closed after its last hold, and one that goes on."""
    waits, goes_on, other = (ledger.account(owner="owner-5") for _ in range(3))
    for account in (waits, goes_on):
        ledger.accepted(deposit(account, 131))
        ledger.accepted(PlaceHold(account, new_id(HOLD), 7, "EUR"))
        ledger.accepted(CloseWhenFree(account, "moves away", other))
    ledger.accepted(CancelClosing(goes_on, "stays"))


def _figures(type: str, debits: int, credits: int) -> PeriodFigures:
    return PeriodFigures("EUR", type, 1, debits, credits)


def _digest(*balances: tuple[str, int]) -> str:
    """The digest of a seal. There is one account of each type, in the order of the types."""
    of_types = (sha256(f"{account} {balance}\n".encode()).digest() for account, balance in balances)
    return sha256(b"".join(of_types)).hexdigest()


def _processes(ledger: Ledger) -> None:
    """A post that is scheduled twice, and its process: it reacts, is answered, retried and resolved."""
    post = new_id(POST)
    ledger.accepted(DraftPost(post, "author-1", "Later", "A text."))
    ledger.accepted(SchedulePost(post, "later", NOW + timedelta(hours=1)))
    ledger.accepted(UnschedulePost(post))
    ledger.accepted(SchedulePost(post, "later", NOW + timedelta(hours=2)))
    process = process_of(post)
    ledger.accepted(reaction(process, post))
    ledger.accepted(RecordFigures(process, 1, 1, ()))
    ledger.accepted(reaction(process, post, trigger="answer:1:1", due_at=None, intents=(), attention="slug_taken"))
    ledger.accepted(RetryProcess(process, "look again"))
    ledger.accepted(ResolveProcess(process, "not needed any more"))


def _expired(ledger: Ledger, account: str) -> None:
    """A hold that expires, decided two hours later."""
    hold, later = new_id(HOLD), NOW + timedelta(hours=2)
    ledger.accepted(PlaceHold(account, hold, 40, "EUR", expires_at=NOW + timedelta(hours=1)))
    asked = submission(ExpireHold(account, hold), key="expired")
    recorded = metadata(encoded_actor(PRINCIPAL.recorded), "ExpireHold", later, RULES_VERSION, "expired")
    asked = replace(asked, context=Context(later, "main", PRINCIPAL), metadata=recorded)
    assert ledger.executor.execute([asked])[0].outcome is Outcome.ACCEPTED


def _batches(ledger: Ledger, one: str, two: str) -> None:
    ledger.executor.execute([submission(transfer(one, two, 7), key=NEW_ITEM, correlation=BATCH)])
    keys = tuple(f"payout-{number}" for number in range(MOST_KEYS + 1))
    ledger.accepted(SubmitBatch(BATCH, keys, ("0123456789abcdef",) * len(keys)))
    entries = (Entry(one, "debit", 3, "EUR"), Entry(two, "credit", 3, "EUR"))
    posted = PostTransaction(new_id(TRANSACTION), "transfer", entries, date(2026, 1, 2))
    ledger.executor.execute([submission(Together((deposit(one, 11), posted)), key=ATOMIC)])
    assert ledger.execute(transfer(two, one, 2), key=LAST).outcome is Outcome.ACCEPTED
