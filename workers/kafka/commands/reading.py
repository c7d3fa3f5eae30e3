"""Reads the topics of commands from where the last reader stopped.

The place is the offset of a consumer group, and beside it the id of the topic: an offset of a topic that was deleted
and made anew under the same name means nothing. Where the offset does not fit, the topic is read from its beginning. A
command that was carried out before gets its recorded answer again.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from kafka import OffsetAndMetadata, TopicPartition
from kafka.errors import KafkaError, OffsetOutOfRangeError

from workers.kafka import client, topics
from workers.kafka.outage import REFUSED_SECONDS
from workers.kafka.topics import Topic, TopicError
from workers.settings import Settings

logger = logging.getLogger(__name__)

MOST_RECORDS: Final = 2_000
"""Records that are read, executed and answered together. Four groups of the executor have as many."""
POLL_MS: Final = 100
CALL_MS: Final = 10_000
"""How long a call may wait for a broker before it raises."""


def group_of(log: str) -> str:
    """The consumer group that keeps how far the commands of a log were read."""
    return f"daybook.{log}.commands"


@dataclass(frozen=True, slots=True)
class Page:
    """Records of one topic, in order, and the offset behind the last."""

    principal: str
    topic: str
    answers_topic: str
    records: Sequence[Any]
    upto: int


class TopicReader:
    """Reads the topics of the principals that this process owns. Not thread-safe.

    Raises `KafkaError`; then close it and make a new one.
    """

    def __init__(self, settings: Settings, opened: ExitStack) -> None:
        self._settings = settings
        self._consumer = opened.enter_context(
            closing(client.consumer(settings, group_id=group_of(settings.log), max_poll_records=MOST_RECORDS))
        )
        self._admin = opened.enter_context(closing(client.admin(settings)))
        self._topic_ids: dict[str, str] = {}  # of the topics that are read, by principal
        self._refused: dict[str, tuple[str, float]] = {}  # why a topic is not read, and when it is tried again

    @property
    def reads(self) -> bool:
        """Whether a topic is read."""
        return bool(self._topic_ids)

    def look(self, principals: Collection[str]) -> None:
        """Make or check the topics that are not read yet, and drop those that were deleted or made anew."""
        for principal in sorted(principals):
            name = topics.commands_topic(self._settings.log, principal).name
            known = self._topic_ids.get(principal)
            try:
                found = topics.described(self._admin, name)
                if known is not None and found is not None and str(found["topic_id"]) == known:
                    continue
                if known is not None:
                    logger.warning("topic %s was deleted or made anew: it is read from the beginning", name)
                    self._drop(principal)
                if self._refused.get(principal, ("", 0.0))[1] <= monotonic():
                    self._begin(principal, name)
            except TopicError as error:
                self._refuse(principal, str(error))

    def poll(self) -> list[Page]:
        """The next records of each topic that has some, after a short wait if none has."""
        if not self._topic_ids:
            return []
        try:
            polled: Mapping[TopicPartition, Sequence[Any]] = self._consumer.poll(timeout_ms=POLL_MS)
        except OffsetOutOfRangeError:  # the next look begins anew, and says so
            for principal in list(self._topic_ids):
                self._drop(principal)
            return []
        prefix = topics.commands_topic(self._settings.log, "").name
        return [
            Page(
                principal=(principal := at.topic.removeprefix(prefix)),
                topic=at.topic,
                answers_topic=topics.answers_topic(self._settings.log, principal).name,
                records=records,
                upto=records[-1].offset + 1,
            )
            for at, records in polled.items()
        ]

    def keep(self, pages: Sequence[Page]) -> None:
        """Keep that these records were answered."""
        offsets = {
            TopicPartition(page.topic, 0): OffsetAndMetadata(page.upto, self._topic_ids[page.principal], -1)
            for page in pages
        }
        self._consumer.commit(offsets, timeout_ms=CALL_MS)

    def _begin(self, principal: str, name: str) -> None:
        """Make the topics of a principal if they are missing, check them, and read on. Raises `TopicError`."""
        needed = [make(self._settings.log, principal) for make in (topics.commands_topic, topics.answers_topic)]
        for topic in needed:
            self._make_if_missing(topic)
        identity, _ = [topics.check(self._admin, topic) for topic in needed]
        at = TopicPartition(name, 0)
        self._topic_ids[principal] = identity.topic_id
        offset = self._offset(at, identity.topic_id)
        self._assign()
        self._consumer.seek(at, offset)
        self._refused.pop(principal, None)
        logger.info("commands of %s are read from %s, from offset %d on", principal, name, offset)

    def _make_if_missing(self, topic: Topic) -> None:
        try:
            if topics.described(self._admin, topic.name) is None:
                topics.create(self._admin, topic, self._settings.kafka_replication_factor)
        except KafkaError as error:
            if error.retriable:
                raise
            raise TopicError(f"topic {topic.name} cannot be made: {type(error).__name__} {error}".rstrip()) from error

    def _offset(self, at: TopicPartition, topic_id: str) -> int:
        """Where to read on: behind what was answered last, or from the beginning."""
        first: int = self._consumer.beginning_offsets([at])[at]
        end: int = self._consumer.end_offsets([at])[at]
        kept = self._consumer.committed(at, metadata=True, timeout_ms=CALL_MS)
        if kept is None or kept.metadata != topic_id:
            return first
        if kept.offset < first:
            logger.error(
                "topic %s begins at offset %d, and was read up to %d: commands were deleted before they were read",
                at.topic,
                first,
                kept.offset,
            )
            return first
        if kept.offset > end:
            logger.error(
                "topic %s ends at offset %d, and was read up to %d: Kafka has lost records; it is read from the "
                "beginning, and what was carried out is answered again",
                at.topic,
                end,
                kept.offset,
            )
            return first
        return int(kept.offset)

    def _refuse(self, principal: str, sentence: str) -> None:
        self._drop(principal)
        if self._refused.get(principal, ("", 0.0))[0] != sentence:
            logger.error("commands of %s are not read: %s", principal, sentence)
        self._refused[principal] = sentence, monotonic() + REFUSED_SECONDS

    def _drop(self, principal: str) -> None:
        if self._topic_ids.pop(principal, None) is not None:
            self._assign()

    def _assign(self) -> None:
        names = [topics.commands_topic(self._settings.log, principal).name for principal in self._topic_ids]
        self._consumer.assign([TopicPartition(name, 0) for name in names])
