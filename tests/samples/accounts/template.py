"""Samples of templates."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import Any

from msgspec.structs import replace

from domain.accounts.account.state import Account
from domain.accounts.allocation import MOST_PERCENTAGE, MOST_TIERS, PER_CENT, Fee, Tier
from domain.accounts.fee_schedule import MOST_NAME
from domain.accounts.posting import MOST_ENTRIES
from domain.accounts.template import DefineTemplate, PostByTemplate, RetireTemplate, Template
from domain.accounts.template.commands import MOST_ACTIVE
from domain.accounts.template.definition import Amount, Definition, Parameter, Part, TemplateEntry
from domain.accounts.transaction import TRANSACTION
from tests.samples.accounts.account import CURRENCIES, with_balance
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World
from tests.support.memory_ledger import TODAY, MemoryLedger, opening

# Requests

_numbers = count(1)


def sale() -> dict[str, Any]:
    """The body of a new template: a sale with commission and tax, which internal accounts of the seller's bank get."""
    return {
        "name": f"sample-{next(_numbers)}",
        "kind": "payment",
        "parameters": [
            {"name": "buyer", "type": "account"},
            {"name": "seller", "type": "account"},
            {"name": "gross", "type": "amount", "currency": "EUR", "least": "0.01"},
            {"name": "rate", "type": "percentage", "default": "0"},
        ],
        "amounts": [
            {"name": "unused", "kind": "fee", "of": "gross", "fee": {"tiers": [{"percentage": "1"}]}},
            {"name": "net", "kind": "sum", "plus": ["gross"], "minus": ["tax"]},
            {"name": "tax", "kind": "percentage", "of": "gross", "parameter": "rate"},
        ],
        "entries": [
            {"side": "debit", "parameter": "buyer", "amount": "gross"},
            {"side": "credit", "parameter": "seller", "amount": "net"},
            {"side": "credit", "internal": "fees", "amount": "tax"},
        ],
    }


def template(world: World) -> str:
    """The name of a new template."""
    name: str = world.do("templates", sale())["template"]
    return name


def one(world: World) -> str:
    """A template."""
    return f"template:{template(world)}"


def posting(world: World) -> Request:
    parameters = {"buyer": with_balance(world, "100.00"), "seller": with_balance(world), "gross": "10.00"}
    body = {"parameters": parameters, "number": 1, "reference": "sample-1", "description": "Rent"}
    return Request({"template": template(world)}, body)


ROUTES = {
    "/v1/templates": lambda world: Request({}, sale()),
    "/v1/templates/{template}/retire": lambda world: Request({"template": template(world)}, {"number": 1}),
    "/v1/templates/{template}/transactions": posting,
}

# Rules

A, B = opening(account="acct_a", minimum=None), opening(account="acct_b", minimum=None)
BUYER, SELLER = Parameter("buyer", "account"), Parameter("seller", "account")
GROSS = Parameter("gross", "amount", "EUR")
BOTH = (TemplateEntry("debit", "gross", "buyer"), TemplateEntry("credit", "gross", "seller"))
PLAIN = Definition("payment", (BUYER, SELLER, GROSS), (), BOTH)


def fixed(name: str, units: int = 1, currency: str = "EUR") -> Amount:
    return Amount(name, "fixed", fixed=units, currency=currency)


def plus(name: str, *of: str, minus: tuple[str, ...] = ()) -> Amount:
    return Amount(name, "sum", plus=of, minus=minus)


def define(*amounts: Amount, name: str = "sale", **more: Any) -> DefineTemplate:
    """Define the plain template with these amounts, which no entry uses, and with other members."""
    return DefineTemplate(name, replace(PLAIN, amounts=amounts, **more))


def moving(*amounts: Amount, moved: str, parameters: tuple[Parameter, ...] = ()) -> DefineTemplate:
    """Define a template that moves this amount."""
    entries = (TemplateEntry("debit", moved, "buyer"), TemplateEntry("credit", moved, "seller"))
    return define(*amounts, parameters=(BUYER, SELLER, GROSS, *parameters), entries=entries)


