"""Measures the transparency log: how fast a log is sealed, what a sealer costs appends, and proofs from large trees.

The large trees are synthetic: their leaves are no events. Reading a proof does not touch the log.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from random import Random
from statistics import median
from time import perf_counter_ns

import orjson
import psycopg

from bench.harness import history, open_loop, oracle, process, wrk
from bench.harness.api_process import TOKEN
from bench.harness.ledger import LOG
from bench.harness.load import LONGEST_US, Sample, measurement, percentiles
from bench.harness.open_loop import COMMAND, CONNECTIONS, HALF
from bench.harness.result import Comparison, Measurement, ScenarioResult
from bench.harness.server import MASTER_KEY, Database, Server
from bench.harness.serving import Serving, serving
from bench.harness.settings import Settings
from eventstore.log.read import read_head
from eventstore.postgres.connect import connect
from eventstore.proof.checkpoints import Checkpoint, open_checkpoint
from eventstore.proof.merkle import HASH_BYTES, verify_inclusion
from eventstore.proof.store import StoredCheckpoint, begin_tree, keep_checkpoint, last_checkpoint
from eventstore.proof.tiles import Edge
from workers.proof.heads import HEADS_WINDOW
from workers.proof.sealer import Sealer, signers_of

BLOCKS, QUICK_BLOCKS = 300, 5
"""Of `bench.harness.history`, about a thousand events each."""
FASTEST = 60_000
"""Events a second that are asked for."""
HEADS_TOO = {"sealing a stored log": False, "the same, with heads of streams": True}
HEADS_PACE = timedelta(minutes=10)
PAIRS, QUICK_PAIRS = 7, 1
MOST_RATIO = 1.10
"""Of the p99 of transfers with a sealer to that without one, which is asked for."""
SIZES, QUICK_SIZES = (1_000_000, 10_000_000), (100_000,)
PROOFS, QUICK_PROOFS = 2_000, 50
MOST_MS, MOST_BYTES = 5.0, 2_048.0
"""Of a proof, which are asked for."""
ORIGIN, KEY = "daybook.example/bench", b"k" * 32
CHUNK = 100_000
"""Leaves of a synthetic tree that are added at once."""
WITHOUT, WITH = "no sealer", "sealer, a checkpoint a second"
_TREE = "TRUNCATE proof.trees, proof.tiles, proof.keys, proof.checkpoints, proof.heads, proof.head_tiles"
_SIGNED = "SELECT (SELECT max(size) FROM proof.checkpoints) = (SELECT position FROM log.logs WHERE name = %s)"


def run(settings: Settings, server: Server) -> ScenarioResult:
    """Seal a stored log in each repetition; measure pairs of loads; read proofs from trees of several sizes."""
    quick = settings.quick
    with server.database() as database:
        loaded = history.load(database, QUICK_BLOCKS if quick else BLOCKS, Random(settings.seed))
        checked = oracle.check(database.url, loaded.commands)
        rates: dict[str, list[float]] = {subject: [] for subject in HEADS_TOO}
        for _ in range(settings.repetitions):
            for subject, heads in HEADS_TOO.items():
                rates[subject].append(round(loaded.events / _seal(database, heads=heads), 1))
    measured = [Measurement(subject, {"events": loaded.events}, "events/s", each) for subject, each in rates.items()]
    pairs, at_load = _appends(settings, server, QUICK_PAIRS if quick else PAIRS)
    measured += at_load
    comparisons = [
        Comparison("events sealed a second", measured[0].median, FASTEST),
        Comparison("p99 of transfers, with a sealer ÷ without, median of the pairs", pairs, at_most=MOST_RATIO),
    ]
    for size in QUICK_SIZES if quick else SIZES:
        proofs, longest = _proofs(settings, server, size, QUICK_PROOFS if quick else PROOFS)
        measured.append(proofs)
        assert proofs.latency is not None, "proofs have latencies"
        comparisons += [
            Comparison(f"median of a proof from {size:,} leaves, in ms", proofs.latency.p50, at_most=MOST_MS),
            Comparison(f"longest answer with a proof from {size:,} leaves, in bytes", longest, at_most=MOST_BYTES),
        ]
    return ScenarioResult(
        "sealing",
        "The transparency log",
        "A stored log is sealed by one process, without the start of it; the heads of its streams have a scenario of "
        "their own. Then transfers come over HTTP to one API "
        "process at half of its capacity, in pairs of two runs, which change places from pair to pair: one with a "
        "sealer beside it, which signs a checkpoint a second, and one without. Client, API, sealer and PostgreSQL "
        "share the cores. At last inclusion proofs are asked for over HTTP, one after another, of random leaves of a "
        "synthetic tree; an answer has the proof, the root and the checkpoint.",
        measured,
        comparisons,
        [*checked, "each checkpoint is signed, and each proof leads to its root"],
    )


def _seal(database: Database, *, heads: bool) -> float:
    """Seconds to seal the whole log and to sign it. Without heads, the checkpoint may not wait for those."""
    with psycopg.connect(database.url, autocommit=True) as owner:
        owner.execute(_TREE)
    with connect(database.settings.sealer_url(), application_name="bench-sealer") as connection:
        head = read_head(connection, LOG)
        signers = signers_of(ORIGIN, [KEY])
        pace, heads_window = (HEADS_PACE, HEADS_WINDOW) if heads else (timedelta(0), 1)
        sealer = Sealer(
            connection, LOG, head.log_number, signers, lambda: datetime.now(UTC), pace, HEADS_PACE,
            heads_window=heads_window,
        )  # fmt: skip
        began = perf_counter_ns()
        sealer.turn()
        seconds = (perf_counter_ns() - began) / 1e9
        last = last_checkpoint(connection, head.log_number)
    if last is None or last.size != head.position:
        raise oracle.WrongError(f"the log of {head.position} events was not sealed to its end")
    return seconds


def _appends(settings: Settings, server: Server, pairs: int) -> tuple[float, list[Measurement]]:
    """The median of the ratios of p99, and the measurements of all runs with and without a sealer."""
    samples: dict[str, list[Sample]] = {WITHOUT: [], WITH: []}
    with server.database() as database:
        with serving(database, server.folder, settings) as served:
            load = wrk.Load(served.address, CONNECTIONS, served.accounts, "/v1/transfers", "capacity", settings.seed)
            capacity = wrk.run(load, 2 * settings.seconds)
            answered = served.commands + capacity.answered
            for pair in range(pairs):
                for kind in (WITHOUT, WITH) if pair % 2 else (WITH, WITHOUT):
                    with _sealer(database) if kind == WITH else nullcontext():
                        plan = open_loop.half_of(capacity, _named(served, settings, pair, kind), 4 * settings.seconds)
                        sample = open_loop.run(plan)[COMMAND]
                    answered += sample.answered
                    samples[kind].append(sample)
        oracle.check(database.url, answered, unanswered=CONNECTIONS)
    p99 = {kind: [percentiles([one.latencies_us]).p99 for one in of_kind] for kind, of_kind in samples.items()}
    ratios = [sealed / alone for sealed, alone in zip(p99[WITH], p99[WITHOUT], strict=True)]
    return round(median(ratios), 3), [
        measurement(f"transfers, {kind}", {"load": HALF}, "transfers/s", of_kind) for kind, of_kind in samples.items()
    ]


def _named(served: Serving, settings: Settings, pair: int, kind: str) -> wrk.Load:
    name = f"{'sealed' if kind == WITH else 'alone'}-{pair}"
    return wrk.Load(served.address, CONNECTIONS, served.accounts, "/v1/transfers", name, settings.seed + pair)


@contextmanager
def _sealer(database: Database) -> Iterator[None]:
    """Run a sealer as it is deployed. It has signed the head at the start."""
    environment = {
        "DATABASE_URL": database.url,
        "DAYBOOK_MASTER_KEY": MASTER_KEY,
        "DAYBOOK_PROOF_KEY": b64encode(KEY).decode(),
        "DAYBOOK_PROOF_ORIGIN": ORIGIN,
        "DAYBOOK_PROOF_SECONDS": "1",
    }
    with (
        psycopg.connect(database.url, autocommit=True) as connection,
        process.running("workers.cli", "seal", environment=environment, ready=lambda: _is_signed(connection)),
    ):
        yield


def _is_signed(connection: psycopg.Connection) -> bool:
    return connection.execute(_SIGNED, (LOG,)).fetchone() == (True,)


def _proofs(settings: Settings, server: Server, size: int, number: int) -> tuple[Measurement, float]:
    """The times of proofs from a synthetic tree of this size, and the bytes of the longest answer."""
    random = Random(settings.seed)
    with server.database() as database, serving(database, server.folder, settings) as served:
        _plant(database, size, random)
        took, longest = [], 0
        with closing(HTTPConnection(served.address.removeprefix("http://"))) as connection:
            for position in random.sample(range(1, size + 1), number):
                began = perf_counter_ns()
                answer = _ask(connection, f"/v1/proof/inclusion?position={position}")
                took.append((perf_counter_ns() - began) // 1_000)
                longest = max(longest, len(answer))
                _verify(orjson.loads(answer), position, size)
    assert max(took) < LONGEST_US
    rate = round(number / sum(took) * 1e6, 1)
    return Measurement("inclusion proofs", {"leaves": size}, "proofs/s", [rate], percentiles([took])), float(longest)


def _plant(database: Database, size: int, random: Random) -> None:
    """Put a tree of random leaves into the database, with its checkpoint."""
    edge = Edge()
    signers = signers_of(ORIGIN, [KEY])
    with psycopg.connect(database.url, autocommit=True) as owner:
        log_number = read_head(owner, LOG).log_number
        begin_tree(owner, log_number, ORIGIN)
        tiles: dict[tuple[int, int], bytes] = {}
        with owner.cursor().copy("COPY proof.tiles FROM STDIN (FORMAT binary)") as copy:
            copy.set_types(["int4", "int2", "int8", "bytea"])
            while edge.size < size:
                leaves = random.randbytes(min(CHUNK, size - edge.size) * HASH_BYTES)
                for level, tile, hashes in edge.append(leaves):
                    tiles[level, tile] = tiles.get((level, tile), b"") + hashes
                last = edge.size >= size
                for place in [one for one, hashes in tiles.items() if last or len(hashes) == 256 * HASH_BYTES]:
                    copy.write_row((log_number, *place, tiles.pop(place)))
        owner.execute("UPDATE proof.trees SET size = %s WHERE log = %s", (size, log_number))
        owner.execute("VACUUM (ANALYZE) proof.tiles")
        note = str(Checkpoint(ORIGIN, size, edge.root()).sign(signers))
        keep_checkpoint(owner, log_number, StoredCheckpoint(size, edge.root(), note, datetime.now(UTC)))


def _ask(connection: HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise oracle.WrongError(f"{answer.status} to {path}: {body.decode()}")
    return body


def _verify(answer: Mapping[str, object], position: int, size: int) -> None:
    """Raise unless the answer is a proof up to the signed root."""
    checkpoint = open_checkpoint(str(answer["checkpoint"]).encode(), ORIGIN, [signers_of(ORIGIN, [KEY])[0].verifier])
    proof = answer["proof"]
    assert isinstance(proof, list)
    leaf = _hash(answer["leaf"])
    verify_inclusion(position - 1, size, leaf, [_hash(one) for one in proof], checkpoint.checkpoint.root)


def _hash(text: object) -> bytes:
    return b64decode(str(text))
