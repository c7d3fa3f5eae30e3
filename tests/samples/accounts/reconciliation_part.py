"""Samples of the parts of statements that are reconciled."""

from __future__ import annotations

from domain.accounts.reconciliation.statement import part_stream
from tests.samples.accounts import reconciliation
from tests.samples.sample import Samples, StoredEvent, World


def one(world: World) -> str:
    """A part of a statement."""
    return part_stream(reconciliation.one(world), 1)


# Events as they were stored

EVENTS = (
    StoredEvent(
        type="reconciliation.lines_matched.v1",
        stream="reconprt_4mjdctp9f9bxdr801pahnhapdp",
        version=2,
        payload='{"lines":[{"match":"reconmch_0000000000000000000000006v","number":1}],"reconciliation":"recon_0000000000000000000000005c"}',
        means={
            "reconciliation": "recon_0000000000000000000000005c",
            "lines": [{"number": 1, "match": "reconmch_0000000000000000000000006v"}],
        },
    ),
    StoredEvent(
        type="reconciliation.part_listed.v1",
        stream="reconprt_6750etdxmea9bbhn58nkx3scj7",
        version=1,
        payload='{"counterparties":"2.g9Io5PeV2glje13atPhielKVIncnWomO3rl0KnZpJIfUbcrvhHa3GqWFResS","currency":"EUR","first":1,"lines":[{"amount":99900,"bank_reference":"txn_0000000000000000000000003j","booked_on":"2026-11-21","references":[],"value_date":"2026-11-21"}],"mirrored":false,"reconciliation":"recon_0000000000000000000000008y","subject":"owner-1","texts":"2.ioi2xf2-LkD63u1RdGpQLhwTfLPbfBB0PTzfhMjWFwjXUPEq5jFylJsUuhDP7EQ="}',
        means={
            "reconciliation": "recon_0000000000000000000000008y",
            "currency": "EUR",
            "mirrored": False,
            "first": 1,
            "lines": [
                {
                    "booked_on": "2026-11-21",
                    "value_date": "2026-11-21",
                    "amount": 99900,
                    "references": [],
                    "bank_reference": "txn_0000000000000000000000003j",
                }
            ],
            "subject": "owner-1",
            "counterparties": ["Ada\tLovelace"],
            "texts": ["for\tthe engine"],
        },
    ),
    StoredEvent(
        type="reconciliation.lines_unmatched.v1",
        stream="reconprt_4mjdctp9f9bxdr801pahnhapdp",
        version=3,
        payload='{"match":"reconmch_0000000000000000000000006v","numbers":[1],"reconciliation":"recon_0000000000000000000000005c"}',
        means={
            "reconciliation": "recon_0000000000000000000000005c",
            "match": "reconmch_0000000000000000000000006v",
            "numbers": [1],
        },
    ),
)

SAMPLES = Samples(events=EVENTS, one=one, rules={}, routes={}, life=None)
