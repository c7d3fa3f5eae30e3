"""What the publications of a log share: which log it is, and how the end of a topic is compared with it."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer
from psycopg import Connection

from eventstore.log.read import read_head
from eventstore.log.unit_records import read_units
from workers.kafka.topics import TopicError

AGAIN = "publish a new generation (DAYBOOK_KAFKA_GENERATION)"


class PublishedTopic:
    """A topic that a log is published to, over one connection to the log's database."""

    def __init__(
        self, connection: Connection[Any], log: str, consumer: KafkaConsumer, topic: str, published: int = 0
    ) -> None:
        """`published` is the position that the topic has had for certain."""
        self.name = topic
        self.transactional_id = topic
        self._connection = connection
        self._log = log
        self._consumer = consumer
        self._published = published
        head = read_head(connection, log)
        self._log_number, self._epoch = head.log_number, head.epoch
        row = connection.execute("SELECT uuid::text FROM log.logs WHERE log = %s", (self._log_number,)).fetchone()
        assert row is not None
        self._uuid: str = row[0]

    def alive(self) -> None:
        """See `Publication`. The server ends a session that says nothing for long."""
        self._connection.execute("SELECT")

    def _refuse_restored(self, uuid: str, epoch: int, position: int) -> None:
        """Raise `TopicError` if a topic of this log, epoch and last position is not that of the log as it is now."""
        if uuid != self._uuid:
            raise TopicError(
                f"topic {self.name} has another log ({uuid}) than {self._log} of this database ({self._uuid}): set "
                "DAYBOOK_LOG"
            )
        if epoch != self._epoch:
            raise TopicError(
                f"topic {self.name} was published in epoch {epoch} and log {self._log} is in epoch {self._epoch}: the "
                f"log was restored from a dump since; {AGAIN}"
            )
        head = read_head(self._connection, self._log).position
        if position > head:
            raise TopicError(
                f"topic {self.name} has the log up to position {position}, and log {self._log} ends at {head}: the log "
                f"was restored to an earlier point; {AGAIN}"
            )

    def _refuse_lost(self, position: int) -> None:
        """Raise `TopicError` if the topic has less than it had."""
        if position < self._published:
            raise TopicError(
                f"topic {self.name} has the log up to position {position}, and it had {self._published}: its last "
                f"records are lost; {AGAIN}"
            )

    def _record_from(self, first: int) -> bytes | None:
        """The record of the unit that begins at a position, as the log has it now; None if there is no such event."""
        units = read_units(self._connection, self._log_number, first - 1, 1)
        return units[0].record if units else None

    def _another_history(self, position: int) -> TopicError:
        """The error for a log that is not what was published."""
        return TopicError(
            f"topic {self.name} has another unit up to position {position} than the log: the log was restored and went "
            f"on differently; {AGAIN}"
        )

    def _foreign(self, why: str) -> TopicError:
        """The error for a last record that no publisher wrote."""
        return TopicError(
            f"the last record of topic {self.name} is {why}: something else wrote to it; see who may (ACLs), and "
            f"{AGAIN}"
        )
