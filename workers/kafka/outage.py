"""Waits for Kafka when it cannot be used, or for an operator when a topic does not fit, and says so."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import Final

from kafka.errors import KafkaError

from workers.kafka.topics import TopicError

logger = logging.getLogger(__name__)

REFUSED_SECONDS: Final = 30.0
"""How long to wait after a topic was refused. An operator has to do something meanwhile."""
KAFKA_SECONDS: Final = 1.0
"""How long to wait after Kafka failed."""
MESSAGE_SECONDS: Final = 30.0
"""Least seconds between two messages while Kafka stays away."""


class KafkaOutage:
    """Says why a process of Kafka does not go on, in its messages, and waits."""

    def __init__(
        self,
        subject: str,
        standstill: str,
        stop: Event,
        also: Callable[[str | None], None] = lambda sentence: None,
        refused_seconds: float = REFUSED_SECONDS,
    ) -> None:
        """`subject` is what cannot go on, and `standstill` what that means.

        `also` gets each sentence too, and None once it no longer holds. After a topic was refused, the next try comes
        after `refused_seconds`.
        """
        self._subject = subject
        self._standstill = standstill
        self._stop = stop
        self._also = also
        self._refused_seconds = refused_seconds
        self._since: float | None = None
        self._message_at = 0.0
        self._refused: str | None = None

    def failed(self, error: KafkaError) -> None:
        """Kafka failed; wait a moment."""
        now = monotonic()
        if self._since is None:
            self._since, self._message_at = now, now
        if now >= self._message_at:
            sentence = f"Kafka cannot be used, and is tried again: {type(error).__name__} {error}".rstrip()
            logger.warning("%s: %s", self._subject, sentence)
            self._also(sentence)
            self._message_at = now + MESSAGE_SECONDS
        self._stop.wait(KAFKA_SECONDS)

    def refused(self, error: TopicError) -> None:
        """A topic does not fit; wait for an operator."""
        if str(error) != self._refused:
            logger.error("%s: %s", self._standstill, error)
            self._refused = str(error)
        self._also(str(error))
        self._stop.wait(self._refused_seconds)

    def ended(self) -> None:
        """Kafka can be used, and the topics fit."""
        if self._since is not None:
            logger.warning("%s: Kafka can be used again after %.0f seconds", self._subject, monotonic() - self._since)
        if self._since is not None or self._refused is not None:
            self._since = self._refused = None
            self._also(None)
