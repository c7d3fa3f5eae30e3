"""Traces by OpenTelemetry, if the environment names an exporter (`OTEL_EXPORTER_OTLP_ENDPOINT`).

Without one, the SDK of OpenTelemetry is not imported, and nothing is noted for a trace. With one,
`workers.tracing.spans` makes the spans. The variables are those of the OpenTelemetry specification;
docs/howto/observe.md has the useful ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from workers.settings import SettingsError

if TYPE_CHECKING:
    from workers.tracing.spans import Traces

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL: Final = "http/protobuf"


def traces_of(process: str, log: str) -> Traces | None:
    """The traces of this process on this log, or None if no exporter is set.

    Raises `SettingsError` if one is set that cannot be used: its packages are missing, or it has another protocol.
    """
    endpoint = next((name for name in ENDPOINTS if os.environ.get(name)), None)
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if endpoint is None or disabled or os.environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    protocol = next((name for name in PROTOCOLS if os.environ.get(name)), None)
    if protocol is not None and os.environ[protocol] != PROTOCOL:
        raise SettingsError(f"{protocol} is {os.environ[protocol][:40]!r}, and Daybook sends traces by {PROTOCOL} only")
    try:
        from workers.tracing.spans import Traces
    except ImportError as error:
        raise SettingsError(
            f"{endpoint} is set, but the packages for traces are not installed: pip install 'daybook[tracing]', "
            "or unset it"
        ) from error
    return Traces.exported(process, log)


@contextmanager
def ended(traces: Traces | None) -> Iterator[None]:
    """Send what is left when the context ends."""
    try:
        yield
    finally:
        if traces is not None:
            traces.end()
