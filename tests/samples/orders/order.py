"""Samples of orders."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

from domain.accounts.account.state import Account
from domain.accounts.transaction import TRANSACTION
from domain.codes import MOST_PAIRS, Metadata
from domain.money import MAX_AMOUNT
from domain.orders.order import (
    MOST_LINES,
    MOST_QUANTITY,
    ORDER,
    CancelOrder,
    ConfirmOrder,
    Order,
    OrderLine,
    PayOrder,
    PlaceOrder,
)
from tests.samples.accounts import account
from tests.samples.sample import Request, RuleSample, Samples, StoredEvent, World, no_code
from tests.support.memory_ledger import TODAY, MemoryLedger

# Requests

LINE = {"sku": "85123A", "name": "Hanging heart", "quantity": 6, "unit_price": "2.55"}
PLACED = {
    "customer": "customer-1",
    "currency": "EUR",
    "lines": [LINE],
    "reference": "536365",
    "metadata": {"channel": "web"},
}


def one(world: World) -> str:
    """An order that was placed."""
    id: str = world.do("orders", PLACED)["order"]
    return id


def confirmed(world: World) -> str:
    order = one(world)
    world.do(f"orders/{order}/confirm")
    return order


ROUTES = {
    "/v1/orders": lambda world: Request({}, PLACED),
    "/v1/orders/{order}/confirm": lambda world: Request({"order": one(world)}, {}),
    "/v1/orders/{order}/pay": lambda world: Request(
        {"order": confirmed(world)}, {"account": account.with_balance(world, "100.00"), "reference": "inv-7"}
    ),
    "/v1/orders/{order}/cancel": lambda world: Request({"order": one(world)}, {"reason": "Changed my mind"}),
}

# Rules


NO_PAIRS: Metadata = {}


def place(
    *lines: OrderLine, order: str = "ord_1", customer: str = "customer-1", metadata: Metadata = NO_PAIRS
) -> PlaceOrder:
    return PlaceOrder(order, customer, "EUR", lines, metadata=metadata)


THING = OrderLine("sku", "thing", 1, 1)


def at(price: int) -> OrderLine:
    """A line that comes to this."""
    return OrderLine("sku", "thing", 1, price)


RULES = {
    "not_a_code": no_code(
        "customer", place(THING, customer="ada@example.com"), place(THING, customer="ada:example.com")
    ),
    "metadata_pairs": RuleSample(
        given=(),
        broken=place(THING, metadata={f"key-{n}": "1" for n in range(MOST_PAIRS + 1)}),
        sentence="The metadata has 21 pairs; the most is 20.",
        kept=(place(THING, metadata={f"key-{n}": "1" for n in range(MOST_PAIRS)}),),
    ),
    "order_exists": RuleSample(
        given=(place(THING),),
        broken=place(THING),
        sentence="Order ord_1 exists already.",
        kept=(place(THING, order="ord_2"),),
    ),
    "order_status": RuleSample(
        given=(place(THING), ConfirmOrder("ord_1"), place(THING, order="ord_2")),
        broken=ConfirmOrder("ord_1"),
        sentence="Order ord_1 is confirmed; only an order that is placed can be confirmed.",
        kept=(ConfirmOrder("ord_2"),),
    ),
    "order_line_count": RuleSample(
        given=(),
        broken=place(*[THING] * (MOST_LINES + 1)),
        sentence="An order has 1 to 500 lines; this one has 501.",
        kept=(place(*[THING] * MOST_LINES),),
    ),
    "order_line_quantity": RuleSample(
        given=(),
        broken=place(OrderLine("sku", "thing", MOST_QUANTITY + 1, 1)),
        sentence="Line 1 has a quantity of 1000001; a line is for 1 to 1000000.",
        kept=(place(OrderLine("sku", "thing", MOST_QUANTITY, 1)),),
    ),
    "order_line_amount": RuleSample(
        given=(),
        broken=place(THING, at(MAX_AMOUNT + 1)),
        sentence="Line 2 comes to 10000000000000.00 EUR; a line is 0.01 to 9999999999999.99.",
        kept=(place(at(MAX_AMOUNT)),),
    ),
    "order_total": RuleSample(
        given=(),
        broken=place(at(MAX_AMOUNT), THING),
        sentence="The order comes to 10000000000000.00 EUR; the most is 9999999999999.99.",
        kept=(place(at(MAX_AMOUNT - 1), THING),),
    ),
}

# A life

LINES = (
    OrderLine("sku-1", "Näme\t1", 2, 150),
    OrderLine("sku-2", "b\\n", 1, 99),
    OrderLine("sku-3", "gold", 1, 10**14),
)


def life(ledger: MemoryLedger, chance: Random) -> Any:
    """Orders of a few customers; most are confirmed, and paid by whoever has the money."""
    orders = [order for order in ledger.of(Order) if order.status in ("placed", "confirmed")]
    if not orders or chance.random() < 0.3:
        lines = tuple(chance.choice(LINES) for _ in range(chance.randint(1, 3)))
        reference = chance.choice((None, "a/reference"))
        metadata = {"channel": "web", "a.key": "a:value"} if reference is None else {}
        return PlaceOrder(ledger.new_id(ORDER), f"customer-{chance.randint(1, 3)}", "EUR", lines, reference, metadata)
    order = chance.choice(orders)
    if chance.random() < 0.1:
        return CancelOrder(order.id, "changed\ntheir mind")
    payers = [
        one.profile.id for one in ledger.of(Account) if one.profile.currency == "EUR" and not one.profile.internal
    ]
    if order.status == "placed" or not payers or chance.random() < 0.1:
        return ConfirmOrder(order.id)
    day = TODAY - timedelta(days=chance.randrange(4))
    return PayOrder(order.id, chance.choice(payers), ledger.new_id(TRANSACTION), day)


# Events as they were stored

EVENTS = (
    StoredEvent(
        "order.placed.v1",
        "ord_01m7xye322ewkrackt3th99f5h",
        1,
        '{"currency":"GBP","customer":"customer-1","lines":[{"name":"White hanging heart","quantity":6,"sku":"85123A","unit_price":255}],"reference":"536365","total":1530}',
        {
            "customer": "customer-1",
            "currency": "GBP",
            "lines": [{"sku": "85123A", "quantity": 6, "unit_price": 255}],
            "names": ["White hanging heart"],
            "total": 1530,
            "reference": "536365",
            "metadata": {},
        },
    ),
    StoredEvent(
        "order.confirmed.v1",
        "ord_01m7xye322ewkrackt3th99f5h",
        2,
        "{}",
        {},
    ),
    StoredEvent(
        "order.cancelled.v1",
        "ord_01m7xye322ewkrackt3th99f5h",
        3,
        '{"customer":"customer-1","reason":"whF8WbdyHWHmyJBQmVHjI6Gi9AYXFX7hhla-KEN_lEXaSrVIzFvzssh-XXGTzA=="}',
        {"customer": "customer-1", "reason": "Changed their mind"},
    ),
    StoredEvent(
        "order.paid.v1",
        "ord_01m7xye322ewkrackt3th99f5h",
        3,
        '{"account":"acct_01m7xye22needsfrayavc4db6g","amount":1530,"currency":"GBP","transaction":"txn_01m7xye322ewkrackt3th99f5h"}',
        {
            "transaction": "txn_01m7xye322ewkrackt3th99f5h",
            "account": "acct_01m7xye22needsfrayavc4db6g",
            "amount": 1530,
            "currency": "GBP",
        },
    ),
    StoredEvent(
        "order.cancelled.v1",
        "ord_01m7xye322ewkrackt3th99f5h",
        3,
        '{"customer":"customer-1","reason":"2.PE82fChAjmupkTIfotBB62TrBQM4uI_f8vucn8zX0m3xbp1I6blXDrNnHcyBOA=="}',
        {"customer": "customer-1", "reason": "Changed their mind"},
    ),
    StoredEvent(
        "order.placed.v2",
        "ord_0000000000000000000000000n",
        1,
        '{"currency":"EUR","customer":"customer-1","lines":[{"quantity":2,"sku":"sku-1","unit_price":150},{"quantity":1,"sku":"sku-3","unit_price":100000000000000},{"quantity":2,"sku":"sku-1","unit_price":150}],"metadata":{"a.key":"a:value","channel":"web"},"names":"2.GzcAhDVEvHuX5rNGg0Hxh-HfZnYRp-jf52vcAPUtSyZM_rE0avAbXby-iwZUP1CvW8mx_CLXuQ8o5g==","reference":"a/reference","total":100000000000600}',
        {
            "customer": "customer-1",
            "currency": "EUR",
            "lines": [
                {"sku": "sku-1", "quantity": 2, "unit_price": 150},
                {"sku": "sku-3", "quantity": 1, "unit_price": 100000000000000},
                {"sku": "sku-1", "quantity": 2, "unit_price": 150},
            ],
            "names": ["Näme\t1", "gold", "Näme\t1"],
            "total": 100000000000600,
            "reference": "a/reference",
            "metadata": {"channel": "web", "a.key": "a:value"},
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules=RULES, routes=ROUTES, life=life)
