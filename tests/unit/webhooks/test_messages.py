"""Signatures, bodies and pauses."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from uuid import UUID

import orjson
import pytest

from eventstore.webhooks.outgoing import Outgoing
from eventstore.webhooks.signatures import secret_of, signatures
from workers.webhooks.messages import body_of, message_of
from workers.webhooks.pausing import FIRST_PAUSE, LONGEST_PAUSE, SPREAD, pause_after

LOG = UUID("018f3e1c-0000-7000-8000-000000000001")
AT = datetime(2026, 11, 21, 12, 0, 0, 5, tzinfo=UTC)
EVENT = Outgoing(7, "ord_1", 2, "order.paid.v1", AT, 0, b'{"b":1,"a":"2.sealed"}')

# The example of the specification: https://github.com/standard-webhooks/standard-webhooks
SECRET = "plJ3nmyCDGBKInavdOK15jsl"
SIGNATURE = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="
PING = b'{"event_type":"ping","data":{"success":true}}'


def test_a_signature_is_that_of_the_specification() -> None:
    key = base64.b64decode(SECRET)
    assert signatures([key], "msg_loFOjxBNrRLzqYUf", 1731705121, PING) == SIGNATURE
    assert secret_of(key).reveal() == f"whsec_{SECRET}"


def test_each_key_signs() -> None:
    first, second = signatures([b"a" * 32, b"b" * 32], "x:1", 5, b"{}").split(" ")
    assert first == signatures([b"a" * 32], "x:1", 5, b"{}")
    assert second == signatures([b"b" * 32], "x:1", 5, b"{}")
    assert first != second


@pytest.mark.parametrize(("id", "timestamp", "body"), [("x:2", 5, b"{}"), ("x:1", 6, b"{}"), ("x:1", 5, b"{ }")])
def test_id_time_and_body_are_signed(id: str, timestamp: int, body: bytes) -> None:
    key = b"a" * 32
    assert signatures([key], id, timestamp, body) != signatures([key], "x:1", 5, b"{}")


def test_the_repr_of_a_secret_does_not_show_it() -> None:
    secret = secret_of(b"a" * 32)
    assert secret.reveal() not in repr(secret)


def test_a_body_is_a_cloud_event_with_the_stored_bytes() -> None:
    body = body_of(EVENT, LOG)
    assert body.endswith(b',"data":{"b":1,"a":"2.sealed"}}'), "the payload is not parsed and written anew"
    assert orjson.loads(body) == {
        "specversion": "1.0",
        "id": "7",
        "source": f"urn:daybook:log:{LOG}",
        "type": "order.paid.v1",
        "time": "2026-11-21T12:00:00.000005Z",
        "subject": "ord_1",
        "streamversion": 2,
        "datacontenttype": "application/json",
        "data": {"b": 1, "a": "2.sealed"},
    }


def test_a_payload_that_is_no_json_is_base64() -> None:
    body = orjson.loads(body_of(EVENT._replace(encoding=1, payload=b"\x00\xff"), LOG))
    assert (body["data_base64"], body["datacontenttype"]) == ("AP8=", "application/octet-stream")
    assert "data" not in body


def test_a_message_names_the_webhook_and_the_position() -> None:
    message = message_of("whk_1", EVENT, LOG, [b"a" * 32], AT)
    assert message.headers["webhook-id"] == "whk_1:7"
    assert message.headers["webhook-timestamp"] == str(int(AT.timestamp()))
    expected = signatures([b"a" * 32], "whk_1:7", int(AT.timestamp()), message.body)
    assert message.headers["webhook-signature"] == expected
    assert message.headers["content-type"].startswith("application/cloudevents+json")


def test_pauses_double_up_to_their_bound() -> None:
    pauses = [pause_after(failures, 0.5) for failures in range(1, 20)]
    assert pauses[:4] == [FIRST_PAUSE * 2**n for n in range(4)]
    assert pauses[-1] == LONGEST_PAUSE
    assert pauses == sorted(pauses)
    assert pause_after(1_000_000, 0.5) == LONGEST_PAUSE


def test_chance_moves_a_pause_by_a_part_of_it() -> None:
    low, high = pause_after(3, 0.0), pause_after(3, 1.0)
    usual = pause_after(3, 0.5)
    assert (low, high) == (usual * (1 - SPREAD), usual * (1 + SPREAD))
    assert timedelta() < low < usual < high
