"""The processes that run until told to stop: the projector, which folds the log, and that of process managers."""

from __future__ import annotations

import logging
import re
import signal
from collections.abc import Callable
from contextlib import closing
from threading import Event

import psycopg

from eventstore.postgres.connect import SessionError, connect
from projections.engine.follow import follow
from projections.engine.lag import lag as read_lag
from projections.engine.outage import DatabaseAwayError, Outage
from projections.engine.pages import PageDone
from projections.engine.runner import TRANSIENT
from projections.engine.tables import begin
from projections.people.mails import open_mails
from projections.processes.work import counts
from projections.registry import PROJECTIONS, chosen
from projections.webhooks.webhooks import webhooks_behind
from workers.clock_and_ids import now
from workers.composition import make_codec
from workers.mail.running import delivery_of, run_mail
from workers.metrics.reader import STATEMENT_SECONDS, Reader
from workers.metrics.serving import metrics_served
from workers.metrics.sources import Folding, Open, of_asker, of_lag, of_processes, of_sealer, of_webhooks
from workers.processes.running import run_processes
from workers.proof.asking import Counts as AskCounts
from workers.proof.running import run_asker, run_sealer
from workers.proof.sealer import Counts as SealCounts
from workers.settings import Settings, variable
from workers.tracing import ended, traces_of
from workers.tuning import tune_for_commands, tune_for_folding
from workers.webhooks.running import run_webhooks
from workers.webhooks.worker import Counts

logger = logging.getLogger(__name__)


_REFUSED = re.compile(r'password authentication failed|no pg_hba\.conf entry|(database|role) "[^"]*" does not exist')
"""What a server says whose answer will not change while it is waited for."""


