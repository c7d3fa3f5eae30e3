"""Measures the heads of streams: how long a commitment takes, of all streams and of some, and how long a proof."""

from __future__ import annotations

from random import Random
from time import perf_counter, perf_counter_ns
from typing import Any

import psycopg
from psycopg import Connection

from bench.harness.ledger import LOG
from bench.harness.load import Sample, measurement
from bench.harness.oracle import WrongError
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import Database, Server
from bench.harness.settings import Settings
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from eventstore.proof.heads import Head, Heads, heads_by_bucket, key_of, root_of_buckets, verify_head
from eventstore.proof.store import StoredCheckpoint, head_proof, keep_checkpoint
from workers.clock_and_ids import now
from workers.proof.heads import HEADS_WINDOW, bring_heads

STREAMS, QUICK_STREAMS = 1_000_000, 5_000
CHANGED, QUICK_CHANGED = 10_000, 100
PROOFS, QUICK_PROOFS = 2_000, 50
MOST_MS = 5.0
"""Of a proof, which are asked for."""

# Streams of one event each, with names as long as those of accounts, or one event more of every n-th stream.
_EVENTS = """
INSERT INTO log.events (log, position, unit_end, stream, version, type, recorded_at, encoding, payload, metadata)
SELECT %(log)s, %(after)s + n, %(after)s + n, 'acct_' || lpad(((n - 1) * %(step)s)::text, 26, '0'), %(version)s,
       'invented.v1', now(), 0, '{}', '{}'
  FROM generate_series(1, %(number)s) AS n
"""
_HEADS = """
SELECT stream, max(version), max(position) FROM log.events WHERE log = %s AND position <= %s GROUP BY stream
"""


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Commit to many invented streams, then to some of them that grew in each repetition; read proofs at last."""
    quick = settings.quick
    streams, changed = (QUICK_STREAMS, QUICK_CHANGED) if quick else (STREAMS, CHANGED)
    with server.database() as database, psycopg.connect(database.url, autocommit=True) as owner:
        with connect(database.api_url, application_name="bench-heads") as api:
            api.execute("SELECT log.create_log(%s)", (LOG,))
            log_number = read_head(api, LOG).log_number
        with connect(database.settings.sealer_url(), application_name="bench-sealer") as sealer:
            size = _append(owner, log_number, 0, streams, 1, 1)
            milliseconds, heads = _commit(sealer, log_number, size)
            all_of_them, some = [milliseconds], []
            for repetition in range(settings.repetitions):
                size = _append(owner, log_number, size, changed, streams // changed, repetition + 2)
                milliseconds, heads = _commit(sealer, log_number, size)
                some.append(milliseconds)
        _check(owner, log_number, size, heads)
        proofs = _proofs(settings, database, log_number, streams, heads, QUICK_PROOFS if quick else PROOFS)
    measured = [
        Measurement("commitment to all streams", {"streams": streams}, "ms", all_of_them),
        Measurement("commitment after some streams grew", {"streams": streams, "changed": changed}, "ms", some),
        proofs,
    ]
    assert proofs.latency is not None, "proofs have latencies"
    return ScenarioResult(
        "heads",
        "The heads of streams",
        "The events are invented: one for each stream, and then one more for some of the streams. A commitment reads "
        "which streams changed, merges their heads, stores buckets and tiles, and ends with the root; signing is not "
        "part of it. A proof is read by one statement, of a random stream, one after another. PostgreSQL shares the "
        "cores.",
        measured,
        [Comparison("p99 of a proof, in ms", proofs.latency.p99, at_most=MOST_MS)],
        ["the root is that of the heads of the log, computed at once", "each proof leads to the root"],
    )


def _append(owner: Connection[Any], log_number: int, after: int, number: int, step: int, version: int) -> int:
    """Events up to a later position, which counts as sealed. Returns that position."""
    values = {"log": log_number, "after": after, "number": number, "step": step, "version": version}
    owner.execute(_EVENTS, values)
    upto = after + number
    owner.execute("UPDATE log.logs SET position = %s WHERE log = %s", (upto, log_number))
    owner.execute(
        "INSERT INTO proof.trees (log, origin, size) VALUES (%s, 'bench', %s) "
        "ON CONFLICT (log) DO UPDATE SET size = excluded.size",
        (log_number, upto),
    )
    owner.execute("VACUUM (ANALYZE) log.events, proof.heads, proof.head_tiles")  # autovacuum would do this
    owner.execute("CHECKPOINT")
    return upto


def _commit(sealer: Connection[Any], log_number: int, size: int) -> tuple[float, Heads]:
    """Milliseconds until the root is known, and what is committed to."""
    began = perf_counter()
    heads = bring_heads(sealer, log_number, size, HEADS_WINDOW, lambda: True)
    milliseconds = round((perf_counter() - began) * 1_000, 1)
    if heads is None or not keep_checkpoint(sealer, log_number, StoredCheckpoint(size, bytes(32), "-", now()), heads):
        raise WrongError(f"the heads after position {size} were not kept")
    return milliseconds, heads


def _check(owner: Connection[Any], log_number: int, size: int, heads: Heads) -> None:
    rows = owner.execute(_HEADS, (log_number, size)).fetchall()
    root = root_of_buckets(heads_by_bucket([Head(key_of(stream), *head) for stream, *head in rows]))
    if heads != Heads(len(rows), root):
        raise WrongError(f"the log has other heads at {size} than were stored")


def _proofs(
    settings: Settings, database: Database, log_number: int, streams: int, heads: Heads, number: int
) -> Measurement:
    random, latencies = Random(settings.seed), []
    with connect(database.settings.query_url(), application_name="bench-heads") as connection:
        for _ in range(number):
            stream = f"acct_{random.randrange(streams):026}"
            began = perf_counter_ns()
            proof = head_proof(connection, log_number, stream)
            latencies.append((perf_counter_ns() - began) // 1_000)
            if proof is None:
                raise WrongError("a stream has no head")
            verify_head(proof, heads.root)
    sample = Sample(number, sum(latencies) / 1e6, latencies)
    return measurement("proof of a head", {"streams": streams}, "proofs/s", [sample])
