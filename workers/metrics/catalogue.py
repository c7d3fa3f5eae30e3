"""The catalogue of metrics: each has a name, a kind, a sentence, and labels with few values.

`docs/reference/metrics.md` is written from it, and the figures are shown with it. Names follow the conventions of
Prometheus: base units, `_seconds`, and `_total` for what only grows. No label has a value that clients choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]
Process = Literal["api", "projector", "processes", "topics", "webhooks", "batches", "sealer", "asker"]

API: Final[tuple[Process, ...]] = ("api",)
EXECUTORS: Final[tuple[Process, ...]] = ("api", "topics", "batches")
TOPICS: Final[tuple[Process, ...]] = ("topics",)
PROJECTOR: Final[tuple[Process, ...]] = ("projector",)
PROCESSES: Final[tuple[Process, ...]] = ("processes",)
WEBHOOKS: Final[tuple[Process, ...]] = ("webhooks",)
SEALER: Final[tuple[Process, ...]] = ("sealer",)
ASKER: Final[tuple[Process, ...]] = ("asker",)
EACH: Final[tuple[Process, ...]] = ("api", "projector")

LABELS: Final[Mapping[str, str]] = {
    "outcome": "`accepted`, `refused`, `expectation_failed`, `unknown`, `key_reused`, `forbidden`; `replayed` is a "
    "retry that got the recorded answer, and `dry_run` a command that was only tried; without an answer "
    "`contention`, `unavailable`, `fault`, `rejected`, `newer_event`, or "
    "`failed`",
    "rule": "the code of the [rule](rules.md) that refused; empty for each other outcome; `other` for a rule that is "
    "not in the catalogue",
    "reason": "`queue_full` or `principal_busy`; of witnesses `away`: no answer that is of use; `refused`: it does not "
    "cosign this log; `wrong`: its answer is false; `ahead`: it has signed a tree that is not there; `back`: it has "
    "forgotten one; `inconsistent`: it says that the log does not continue what it signed",
    "code": "the code of the [problem](problems.md): `unauthenticated`, `token_expired`, `session_ended`, "
    "`sign_in_failed`, `code_needed`, `forbidden` or `wrong_tokens`",
    "pool": "`reads` or `numbers`",
    "projection": "a projection of [the read models](read-models.md)",
    "witness": "the name of a witness of the settings",
    "manager": "a process manager, such as `publication`",
    "topic": "a topic that the log is published to; there are none without Kafka",
    "result": "of records of topics `answered`, or `left_out`: a record without a valid key, whose answer nobody would "
    "find; of deliveries `taken` or `failed`",
    "status": "of processes `waiting`, `working` or `attention`; of mails `waiting`, or `failed` and tried again; of "
    "webhooks `active` or `disabled`",
}
"""The values of each label."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. `processes` are those that show it."""

    name: str
    kind: Kind
    help: str
    processes: tuple[Process, ...]
    labels: tuple[str, ...] = ()


