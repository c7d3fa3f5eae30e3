"""Samples of refusals. They have no commands of their own: the executor records them."""

from __future__ import annotations

from tests.samples.sample import Samples, StoredEvent, World

ID = "refusal_01m7xye322ewkrackt3th99f5h"


def one(world: World) -> str:
    return world.refused("orders", {"customer": "customer-1", "currency": "EUR", "lines": []})


EVENTS = (
    StoredEvent(
        "command.refused.v1",
        ID,
        1,
        '{"actor":"tester","command":"ConfirmOrder","figures":{"order":"ord_1","required":"placed","status":"paid",'
        '"verb":"confirmed"},"key":"key-1","rule":"order_status"}',
        {
            "actor": "tester",
            "command": "ConfirmOrder",
            "figures": {"order": "ord_1", "required": "placed", "status": "paid", "verb": "confirmed"},
            "key": "key-1",
            "rule": "order_status",
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules={}, routes={}, life=None)