def post(gross: Any = "1.00", number: int | None = None, **more: Any) -> PostByTemplate:
    parameters = {"buyer": "acct_a", "seller": "acct_b", "gross": gross, **more}
    return PostByTemplate("txn_1", "sale", parameters, TODAY, number)


def fee(terms: Fee, currency: str | None = "EUR") -> Amount:
    return Amount("fee", "fee", of="gross", fee=terms, currency=currency)


def tiers(*ends: int | None) -> Fee:
    return Fee(tiers=tuple(Tier(end, PER_CENT) for end in ends))


RATE, TIMES = Parameter("rate", "percentage"), Parameter("times", "integer", most=3)
WEIGHT = Parameter("weight", "integer")
SPLIT = Amount("split", "split", of="gross", parts=(Part("one", "weight"), Part("rest", 0)))
VERSIONS = tuple(define(fixed("x", number)) for number in range(MOST_ACTIVE))

RULES = {
    "name_form": RuleSample(
        given=(),
        broken=define(name="x" * (MOST_NAME + 1)),
        sentence=(
            "The name of the template is not one: a name has 1 to 60 characters, small letters and digits in words "
            "that single hyphens join, such as 'card-fee'."
        ),
        kept=(define(name="x" * MOST_NAME),),
    ),
    "fee_empty": RuleSample(
        given=(),
        broken=define(fee(Fee())),
        sentence="A fee has a fixed amount, or one to 20 tiers, or both; this one has 0 tiers and no amount.",
        kept=(define(fee(tiers(*range(1, MOST_TIERS), None))),),
    ),
    "fee_tiers": RuleSample(
        given=(),
        broken=define(fee(tiers(100, 101))),
        sentence=(
            "The tiers of a fee end at rising amounts, and only the last one has no end; tier 2 of 2 breaks that."
        ),
        kept=(define(fee(tiers(100, None))),),
    ),
    "fee_percentage": RuleSample(
        given=(),
        broken=define(fee(Fee(tiers=(Tier(None, -1),)))),
        sentence="A percentage is from 0 to 1000; tier 1 has -0.000001.",
        kept=(define(fee(Fee(tiers=(Tier(None, 0),)))),),
    ),
    "fee_amount": RuleSample(
        given=(),
        broken=define(fee(Fee(fixed=1, minimum=-1))),
        sentence="The minimum of a fee is from 0.00 to 9999999999999.99 EUR; this one is -0.01.",
        kept=(define(fee(Fee(fixed=1, minimum=0))),),
    ),
    "fee_bounds": RuleSample(
        given=(),
        broken=define(fee(Fee(fixed=1, minimum=2, maximum=1))),
        sentence="A fee of at least 0.02 EUR cannot be at most 0.01.",
        kept=(define(fee(Fee(fixed=1, minimum=2, maximum=2))),),
    ),
    "template_kind": RuleSample(
        given=(),
        broken=define(kind="deposit"),
        sentence=(
            "A template cannot post a transaction of the kind deposit; it can post fee, interest, journal, payment, "
            "penalty, transfer."
        ),
        kept=(define(kind="journal"),),
    ),
    "template_size": RuleSample(
        given=(),
        broken=define(entries=BOTH * (MOST_ENTRIES // 2) + BOTH[:1]),
        sentence="A template has 2 to 1000 entries; this one has 1001.",
        kept=(define(entries=BOTH * (MOST_ENTRIES // 2)),),
    ),
    "template_name": RuleSample(
        given=(),
        broken=define(fixed("x" * 41)),
        sentence=(
            "The name of amount 1 is not one: it has 1 to 40 small letters, digits and underscores, and begins with a "
            "letter."
        ),
        kept=(define(fixed("x" * 40)),),
    ),
    "template_name_twice": RuleSample(
        given=(),
        broken=define(fixed("gross")),
        sentence="The name gross is given twice; each parameter, amount and part has its own.",
        kept=(define(fixed("other")),),
    ),
    "template_parameter": RuleSample(
        given=(),
        broken=define(parameters=(BUYER, SELLER, replace(GROSS, least=2, most=1))),
        sentence="Parameter gross of type amount cannot have this bound.",
        kept=(define(parameters=(BUYER, SELLER, replace(GROSS, least=2, most=2))),),
    ),
    "template_members": RuleSample(
        given=(),
        broken=define(Amount("part", "percentage", of="gross", percentage=MOST_PERCENTAGE + 1)),
        sentence="Amount part of kind percentage does not have the members of its kind, each within its bounds.",
        kept=(define(Amount("part", "percentage", of="gross", percentage=MOST_PERCENTAGE)),),
    ),
    "template_name_unknown": RuleSample(
        given=(),
        broken=define(plus("total", "gross", "tax")),
        sentence="Amount total names tax, which is none of the amounts of the template.",
        kept=(define(plus("total", "gross", "tax"), fixed("tax")),),
    ),
    "template_cycle": RuleSample(
        given=(),
        broken=define(plus("net", "gross", minus=("tax",)), Amount("tax", "percentage", of="net", percentage=1)),
        sentence="Amounts rest on each other in a circle, so none of them can be computed: net -> tax -> net.",
        kept=(define(plus("net", "gross", minus=("tax",)), Amount("tax", "percentage", of="gross", percentage=1)),),
    ),
    "template_currencies": RuleSample(
        given=(),
        broken=define(plus("total", "gross", "tax"), fixed("tax", currency="USD")),
        sentence="Amount total mixes EUR and USD; an amount has one currency.",
        kept=(define(plus("total", "gross", "tax"), fixed("tax")),),
    ),
    "template_currency_missing": RuleSample(
        given=(),
        broken=define(fee(Fee(fixed=1), None)),
        sentence="Amount fee has figures of money, so it has to name their currency.",
        kept=(define(fee(tiers(None), None)),),
    ),
    "template_entry_account": RuleSample(
        given=(),
        broken=define(entries=(BOTH[0], replace(BOTH[1], internal="fees"))),
        sentence="Entry 2 names one account: of a parameter, a fixed one, or an internal one.",
        kept=(define(entries=(BOTH[0], replace(BOTH[1], parameter=None, internal="fees"))),),
    ),
    "template_unbalanced": RuleSample(
        given=(),
        broken=define(
            plus("net", "gross", minus=("tax",)),
            fixed("tax"),
            entries=(BOTH[0], replace(BOTH[1], amount="net")),
        ),
        sentence=(
            "The entries do not balance whatever the parameters are: in EUR the credits less the debits are - 0.01."
        ),
        kept=(
            define(
                plus("net", "gross", minus=("tax",)),
                fixed("tax"),
                entries=(BOTH[0], replace(BOTH[1], amount="net"), replace(BOTH[1], amount="tax")),
            ),
        ),
    ),
    "template_unchanged": RuleSample(
        given=(define(),),
        broken=define(),
        sentence="Version 1 of template sale already is what this would define.",
        kept=(define(fixed("x")),),
    ),
    "template_versions": RuleSample(
        given=VERSIONS,
        broken=define(),
        sentence="Template sale has 20 versions that can be posted, and can have no other one; retire one first.",
        kept=(RetireTemplate("sale", 1), define()),
    ),
    "template_retired": RuleSample(
        given=(A, B, define(), define(fixed("x")), RetireTemplate("sale", 1)),
        broken=post(number=1),
        sentence="Version 1 of template sale is retired.",
        kept=(post(number=2),),
    ),
    "template_without_version": RuleSample(
        given=(A, B, define(), RetireTemplate("sale", 1)),
        broken=post(),
        sentence="All versions of template sale are retired; define another one first.",
        kept=(define(), post()),
    ),
    "template_version_unknown": RuleSample(
        given=(A, B, define()),
        broken=post(number=2),
        sentence="Template sale has no version 2; the last one is 1.",
        kept=(post(number=1),),
    ),
    "parameter_unknown": RuleSample(
        given=(A, B, define()),
        broken=post(net="1.00"),
        sentence="Template sale has no parameter net; it has buyer, seller, gross.",
        kept=(post(),),
    ),
    "parameter_missing": RuleSample(
        given=(
            A,
            B,
            moving(Amount("part", "percentage", of="gross", parameter="rate"), moved="part", parameters=(RATE,)),
        ),
        broken=post(),
        sentence="Template sale needs the parameter rate, of type percentage.",
        kept=(post(rate="100"),),
    ),
    "parameter_type": RuleSample(
        given=(A, B, define()),
        broken=post("1.001"),
        sentence="Parameter gross has to be an amount such as '12.30', and the value is not.",
        kept=(post("1.01"),),
    ),
    "parameter_bounds": RuleSample(
        given=(A, B, moving(Amount("all", "product", of="gross", parameter="times"), moved="all", parameters=(TIMES,))),
        broken=post(times=4),
        sentence="Parameter times is from 0 to 3; this is 4.",
        kept=(post(times=3),),
    ),
    "template_amount": RuleSample(
        given=(A, B, moving(plus("more", "gross", "unit"), fixed("unit"), moved="more")),
        broken=post("9999999999999.99"),
        sentence="Amount more would be 10000000000000.00 EUR; the largest is 9999999999999.99.",
        kept=(post("9999999999999.98"),),
    ),
    "template_negative": RuleSample(
        given=(A, B, moving(plus("less", "gross", minus=("fixed",)), fixed("fixed", 100), moved="less")),
        broken=post("0.99"),
        sentence="Amount less would be -0.01 EUR, and an entry cannot be negative.",
        kept=(post("1.01"),),
    ),
    "template_weights": RuleSample(
        given=(A, B, moving(SPLIT, moved="split", parameters=(WEIGHT,))),
        broken=post(weight=0),
        sentence="The weights of amount split are all zero, so nothing can be divided by them.",
        kept=(post(weight=1),),
    ),
}

# A life


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Two templates are defined, revised and retired, and money is moved by them."""
    name = chance.choice(("sale", "salary"))
    known = next((one for one in ledger.of(Template) if one.name == name), None)
    choice = chance.random()
    if known is None or not known.active or choice < 0.1:
        return DefineTemplate(name, _definition(chance))
    if choice < 0.15 or len(known.active) == MOST_ACTIVE:
        return RetireTemplate(name, chance.choice(known.active).number)
    currency = chance.choice(CURRENCIES)
    accounts = [
        one.profile.id for one in ledger.of(Account) if one.profile.currency == currency and not one.profile.internal
    ]
    given = dict(zip(("buyer", "seller"), chance.sample(accounts, 2), strict=True)) if len(accounts) > 1 else {}
    amount = str(chance.randint(1, 900))
    parameters = {**given, "gross": amount, "currency": currency}
    return PostByTemplate(ledger.new_id(TRANSACTION), name, parameters, TODAY, description="a sale")


def _definition(chance: Random) -> Definition:
    """A sale in any currency, with a commission that is rounded, and a split."""
    gross = Parameter("gross", "amount", "currency")
    rate = Parameter("rate", "percentage", default=chance.randint(0, 50) * PER_CENT)
    parts = (Part("first", chance.randint(1, 9)), Part("second", chance.randint(1, 9)))
    amounts = (
        Amount("net", "sum", plus=("gross",), minus=("commission",)),
        Amount("split", "split", of="commission", parts=parts),
        Amount("commission", "percentage", of="gross", parameter="rate"),
    )
    entries = (
        TemplateEntry("debit", "gross", "buyer"),
        TemplateEntry("credit", "net", "seller"),
        TemplateEntry("credit", "first", internal="fees"),
        TemplateEntry("credit", "second", internal="revenue"),
    )
    return Definition("payment", (BUYER, SELLER, Parameter("currency", "currency"), gross, rate), amounts, entries)


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="template.defined.v1",
        stream="template:sale",
        version=1,
        payload='{"definition":{"amounts":[{"currency":null,"fee":null,"fixed":null,"kind":"percentage","minus":[],"name":"commission","of":"gross","parameter":"rate","parts":[],"percentage":null,"plus":[]},{"currency":null,"fee":null,"fixed":null,"kind":"sum","minus":["commission"],"name":"net","of":null,"parameter":null,"parts":[],"percentage":null,"plus":["gross"]},{"currency":null,"fee":null,"fixed":null,"kind":"split","minus":[],"name":"split","of":"commission","parameter":null,"parts":[{"name":"first","weight":8},{"name":"second","weight":7}],"percentage":null,"plus":[]}],"entries":[{"account":null,"amount":"gross","internal":null,"parameter":"buyer","side":"debit"},{"account":null,"amount":"net","internal":null,"parameter":"seller","side":"credit"},{"account":null,"amount":"first","internal":"fees","parameter":null,"side":"credit"},{"account":null,"amount":"second","internal":"revenue","parameter":null,"side":"credit"}],"kind":"payment","parameters":[{"currency":null,"default":null,"least":null,"most":null,"name":"buyer","type":"account"},{"currency":null,"default":null,"least":null,"most":null,"name":"seller","type":"account"},{"currency":null,"default":null,"least":null,"most":null,"name":"currency","type":"currency"},{"currency":"currency","default":null,"least":null,"most":null,"name":"gross","type":"amount"},{"currency":null,"default":28000000,"least":null,"most":null,"name":"rate","type":"percentage"}]},"name":"sale","number":1}',
        means={
            "name": "sale",
            "number": 1,
            "definition": {
                "kind": "payment",
                "parameters": [
                    {
                        "name": "buyer",
                        "type": "account",
                        "currency": None,
                        "least": None,
                        "most": None,
                        "default": None,
                    },
                    {
                        "name": "seller",
                        "type": "account",
                        "currency": None,
                        "least": None,
                        "most": None,
                        "default": None,
                    },
                    {
                        "name": "currency",
                        "type": "currency",
                        "currency": None,
                        "least": None,
                        "most": None,
                        "default": None,
                    },
                    {
                        "name": "gross",
                        "type": "amount",
                        "currency": "currency",
                        "least": None,
                        "most": None,
                        "default": None,
                    },
                    {
                        "name": "rate",
                        "type": "percentage",
                        "currency": None,
                        "least": None,
                        "most": None,
                        "default": 28000000,
                    },
                ],
                "amounts": [
                    {
                        "name": "commission",
                        "kind": "percentage",
                        "fixed": None,
                        "currency": None,
                        "plus": [],
                        "minus": [],
                        "of": "gross",
                        "percentage": None,
                        "parameter": "rate",
                        "fee": None,
                        "parts": [],
                    },
                    {
                        "name": "net",
                        "kind": "sum",
                        "fixed": None,
                        "currency": None,
                        "plus": ["gross"],
                        "minus": ["commission"],
                        "of": None,
                        "percentage": None,
                        "parameter": None,
                        "fee": None,
                        "parts": [],
                    },
                    {
                        "name": "split",
                        "kind": "split",
                        "fixed": None,
                        "currency": None,
                        "plus": [],
                        "minus": [],
                        "of": "commission",
                        "percentage": None,
                        "parameter": None,
                        "fee": None,
                        "parts": [{"name": "first", "weight": 8}, {"name": "second", "weight": 7}],
                    },
                ],
                "entries": [
                    {"side": "debit", "amount": "gross", "parameter": "buyer", "account": None, "internal": None},
                    {"side": "credit", "amount": "net", "parameter": "seller", "account": None, "internal": None},
                    {"side": "credit", "amount": "first", "parameter": None, "account": None, "internal": "fees"},
                    {"side": "credit", "amount": "second", "parameter": None, "account": None, "internal": "revenue"},
                ],
            },
        },
    ),
    StoredEvent(
        type="template.revised.v1",
        stream="template:sale",
        version=3,
        payload='{"definition":{"amounts":[{"currency":null,"fee":null,"fixed":null,"kind":"percentage","minus":[],"name":"commission","of":"gross","parameter":"rate","parts":[],"percentage":null,"plus":[]},{"currency":null,"fee":null,"fixed":null,"kind":"sum","minus":["commission"],"name":"net","of":null,"parameter":null,"parts":[],"percentage":null,"plus":["gross"]},{"currency":null,"fee":null,"fixed":null,"kind":"split","minus":[],"name":"split","of":"commission","parameter":null,"parts":[{"name":"first","weight":5},{"name":"second","weight":1}],"percentage":null,"plus":[]}],"entries":[{"account":null,"amount":"gross","internal":null,"parameter":"buyer","side":"debit"},{"account":null,"amount":"net","internal":null,"parameter":"seller","side":"credit"},{"account":null,"amount":"first","internal":"fees","parameter":null,"side":"credit"},{"account":null,"amount":"second","internal":"revenue","parameter":null,"side":"credit"}],"kind":"payment","parameters":[{"currency":null,"default":null,"least":null,"most":null,"name":"buyer","type":"account"},{"currency":null,"default":null,"least":null,"most":null,"name":"seller","type":"account"},{"currency":null,"default":null,"least":null,"most":null,"name":"currency","type":"currency"},{"currency":"currency","default":null,"least":null,"most":null,"name":"gross","type":"amount"},{"currency":null,"default":41000000,"least":null,"most":null,"name":"rate","type":"percentage"}]},"name":"sale","number":2}',
        means={
            "name": "sale",
            "number": 2,
            "definition": {
                "kind": "payment",
                "parameters": [
                    {
                        "name": "buyer",
                        "type": "account",
                        "currency": None,
                        "least": None,
                        "most": None,
                        "default": None,
                    },
                    {
                        "name": "seller",
                        "type": "account",
                        "currency": None,
                        "least": None,
                        "most": None,
                        "default": None,
                    },
                    {
                        "name": "currency",
                        "type": "currency",
                        "currency": None,
                        "least": None,
                        "most": None,
                        "default": None,
                    },
                    {
                        "name": "gross",
                        "type": "amount",
                        "currency": "currency",
                        "least": None,
                        "most": None,
                        "default": None,
                    },
                    {
                        "name": "rate",
                        "type": "percentage",
                        "currency": None,
                        "least": None,
                        "most": None,
                        "default": 41000000,
                    },
                ],
                "amounts": [
                    {
                        "name": "commission",
                        "kind": "percentage",
                        "fixed": None,
                        "currency": None,
                        "plus": [],
                        "minus": [],
                        "of": "gross",
                        "percentage": None,
                        "parameter": "rate",
                        "fee": None,
                        "parts": [],
                    },
                    {
                        "name": "net",
                        "kind": "sum",
                        "fixed": None,
                        "currency": None,
                        "plus": ["gross"],
                        "minus": ["commission"],
                        "of": None,
                        "percentage": None,
                        "parameter": None,
                        "fee": None,
                        "parts": [],
                    },
                    {
                        "name": "split",
                        "kind": "split",
                        "fixed": None,
                        "currency": None,
                        "plus": [],
                        "minus": [],
                        "of": "commission",
                        "percentage": None,
                        "parameter": None,
                        "fee": None,
                        "parts": [{"name": "first", "weight": 5}, {"name": "second", "weight": 1}],
                    },
                ],
                "entries": [
                    {"side": "debit", "amount": "gross", "parameter": "buyer", "account": None, "internal": None},
                    {"side": "credit", "amount": "net", "parameter": "seller", "account": None, "internal": None},
                    {"side": "credit", "amount": "first", "parameter": None, "account": None, "internal": "fees"},
                    {"side": "credit", "amount": "second", "parameter": None, "account": None, "internal": "revenue"},
                ],
            },
        },
    ),
    StoredEvent(
        type="template.retired.v1",
        stream="template:sale",
        version=2,
        payload='{"name":"sale","newest":null,"number":1}',
        means={"name": "sale", "number": 1, "newest": None},
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
