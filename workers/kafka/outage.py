"""Waits while Kafka cannot be used, or until an operator has repaired a topic, and logs the reason."""

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
    """Logs why a process that uses Kafka cannot continue, and waits before the next try."""

    def __init__(
        self,
        subject: str,
        effect: str,
        stop: Event,
        also: Callable[[str | None], None] = lambda sentence: None,
        refused_seconds: float = REFUSED_SECONDS,
    ) -> None:
        """`subject` is the topic or the work that messages name, and `effect` what does not happen meanwhile.

        `also` gets each sentence too, and None once it no longer holds. The next try after a topic was refused comes
        `refused_seconds` later.
        """
        self._subject = subject
        self._effect = effect
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
            sentence = f"Kafka cannot be used, and is tried again: {error}"
            logger.warning("%s: %s", self._subject, sentence)
            self._also(sentence)
            self._message_at = now + MESSAGE_SECONDS
        self._stop.wait(KAFKA_SECONDS)

    def refused(self, error: TopicError) -> None:
        """A topic does not fit; wait for an operator."""
        if str(error) != self._refused:
            logger.error("%s: %s", self._effect, error)
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