def work(settings: Settings) -> None:
    """Fold the projections of the settings until SIGTERM or SIGINT.

    Raises `DatabaseAwayError` where the database stays away for too long, `UnknownProjectionError`, `SettingsError`.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    fold_until(settings, stop)


def fold_until(settings: Settings, stop: Event) -> None:
    """Fold the projections of the settings until `stop` is set. Raises as `work`."""
    projections = chosen(settings.projections)
    url = settings.projector_url()
    folding = Folding(projection.name for projection in projections)
    names = "all projections" if projections == PROJECTIONS else ", ".join(one.name for one in projections)
    logger.info("folding the log %s into the read tables of %s", settings.log, names)

    def begin_all() -> None:
        with connect(url, application_name="daybook-begin") as connection:
            begin(connection, settings.log, projections)

    lag = Reader(
        lambda: connect(url, application_name="daybook-metrics", statement_seconds=STATEMENT_SECONDS, read_only=True),
        lambda connection: read_lag(connection, settings.log, projections),
    )
    traces = traces_of("projector", settings.log)

    def on_page(done: PageDone) -> None:
        folding.page(done)
        if traces is not None:
            traces.page(done)

    try:
        with closing(lag), ended(traces), metrics_served(settings, [of_lag(lag.read), folding.read]):
            _once_it_is_there(begin_all, stop, settings.database_wait_seconds)
            tune_for_folding()
            follow(
                lambda: connect(url, application_name="daybook-projector"),
                lambda connection, log_number: make_codec(settings, connection, log_number),
                settings.log,
                projections,
                stop,
                poll_seconds=settings.poll_seconds,
                wait_seconds=settings.database_wait_seconds,
                on_page=on_page,
            )
    except DatabaseAwayError as error:
        raise DatabaseAwayError(
            f"{error}; start the projector again once the database is back, or let it wait for longer with "
            f"{variable('database_wait_seconds')}"
        ) from error


def _once_it_is_there(do: Callable[[], None], stop: Event, wait_seconds: float) -> None:
    """Do it as soon as the database lets us. What waiting does not mend is raised at once, such as a wrong password."""
    outage = Outage(stop, wait_seconds)
    while not stop.is_set():
        try:
            do()
        except SessionError:
            raise
        except TRANSIENT as error:
            if isinstance(error, psycopg.OperationalError) and _REFUSED.search(str(error)):
                raise
            outage.failed(error)
        else:
            outage.ended()
            return


def work_processes(settings: Settings) -> None:
    """Carry processes on until SIGTERM or SIGINT.

    Raises `DatabaseAwayError`, `ShapeError`, `UnknownLogError`, `SettingsError`.
    """
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def both_let_us_in() -> None:
        for url in (settings.query_url(), settings.api_url()):
            connect(url, application_name="daybook-processes").close()

    counted = Reader(
        lambda: connect(
            settings.query_url(),
            application_name="daybook-metrics",
            statement_seconds=STATEMENT_SECONDS,
            read_only=True,
        ),
        lambda connection: Open(counts(connection, now()), open_mails(connection, now())),
    )
    with closing(counted), metrics_served(settings, [of_processes(counted.read)]):
        _once_it_is_there(both_let_us_in, stop, settings.database_wait_seconds)
        run_processes(settings, stop)


def work_mail(settings: Settings) -> None:
    """Send mails until SIGTERM or SIGINT.

    Raises `DatabaseAwayError`, `ShapeError`, `UnknownLogError`, `SettingsError`.
    """
    delivery_of(settings)  # a wrong setting is one sentence, before a database is waited for
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def all_let_us_in() -> None:
        for url in (settings.query_url(), settings.api_url(), settings.credentials_url()):
            connect(url, application_name="daybook-mail").close()

    _once_it_is_there(all_let_us_in, stop, settings.database_wait_seconds)
    run_mail(settings, stop)


def work_batches(settings: Settings) -> None:
    """Carry out long batches until SIGTERM or SIGINT.

    Raises `DatabaseAwayError`, `ShapeError`, `UnknownLogError`, `SettingsError`, `TokensError`.
    """
    from workers.batches.running import run_batches  # it imports all routes; other processes need not wait for them

    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def both_let_us_in() -> None:
        for url in (settings.query_url(), settings.api_url()):
            connect(url, application_name="daybook-batches").close()

    _once_it_is_there(both_let_us_in, stop, settings.database_wait_seconds)
    tune_for_commands()
    run_batches(settings, stop)


def work_seal(settings: Settings) -> None:
    """Seal the log until SIGTERM or SIGINT.

    Raises `DatabaseAwayError`, `UnknownLogError`, `SettingsError`, `SealError`.
    """
    settings.proof_key_bytes()  # a missing key is one sentence, before a database is waited for
    stop, counts = Event(), SealCounts()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def it_lets_us_in() -> None:
        connect(settings.sealer_url(), application_name="daybook-sealer").close()

    with metrics_served(settings, [of_sealer(counts)]):
        _once_it_is_there(it_lets_us_in, stop, settings.database_wait_seconds)
        run_sealer(settings, stop, counts)


def work_ask_witnesses(settings: Settings) -> None:
    """Ask witnesses to cosign checkpoints until SIGTERM or SIGINT.

    Raises `DatabaseAwayError`, `UnknownLogError`, `SettingsError`.
    """
    witnesses = settings.asked_witnesses()  # none is one sentence, before a database is waited for
    stop, counts = Event(), [AskCounts(one.witness.name) for one in witnesses]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def it_lets_us_in() -> None:
        connect(settings.sealer_url(), application_name="daybook-ask-witnesses").close()

    with metrics_served(settings, [of_asker(counts)]):
        _once_it_is_there(it_lets_us_in, stop, settings.database_wait_seconds)
        run_asker(settings, stop, counts)


def work_webhooks(settings: Settings) -> None:
    """Send to webhooks until SIGTERM or SIGINT.

    Raises `DatabaseAwayError`, `ShapeError`, `UnknownLogError`, `SettingsError`.
    """
    stop, counts = Event(), Counts()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())

    def both_let_us_in() -> None:
        for url in (settings.query_url(), settings.api_url()):
            connect(url, application_name="daybook-webhooks").close()

    counted = Reader(
        lambda: connect(
            settings.query_url(),
            application_name="daybook-metrics",
            statement_seconds=STATEMENT_SECONDS,
            read_only=True,
        ),
        lambda connection: webhooks_behind(connection, settings.log),
    )
    with closing(counted), metrics_served(settings, [of_webhooks(counts, counted.read)]):
        _once_it_is_there(both_let_us_in, stop, settings.database_wait_seconds)
        run_webhooks(settings, stop, counts)
