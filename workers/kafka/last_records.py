"""Reads the last committed record of a partition.

It is what a publisher goes on from: whatever Kafka has committed is there, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Final

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from workers.kafka.topics import TopicError

_FIRST_STEP: Final = 16
"""Offsets to look back at first; each step is four times as long. Ends of transactions and aborted records have
offsets, too."""
_SECONDS: Final = 30.0
"""How long to wait for the next record."""


Alive = Callable[[], None]
"""Called now and then while records are read."""


def last_record(consumer: KafkaConsumer, topic: str, partition: int = 0, alive: Alive = lambda: None) -> Any | None:
    """The last committed record; None in an empty partition. Raises `TopicError` if records were deleted.

    The consumer reads committed records only and is assigned this partition alone.
    """
    at = TopicPartition(topic, partition)
    consumer.assign([at])
    begin, end = consumer.beginning_offsets([at])[at], consumer.end_offsets([at])[at]
    if begin > 0:
        raise TopicError(
            f"topic {topic} begins at offset {begin}: its first records were deleted; publish a new generation "
            "(DAYBOOK_KAFKA_GENERATION), and see that the topic keeps its records"
        )
    step, upto = _FIRST_STEP, end
    while upto > 0:
        after = max(0, upto - step)
        records = records_between(consumer, at, after, upto, alive)
        if records:
            return records[-1]
        step, upto = 4 * step, after
    return None


def records_between(
    consumer: KafkaConsumer, at: TopicPartition, begin: int, end: int, alive: Alive = lambda: None
) -> list[Any]:
    """The committed records of a partition from one offset up to another, which is not included."""
    consumer.seek(at, begin)
    found: list[Any] = []
    deadline = monotonic() + _SECONDS
    while consumer.position(at) < end:
        if monotonic() > deadline:
            raise KafkaTimeoutError(f"{at.topic} cannot be read from offset {begin} to {end} within {_SECONDS:g} s")
        alive()
        for records in consumer.poll(timeout_ms=250).values():
            deadline = monotonic() + _SECONDS
            found += [record for record in records if record.offset < end]
            if records[-1].offset + 1 >= end:
                return found
    return found
