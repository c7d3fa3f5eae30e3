"""Makes a client of Kafka that has connected to a broker, or says why it cannot and leaves nothing behind.

kafka-python 3.0.12 raises that it took too long, and only logs why. So what it logs meanwhile is kept, and the reason
is in what is raised here. It also keeps a thread and sockets then. A process that waits for a broker makes a new client
with each try, and would run out of open files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from kafka.errors import KafkaConnectionError, KafkaTimeoutError, RequestTimedOutError, SaslAuthenticationFailedError
from kafka.net.compat import KafkaNetClient

from workers.settings import Settings, variable

Client = TypeVar("Client")

_TOO_LONG: Final = (KafkaTimeoutError, RequestTimedOutError)
_UNTRUSTED: Final = "certificate verify failed: "
_DISCONNECTED: Final = "socket disconnected"

_connections = logging.getLogger("kafka.net.manager")
_connections.setLevel(logging.WARNING)
_connections.propagate = False
_connections.addHandler(logging.NullHandler())  # without one, its messages would go to standard error


class _Failures(logging.Handler):
    """Keeps the errors of connections that are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the error that a message is about, unless it only says that it took too long."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.errors += [one for one in arguments if isinstance(one, Exception) and not isinstance(one, _TOO_LONG)]


def connected(make: Callable[..., Client], settings: Settings, options: Mapping[str, Any]) -> Client:
    """A client that has connected to a broker. Raises `KafkaConnectionError` with the reason if it cannot."""
    networks: list[KafkaNetClient] = []

    def network(**its_options: Any) -> KafkaNetClient:
        networks.append(KafkaNetClient(**its_options))
        return networks[-1]

    failures = _Failures()
    _connections.addHandler(failures)
    try:
        return make(**options, kafka_client=network)
    except BaseException as error:
        for one in networks:
            one.close()
        if not isinstance(error, KafkaTimeoutError):
            raise
        reason = _reason(failures.errors, settings)
        raise KafkaConnectionError(f"cannot connect to {settings.kafka_bootstrap_servers}: {reason}") from None
    finally:
        _connections.removeHandler(failures)


def _reason(errors: Sequence[Exception], settings: Settings) -> str:
    """What these errors of connections have in common.

    Brokers answer a wrong password, and end the connection. kafka-python 3.0.12 drops an answer that comes together
    with the end, so often there is only the end.
    """
    if not errors:
        return "no answer in time"
    text = str(errors[-1])
    if _UNTRUSTED in text:
        detail = text.partition(_UNTRUSTED)[2].partition(" (_ssl")[0]
        return f"the certificate is not trusted ({detail}); see {variable('kafka_ssl_cafile')}"
    if "SASL" in settings.kafka_security_protocol and all(map(_is_refusal, errors)):
        names = ", ".join(map(variable, ("kafka_sasl_username", "kafka_sasl_password", "kafka_sasl_mechanism")))
        return f"the connection is ended, as after a wrong password; see {names}"
    return text


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, SaslAuthenticationFailedError) or _DISCONNECTED in str(error)