COMMANDS = Metric(
    "daybook_commands_total",
    "counter",
    "Commands that were queued, by what became of them",
    EXECUTORS,
    ("outcome", "rule"),
)
TURNED_AWAY = Metric(
    "daybook_commands_turned_away_total",
    "counter",
    "Commands that were not queued: too many wait",
    EXECUTORS,
    ("reason",),
)
QUEUE = Metric("daybook_queue_commands", "gauge", "Commands that wait to be decided", EXECUTORS)
QUEUE_LIMIT = Metric(
    "daybook_queue_limit_commands", "gauge", "Commands that may wait; one more is turned away", EXECUTORS
)
GROUP_COMMANDS = Metric("daybook_group_commands", "histogram", "Commands of each group that was appended", EXECUTORS)
APPEND_SECONDS = Metric(
    "daybook_append_seconds",
    "histogram",
    "Seconds from sending a group to PostgreSQL until the executor has the answer; it decides the next group meanwhile",
    EXECUTORS,
)
EVENTS = Metric("daybook_events_total", "counter", "Events that this process appended to the log", EXECUTORS)
CONFLICTS = Metric(
    "daybook_conflicts_total", "counter", "Times that a command was decided again: a stream had changed", EXECUTORS
)
LOCKED_GROUPS = Metric(
    "daybook_locked_groups_total", "counter", "Groups that were decided with the head of the log held", EXECUTORS
)
DISCARDED_GROUPS = Metric(
    "daybook_discarded_groups_total",
    "counter",
    "Groups that were decided anew: the group before them did not go in whole",
    EXECUTORS,
)
RECONNECTS = Metric(
    "daybook_reconnects_total", "counter", "Times that the executor connected to PostgreSQL again", EXECUTORS
)
ACCESS_REFUSALS = Metric(
    "daybook_access_refusals_total", "counter", "Requests and items of batches that were refused access", API, ("code",)
)
RECORDED_READS = Metric(
    "daybook_recorded_reads_total", "counter", "Reads of personal data that were recorded for auditors", API
)
LOST_READS = Metric(
    "daybook_lost_reads_total", "counter", "Reads of personal data that could not be recorded for auditors", API
)
WAITING_READS = Metric(
    "daybook_waiting_reads", "gauge", "Reads of personal data that are answered and not recorded yet", API
)
POOL_CONNECTIONS = Metric("daybook_pool_connections", "gauge", "Open connections of a pool", API, ("pool",))
POOL_IDLE = Metric("daybook_pool_idle_connections", "gauge", "Connections of a pool that nobody uses", API, ("pool",))
POOL_LIMIT = Metric("daybook_pool_limit_connections", "gauge", "Most connections that a pool opens", API, ("pool",))
POOL_WAITING = Metric(
    "daybook_pool_waiting_requests", "gauge", "Requests that wait for a connection of a pool", API, ("pool",)
)
POOL_WAIT_SECONDS = Metric(
    "daybook_pool_wait_seconds_total",
    "counter",
    "Seconds of waiting for a connection of a pool",
    API,
    ("pool",),
)
POOL_REQUESTS = Metric("daybook_pool_requests_total", "counter", "Requests for a connection of a pool", API, ("pool",))
POOL_ERRORS = Metric(
    "daybook_pool_errors_total", "counter", "Requests that got no connection of a pool in time", API, ("pool",)
)
DATABASE_UP = Metric(
    "daybook_database_up",
    "gauge",
    "1 if the database gave the lag at this scrape; with 0 the metrics of the log and the lag are left out",
    EACH,
)
LOG_POSITION = Metric("daybook_log_position", "gauge", "The last position of the log", EACH)
PROJECTION_POSITION = Metric(
    "daybook_projection_position", "gauge", "The position that a projection has folded", EACH, ("projection",)
)
LAG_EVENTS = Metric(
    "daybook_projection_lag_events", "gauge", "Events that a projection has not folded yet", EACH, ("projection",)
)
LAG_SECONDS = Metric(
    "daybook_projection_lag_seconds",
    "gauge",
    "Seconds since the oldest event that a projection has not folded was recorded; 0 if it has folded all",
    EACH,
    ("projection",),
)
PUBLISHED_POSITION = Metric(
    "daybook_publication_position", "gauge", "The position up to which a topic has the log", EACH, ("topic",)
)
PUBLISHED_LAG_EVENTS = Metric(
    "daybook_publication_lag_events", "gauge", "Events that a topic does not have yet", EACH, ("topic",)
)
PUBLISHED_LAG_SECONDS = Metric(
    "daybook_publication_lag_seconds",
    "gauge",
    "Seconds since the oldest event that a topic does not have was recorded; 0 if it has all",
    EACH,
    ("topic",),
)
PUBLISHED_WAITING = Metric(
    "daybook_publication_waiting",
    "gauge",
    "1 if nothing is published to a topic; `GET /v1/lag` says why",
    EACH,
    ("topic",),
)
STOPPED = Metric(
    "daybook_projection_stopped",
    "gauge",
    "1 if a projection does not go on; GET /v1/lag has the reason",
    EACH,
    ("projection",),
)
PAGE_SECONDS = Metric(
    "daybook_page_seconds",
    "histogram",
    "Seconds from reading a page of the log to the commit of its rows",
    PROJECTOR,
)
FOLDED_EVENTS = Metric(
    "daybook_folded_events_total", "counter", "Events that this process folded", PROJECTOR, ("projection",)
)

