"""The topics of a log: their names, the settings that they need, and the check that they have them.

A topic is known by its cluster, its id and its name. One that was deleted and made anew has another id.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType, NewTopic
from kafka.errors import TopicAlreadyExistsError

from workers.kafka.client import MOST_RECORD_BYTES

UNKNOWN_TOPIC: Final = 3
"""Kafka's error code for a topic that does not exist."""

KEPT_FOR_EVER: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
"""Settings of a topic that keeps every record. By default Kafka deletes records after seven days."""
COMPACTED: Final = {
    "cleanup.policy": "compact",
    "segment.ms": "600000",
    "max.compaction.lag.ms": "3600000",
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": "86400000",
}
"""Settings of a topic that keeps the last record of each key. An old record is gone within about an hour, a tombstone
after a day."""
_REMEDY: Final = "delete it, and it is made anew"
_AT_LEAST: Final = ("retention.ms", "retention.bytes")
"""Settings that may be larger than they have to be; -1 is without a bound."""
_CHECKED: Final = ("cleanup.policy", *_AT_LEAST, "compression.type")


class TopicError(RuntimeError):
    """A topic is not what it has to be. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that Daybook needs."""

    name: str
    partitions: int
    settings: Mapping[str, str] = field(hash=False)
    remedy: str = "publish a new generation (DAYBOOK_KAFKA_GENERATION), or set the number that it has"
    """What to do about another number of partitions."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which topic it is: one made anew under the same name has another id."""

    cluster_id: str
    topic_id: str


def log_topic(log: str, generation: int) -> Topic:
    """The topic of the log: one partition, a record a unit."""
    return Topic(f"daybook.{log}.{generation}.log", 1, KEPT_FOR_EVER)


def keys_topic(log: str, generation: int) -> Topic:
    """The topic of the keys of people, wrapped for the replicas."""
    return Topic(f"daybook.{log}.{generation}.keys", 1, COMPACTED)


def events_topic(log: str, generation: int, partitions: int) -> Topic:
    """The topic of events: a record an event, by stream."""
    return Topic(f"daybook.{log}.{generation}.events", partitions, KEPT_FOR_EVER)


def commands_topic(log: str, principal: str) -> Topic:
    """The topic of the commands of a principal. Records are kept for a week, or longer.

    The broker stores them uncompressed, so that a record that fits has a bound once it is read, too.
    """
    settings = {"cleanup.policy": "delete", "retention.ms": "604800000", "compression.type": "uncompressed"}
    return Topic(f"daybook.{log}.commands.{principal}", 1, settings, _REMEDY)


def answers_topic(log: str, principal: str) -> Topic:
    """The topic of the answers to a principal, by idempotency key."""
    return Topic(f"daybook.{log}.answers.{principal}", 1, COMPACTED, _REMEDY)


def described(client: KafkaAdminClient, name: str) -> Mapping[str, Any] | None:
    """What Kafka says of a topic; None where there is none."""
    [topic] = client.describe_topics([name])
    if topic["error_code"] == UNKNOWN_TOPIC:
        return None
    if topic["error_code"]:
        raise TopicError(f"Kafka cannot describe topic {name}: error code {topic['error_code']}")
    return dict(topic)


def identity(client: KafkaAdminClient, name: str) -> Identity:
    """Which topic it is. Raises `TopicError` where there is none."""
    return _identity_of(client, _existing(client, name))


def _existing(client: KafkaAdminClient, name: str) -> Mapping[str, Any]:
    topic = described(client, name)
    if topic is None:
        raise TopicError(f"there is no topic {name} in this cluster: a publisher makes it (daybook publish)")
    return topic


def _identity_of(client: KafkaAdminClient, topic: Mapping[str, Any]) -> Identity:
    return Identity(str(client.describe_cluster()["cluster_id"]), str(topic["topic_id"]))


def create(client: KafkaAdminClient, topic: Topic, replication_factor: int) -> None:
    """Make a topic, unless it is there."""
    new = NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=replication_factor,
        topic_configs={**topic.settings, "max.message.bytes": str(MOST_RECORD_BYTES + 100_000)},
    )
    with suppress(TopicAlreadyExistsError):
        client.create_topics([new], timeout_ms=10_000, wait_for_metadata=True)


def check(client: KafkaAdminClient, topic: Topic) -> Identity:
    """Check partitions and settings of a topic. Returns which topic it is. Raises `TopicError`."""
    found = _existing(client, topic.name)
    partitions = len(found["partitions"])
    if partitions != topic.partitions:
        raise TopicError(
            f"topic {topic.name} has {partitions} partitions and needs {topic.partitions}: records of a stream would "
            f"change their order; {topic.remedy}"
        )
    wrong = [
        f"{name} is {is_now} and has to be {topic.settings[name]}"
        for name, is_now in _settings_of(client, topic.name).items()
        if name in topic.settings and name in _CHECKED and not _fits(name, is_now, topic.settings[name])
    ]
    if wrong:
        raise TopicError(f"topic {topic.name} does not keep what it has to: {', '.join(wrong)}; change its settings")
    return _identity_of(client, found)


def _fits(name: str, is_now: str, needed: str) -> bool:
    """Whether a setting of a topic is what it has to be."""
    if name not in _AT_LEAST or needed == "-1":
        return is_now == needed
    return is_now == "-1" or int(is_now) >= int(needed)


def _settings_of(client: KafkaAdminClient, name: str) -> dict[str, str]:
    resource = ConfigResource(ConfigResourceType.TOPIC, name)
    found = client.describe_configs([resource], config_filter="all")["topic"][name]
    return {setting: str(value["value"]) for setting, value in found.items()}


def refuse_another(topic: str, was: Identity, found: Identity, holder: str) -> None:
    """Raise `TopicError` if a topic is not the one that `holder` has used before."""
    if was == found:
        return
    if was.cluster_id != found.cluster_id:
        raise TopicError(
            f"{holder} belongs to topic {topic} of the Kafka cluster {was.cluster_id}, and this is cluster "
            f"{found.cluster_id}: set DAYBOOK_KAFKA_BOOTSTRAP_SERVERS to the right one, or take a new generation"
        )
    raise TopicError(
        f"topic {topic} was deleted and made anew: {holder} belongs to the one with id {was.topic_id}, and this has id "
        f"{found.topic_id}; take a new generation (DAYBOOK_KAFKA_GENERATION)"
    )