OPEN_PROCESSES = Metric(
    "daybook_open_processes", "gauge", "Processes that are not done", PROCESSES, ("manager", "status")
)
TIMERS = Metric("daybook_timers", "gauge", "Processes with a due time", PROCESSES)
TIMERS_DUE = Metric("daybook_timers_due", "gauge", "Processes whose due time has come", PROCESSES)
TIMERS_LATE_SECONDS = Metric(
    "daybook_timers_late_seconds", "gauge", "Seconds since the oldest due time that has come; 0 if none has", PROCESSES
)
OPEN_MAILS = Metric("daybook_open_mails", "gauge", "Mails that are not sent and not given up", PROCESSES, ("status",))
MAILS_LATE_SECONDS = Metric(
    "daybook_mails_late_seconds",
    "gauge",
    "Seconds since the oldest time to send a mail that has come; 0 if none has",
    PROCESSES,
)
PROCESSES_KNOWN = Metric(
    "daybook_processes_known",
    "gauge",
    "1 if the database gave the figures of processes and mails at this scrape; with 0 they are left out",
    PROCESSES,
)
DELIVERIES = Metric(
    "daybook_deliveries_total",
    "counter",
    "Attempts of this process to deliver an event to a webhook",
    WEBHOOKS,
    ("result",),
)
WEBHOOKS_KNOWN = Metric(
    "daybook_webhooks_known",
    "gauge",
    "1 if the database gave the figures of webhooks at this scrape; with 0 they are left out",
    WEBHOOKS,
)
WEBHOOKS_BY_STATUS = Metric(
    "daybook_webhooks", "gauge", "Webhooks that are active, or were disabled", WEBHOOKS, ("status",)
)
FAILING_WEBHOOKS = Metric(
    "daybook_failing_webhooks", "gauge", "Active webhooks whose last attempt failed, and is repeated", WEBHOOKS
)
WEBHOOK_LAG_EVENTS = Metric(
    "daybook_webhook_lag_events",
    "gauge",
    "Events after the position of the active webhook that is farthest behind",
    WEBHOOKS,
)
SEALED_EVENTS = Metric(
    "daybook_sealed_events_total", "counter", "Events that this process added to the transparency log", SEALER
)
CHECKPOINTS = Metric("daybook_checkpoints_total", "counter", "Checkpoints that this process signed", SEALER)
SEALER_READY = Metric(
    "daybook_sealer_ready",
    "gauge",
    "1 once this process seals; 0 while another one does, and then the position and the lag are left out",
    SEALER,
)
SEALED_POSITION = Metric(
    "daybook_sealed_position", "gauge", "The position up to which the transparency log has the log", SEALER
)
SEALED_HEADS_POSITION = Metric(
    "daybook_sealed_heads_position",
    "gauge",
    "The position at which a checkpoint last committed to the heads of streams; 0 if none did",
    SEALER,
)
SEAL_LAG_EVENTS = Metric(
    "daybook_seal_lag_events", "gauge", "Events that the transparency log did not have at the last look", SEALER
)
WITNESSED_POSITION = Metric(
    "daybook_witnessed_position",
    "gauge",
    "The position up to which a witness has cosigned; left out before the first time",
    ASKER,
    ("witness",),
)
WITNESSED_TIME = Metric(
    "daybook_witnessed_time_seconds",
    "gauge",
    "When a witness cosigned last, by its clock, in seconds since 1970; left out before the first time",
    ASKER,
    ("witness",),
)
WITNESS_FAILURES = Metric(
    "daybook_witness_failures_total",
    "counter",
    "Requests to a witness that brought no cosignature, or an alarm",
    ASKER,
    ("witness", "reason"),
)
TOPIC_RECORDS = Metric(
    "daybook_topic_records_total", "counter", "Records of topics of commands that were read", TOPICS, ("result",)
)

METRICS: Final = (
    COMMANDS,
    TURNED_AWAY,
    QUEUE,
    QUEUE_LIMIT,
    GROUP_COMMANDS,
    APPEND_SECONDS,
    EVENTS,
    CONFLICTS,
    LOCKED_GROUPS,
    DISCARDED_GROUPS,
    RECONNECTS,
    ACCESS_REFUSALS,
    RECORDED_READS,
    LOST_READS,
    WAITING_READS,
    POOL_CONNECTIONS,
    POOL_IDLE,
    POOL_LIMIT,
    POOL_WAITING,
    POOL_REQUESTS,
    POOL_WAIT_SECONDS,
    POOL_ERRORS,
    DATABASE_UP,
    LOG_POSITION,
    PROJECTION_POSITION,
    LAG_EVENTS,
    LAG_SECONDS,
    STOPPED,
    PUBLISHED_POSITION,
    PUBLISHED_LAG_EVENTS,
    PUBLISHED_LAG_SECONDS,
    PUBLISHED_WAITING,
    PAGE_SECONDS,
    FOLDED_EVENTS,
    PROCESSES_KNOWN,
    OPEN_PROCESSES,
    TIMERS,
    TIMERS_DUE,
    TIMERS_LATE_SECONDS,
    OPEN_MAILS,
    MAILS_LATE_SECONDS,
    DELIVERIES,
    WEBHOOKS_KNOWN,
    WEBHOOKS_BY_STATUS,
    FAILING_WEBHOOKS,
    WEBHOOK_LAG_EVENTS,
    SEALED_EVENTS,
    CHECKPOINTS,
    SEALER_READY,
    SEALED_POSITION,
    SEALED_HEADS_POSITION,
    SEAL_LAG_EVENTS,
    WITNESSED_POSITION,
    WITNESSED_TIME,
    WITNESS_FAILURES,
    TOPIC_RECORDS,
)
"""All metrics of Daybook. A new one is added here, and shown by a source in `workers.metrics.sources`."""
