"""The rights of each database role, also of an attacker with that role: every cell of the table in ADR 0013."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg import Connection
from psycopg.errors import InsufficientPrivilege

from bench.harness.tables import begin_read_tables, make_read_tables
from migrations import MigrationError
from projections.registry import PROJECTIONS
from tests.integration.workers.running import settings_of
from tests.support.postgres import Database, Server
from tests.support.service import service_on
from workers.databases import LOGINS, logins
from workers.migrating import migrate

ROLES = ("api", "query", "projector", "read_owner", "audit", "reader", "credentials")


class Ability(NamedTuple):
    """An action, its statement, and the roles that may do it."""

    statement: str
    roles: frozenset[str]


def by(statement: str, *roles: str) -> Ability:
    return Ability(statement, frozenset(roles))


_APPEND = (
    "SELECT log.append(1, 0::smallint, '{}', '{x}', '{k}', '{\"\"}', '{1}', '{201}', '{NULL}', '{\"{}\"}', '{NULL}',"
    " '{t}', '{1}', '{acct_x}', '{0}', '{t}', '{1}', '{1}', '{f}', '{1}', '{1}', '{f}', '{account.frozen.v1}',"
    " '{\"{}\"}', '{\"{}\"}')"
)

ABILITIES = {
    # The log.
    "append an event": by(_APPEND, "api"),
    "hold the head of the log": by("SELECT log.lock_head(1)", "api"),
    "make a log": by("SELECT log.create_log('another')", "api"),
    "keep a key of a person": by("SELECT log.keep_subject_keys(1, 1::smallint, '{}', '{}')", "api"),
    "record the first master key": by("SELECT log.keep_master_key('0123456789abcdef')", "api"),
    "read fingerprints of master keys": by("SELECT * FROM log.master_keys", "api", "query", "projector", "audit"),
    "read since when rules hold": by("SELECT * FROM log.eras", "api", "audit"),
    "compute leaves": by("SELECT * FROM log.leaf_hashes(1, 0, 10)", "audit"),
    "keep a snapshot": by("SELECT log.keep_snapshots_by_shape(1, '{}', '{}', '{}', '{}')", "api"),
    "keep a snapshot, as before revision 0011": by("SELECT log.keep_snapshots(1, '', '{}', '{}', '{}')", "api"),
    "draw a number": by("SELECT nextval('log.numbers')", "api"),
    "forget origins": by("SELECT log.forget_origins(now())"),
    "erase a person": by("SELECT log.erase_subject(1, 'ada', 'system:x', 'key', '{}')"),
    "destroy the key of a person": by("SELECT log.destroy_subject_key(1, 'ada')"),
    "read heads": by("SELECT * FROM log.logs", "api", "query", "projector", "audit"),
    "read events": by("SELECT * FROM log.events", "api", "query", "projector", "audit"),
    "read sealed keys": by("SELECT * FROM log.subject_keys", "api", "query", "projector", "audit"),
    "read answers of commands": by("SELECT * FROM log.commands", "api", "query", "audit"),
    "read snapshots": by("SELECT * FROM log.snapshots", "api", "audit"),
    "write the library's snapshots": by("INSERT INTO library.snapshots VALUES (1, 's', 1, 't', '', '')", "api"),
    "read the library's tracking": by("SELECT * FROM library.tracking", "api", "audit"),
    # The read tables.
    "read a read table": by("SELECT * FROM read.accounts", "query", "projector", "read_owner", "audit"),
    "change rows of a read table": by("UPDATE read.accounts SET balance = 0", "projector", "read_owner"),
    "add rows to a read table": by(
        "INSERT INTO read.trial_balance_accounts VALUES ('X', 'x')", "projector", "read_owner"
    ),
    "move a checkpoint": by("UPDATE read.checkpoints SET position = 0", "projector", "read_owner"),
    "change the currencies": by("UPDATE read.currencies SET minor_unit = 1", "read_owner"),
    "say that tables are of this version": by("UPDATE read.projections SET shape = ''", "read_owner"),
    "empty a read table": by("TRUNCATE read.accounts", "read_owner"),
    "rename a read table": by("ALTER TABLE read.accounts RENAME TO mine", "read_owner"),
    "put a trigger on a read table": by(
        "CREATE TRIGGER mine BEFORE UPDATE ON read.accounts FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "read_owner",
    ),
    "make a table among the read tables": by("CREATE TABLE read.mine ()", "read_owner"),
    "fold into new tables": by("UPDATE read_next.checkpoints SET position = 0", "projector", "read_owner"),
    "make a table beside the read tables": by("CREATE TABLE read_next.mine ()", "read_owner"),
    "make a table among those replaced": by("CREATE TABLE read_old.mine ()", "read_owner"),
    "make a view among the read tables": by("CREATE VIEW read.mine AS SELECT 1", "read_owner"),
    "make a function among the read tables": by(
        "CREATE FUNCTION read.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "read_owner"
    ),
    # Reports.
    "read a report": by("SELECT * FROM reporting.accounts", "reader", "audit", "read_owner"),
    "replace a report": by("DROP VIEW reporting.posts", "read_owner"),
    "make a function among the reports": by(
        "CREATE FUNCTION reporting.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'", "read_owner"
    ),
    # Code and objects elsewhere.
    "make a temporary table": by("CREATE TEMP TABLE mine ()", "audit"),
    "make a large object": by("SELECT lo_create(0)"),
    "write a large object": by("SELECT lo_from_bytea(0, 'x')"),
    "make a table in public": by("CREATE TABLE public.mine ()"),
    "make a function in public": by("CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    "make a function in log": by("CREATE FUNCTION log.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    "make a schema": by("CREATE SCHEMA mine"),
    "make a role": by("CREATE ROLE mine"),
    "read a file of the server": by("SELECT pg_read_file('postgresql.conf')"),
    "run a program on the server": by("COPY (SELECT 1) TO PROGRAM 'true'"),
}

_LOG_TABLES = {
    "logs": "epoch",
    "events": "payload",
    "commands": "status",
    "subject_keys": "sealed_key",
    "master_keys": "status",
    "eras": "position",
    "snapshots": "state",
}
for _table, _column in _LOG_TABLES.items():
    ABILITIES |= {
        f"insert into log.{_table}": by(f"INSERT INTO log.{_table} DEFAULT VALUES"),
        f"update log.{_table}": by(f"UPDATE log.{_table} SET {_column} = {_column}"),
        f"delete from log.{_table}": by(f"DELETE FROM log.{_table}"),
        f"truncate log.{_table}": by(f"TRUNCATE log.{_table}"),
        f"alter log.{_table}": by(f"ALTER TABLE log.{_table} ADD COLUMN x int"),
        f"drop log.{_table}": by(f"DROP TABLE log.{_table}"),
    }

_CREDENTIALS = {
    "passwords": "hash",
    "sessions": "ended_at",
    "refresh_tokens": "used_at",
    "mail_tokens": "hash",
    "totp": "sealed",
    "recovery_codes": "hash",
    "api_keys": "hash",
    "attempts": "failures",
}
for _table, _column in _CREDENTIALS.items():
    ABILITIES |= {
        f"read credentials.{_table}": by(f"SELECT {_column} FROM credentials.{_table}", "credentials"),
        f"update credentials.{_table}": by(f"UPDATE credentials.{_table} SET {_column} = {_column}", "credentials"),
        f"delete from credentials.{_table}": by(f"DELETE FROM credentials.{_table}", "credentials"),
        f"insert into credentials.{_table}": by(
            f"INSERT INTO credentials.{_table} SELECT * FROM credentials.{_table}", "credentials"
        ),
        f"truncate credentials.{_table}": by(f"TRUNCATE credentials.{_table} CASCADE"),
        f"alter credentials.{_table}": by(f"ALTER TABLE credentials.{_table} ADD COLUMN x int"),
        f"drop credentials.{_table}": by(f"DROP TABLE credentials.{_table} CASCADE"),
    }
ABILITIES |= {
    "see who has which credential": by("SELECT * FROM credentials.held", "audit"),
    "make a function among the credentials": by(
        "CREATE FUNCTION credentials.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    ),
    "make a table among the credentials": by("CREATE TABLE credentials.mine ()"),
}

_ACCESS = {
    "reads": "(log, recorder, number, place, at, principal, route) VALUES (1, 'r', 1, 1, now(), 'bi', '/v1/accounts')",
    "recorders": "(log, recorder, kind, number, lost, since, at) VALUES (1, 'r', 'began', 0, 0, now(), now())",
}
for _table, _values in _ACCESS.items():
    ABILITIES |= {
        f"record into access.{_table}": by(f"INSERT INTO access.{_table} {_values}", "api"),
        f"record into access.{_table} again": by(
            f"INSERT INTO access.{_table} {_values} ON CONFLICT DO NOTHING", "api"
        ),
        f"read access.{_table}": by(f"SELECT * FROM access.{_table}", "query", "audit"),
        f"update access.{_table}": by(f"UPDATE access.{_table} SET recorder = recorder"),
        f"delete from access.{_table}": by(f"DELETE FROM access.{_table}"),
        f"truncate access.{_table}": by(f"TRUNCATE access.{_table}"),
        f"alter access.{_table}": by(f"ALTER TABLE access.{_table} ADD COLUMN x int"),
        f"drop access.{_table}": by(f"DROP TABLE access.{_table} CASCADE"),
    }
ABILITIES |= {
    "see whether reads are missing": by("SELECT * FROM access.completeness", "audit"),
    "forget reads": by("SELECT access.forget_reads(now())"),
    "make a function among the reads": by("CREATE FUNCTION access.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    "make a table among the reads": by("CREATE TABLE access.mine ()"),
}

_POSITION = "(log, webhook, begun, restarted, position, ahead, failures, turn) VALUES (1, 'whk_1', 1, 1, 0, '{}', 0, 1)"
_DELIVERY = "(log, webhook, position, attempt, at, milliseconds) VALUES (1, 'whk_1', 1, 1, now(), 0)"
for _table, _values, _changers in (("positions", _POSITION, ("api",)), ("deliveries", _DELIVERY, ())):
    ABILITIES |= {
        f"add to webhooks.{_table}": by(f"INSERT INTO webhooks.{_table} {_values} ON CONFLICT DO NOTHING", "api"),
        f"read webhooks.{_table}": by(f"SELECT * FROM webhooks.{_table}", "api", "query", "audit"),
        f"update webhooks.{_table}": by(f"UPDATE webhooks.{_table} SET position = position", *_changers),
        f"delete from webhooks.{_table}": by(f"DELETE FROM webhooks.{_table}"),
        f"truncate webhooks.{_table}": by(f"TRUNCATE webhooks.{_table}"),
        f"alter webhooks.{_table}": by(f"ALTER TABLE webhooks.{_table} ADD COLUMN x int"),
        f"drop webhooks.{_table}": by(f"DROP TABLE webhooks.{_table} CASCADE"),
    }
ABILITIES |= {
    "forget deliveries": by("SELECT webhooks.forget_deliveries(now())"),
    "make a function among the webhooks": by("CREATE FUNCTION webhooks.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    "make a table among the webhooks": by("CREATE TABLE webhooks.mine ()"),
}

_PART = "(log, batch, part, digest, sender, bytes, sealed) VALUES (1, 'lbatch_1', 1, sha256(''), 'a', 1, '')"
ABILITIES |= {
    "add a part": by(f"INSERT INTO batches.parts {_PART} ON CONFLICT DO NOTHING", "api"),
    "read parts": by("SELECT sealed FROM batches.parts", "api"),
    "see which parts there are": by(
        "SELECT log, batch, part, digest, sender, bytes FROM batches.parts", "api", "audit"
    ),
    "change parts": by("UPDATE batches.parts SET sealed = sealed"),
    "remove parts": by("DELETE FROM batches.parts", "api"),
    "truncate parts": by("TRUNCATE batches.parts"),
    "alter parts": by("ALTER TABLE batches.parts ADD COLUMN x int"),
    "drop parts": by("DROP TABLE batches.parts CASCADE"),
    "make a function among the parts": by("CREATE FUNCTION batches.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    "make a table among the parts": by("CREATE TABLE batches.mine ()"),
}


@pytest.fixture(scope="module")
def prepared(server: Server) -> Iterator[Database]:
    """A migrated database with a log and read tables."""
    with server.database() as database:
        with psycopg.connect(database.url, autocommit=True) as superuser:
            superuser.execute("SELECT log.create_log('main'), log.keep_master_key('0123456789abcdef')")
        begin_read_tables(database)
        yield database


@contextmanager
def tried(connection: Connection[Any]) -> Iterator[None]:
    """A connection whose changes are rolled back."""
    with connection.transaction(force_rollback=True):
        yield


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_exactly_the_rights_in_the_table(prepared: Database, role: str) -> None:
    wrong = []
    with psycopg.connect(getattr(prepared, f"{role}_url"), autocommit=True) as connection:
        for name, ability in ABILITIES.items():
            try:
                with tried(connection):
                    connection.execute(ability.statement.encode())
                can = True
            except InsufficientPrivilege:
                can = False
            if can != (role in ability.roles):
                wrong.append(f"{role} {'can' if can else 'cannot'} {name}")
    assert wrong == []


def test_each_process_has_a_login_that_cannot_become_more(server: Server) -> None:
    """With the logins of production, `SET ROLE` reaches no other role, and rights that are given up stay so."""
    with server.database() as database:
        begun = logins(database.url)
        make_read_tables(database)
        for login in LOGINS:
            with psycopg.connect(begun[f"{login}_database_url"], autocommit=True) as connection:
                assert connection.execute("SELECT session_user").fetchone() == (login,)
                for other in {*ROLES, "owner"} - {login}:
                    with pytest.raises(InsufficientPrivilege):
                        connection.execute(f"SET ROLE daybook_{other}".encode())
                with pytest.raises(InsufficientPrivilege):
                    connection.execute("SET SESSION AUTHORIZATION postgres")


def test_a_projector_that_is_taken_over_runs_no_code_as_the_api(server: Server) -> None:
    """A regression: a view in the place of a read table called log.append, and the next read of the API ran it."""
    with server.database() as database, service_on(database) as service:
        account = service.account("10.00")
        assert service.get(f"accounts/{account}").status_code == 200
        with psycopg.connect(logins(database.url)["projector_database_url"], autocommit=True) as projector:
            for statement in (
                "ALTER TABLE read.accounts RENAME TO real_accounts",
                "CREATE VIEW read.forged AS SELECT log.lock_head(1)",
                "CREATE OR REPLACE VIEW reporting.accounts AS SELECT log.lock_head(1)",
                "CREATE RULE mine AS ON INSERT TO read.accounts DO ALSO SELECT log.lock_head(1)",
                "ALTER TABLE read.accounts ALTER COLUMN version SET DEFAULT log.lock_head(1)",
                "CREATE INDEX ON read.accounts ((log.lock_head(1)))",
                "CREATE POLICY mine ON read.accounts USING (log.lock_head(1) > 0)",
            ):
                with pytest.raises(InsufficientPrivilege):
                    projector.execute(statement.encode())
        with psycopg.connect(database.url, autocommit=True) as owner:  # also if a login with more rights did it
            owner.execute("ALTER TABLE read.accounts RENAME TO real_accounts")
            owner.execute(
                "CREATE VIEW read.accounts AS SELECT r.*, log.create_log('forged') FROM read.real_accounts r;"
                " GRANT SELECT ON read.accounts TO daybook_query"
            )
            before = owner.execute("SELECT count(*) FROM log.logs").fetchone()
            service.get(f"accounts/{account}", fresh=False)
            assert owner.execute("SELECT count(*) FROM log.logs").fetchone() == before, "a read cannot append"


_AS_WHOEVER_WRITES = """
ALTER TABLE read.currencies ADD CONSTRAINT mine CHECK (
    set_config('role', 'none', false) IS NULL
 OR ts_rewrite('a'::tsquery, 'select ''a''::tsquery, (''n'' || log.create_log(''forged''))::tsquery') IS NOT NULL)
 NOT VALID
"""


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        (
            "CREATE OPERATOR read.@@@ (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = numeric_add)",
            r"object operator read\.@@@",
        ),
        (
            "CREATE TRIGGER mine BEFORE INSERT ON read.projections FOR EACH ROW"
            " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
            r"trigger read\.projections\.mine",
        ),
        ("CREATE RULE mine AS ON INSERT TO read.reports DO ALSO SELECT 1", r"rule read\.reports\.mine"),
        ("ALTER TABLE read.currencies ALTER minor_unit SET DEFAULT random()", r"column read\.currencies\.minor_unit"),
    ],
)
def test_migrate_names_what_it_would_run(server: Server, statement: str, named: str) -> None:
    with server.database() as database:
        make_read_tables(database)
        with psycopg.connect(database.read_owner_url, autocommit=True) as read_owner:
            read_owner.execute(statement.encode())
        with pytest.raises(MigrationError, match=named):
            migrate(settings_of(database))


def test_migrate_runs_no_code_of_a_read_owner_that_is_taken_over(server: Server) -> None:
    """A regression: a constraint of the read owner became the owner in the session that writes the currencies."""
    with server.database() as database:
        urls = logins(database.url)
        make_read_tables(database)
        with psycopg.connect(urls["read_owner_database_url"], autocommit=True) as read_owner:
            read_owner.execute(_AS_WHOEVER_WRITES.encode())
        with pytest.raises(
            MigrationError, match=r"constraint read\.currencies\.mine: this version makes no such thing"
        ):
            migrate(settings_of(database))
        with pytest.raises(InsufficientPrivilege, match="create_log"):  # the login has only the role of a read owner
            migrate(settings_of(database).with_databases(urls))
        with psycopg.connect(database.url, autocommit=True) as owner:
            assert owner.execute("SELECT name FROM log.logs WHERE name = 'forged'").fetchall() == []
            owner.execute("ALTER TABLE read.currencies DROP CONSTRAINT mine")
        migrate(settings_of(database))


def test_code_of_a_read_owner_that_is_taken_over_runs_as_the_projector_and_changes_nothing(server: Server) -> None:
    with server.database() as database:
        urls = logins(database.url)
        migrate(settings_of(database))
        begin_read_tables(database)
        with psycopg.connect(urls["read_owner_database_url"], autocommit=True) as read_owner:
            read_owner.execute(
                "CREATE FUNCTION read.mine() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN PERFORM FROM log.subject_keys; PERFORM log.create_log('forged'); RETURN NEW; END $$;"
                " CREATE TRIGGER mine BEFORE UPDATE ON read.checkpoints FOR EACH ROW EXECUTE FUNCTION read.mine()"
            )
        move = b"UPDATE read.checkpoints SET position = position"
        with (
            psycopg.connect(urls["projector_database_url"], autocommit=True) as projector,
            pytest.raises(InsufficientPrivilege, match="create_log"),  # the code could read keys, but not write
        ):
            projector.execute(move)


def test_the_search_path_does_not_change_what_a_function_calls(database: Database) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE nspname = 'log' AND prosecdef"
            " AND NOT ('search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}')))"
        )
        assert rows.fetchall() == []


def test_the_rights_name_every_table_of_every_projection(prepared: Database) -> None:
    with psycopg.connect(prepared.query_url, autocommit=True) as reading:
        for table in (table for projection in PROJECTIONS for table in projection.tables):
            reading.execute(f"SELECT FROM read.{table}".encode())


def test_each_login_has_a_limit_of_connections_that_leaves_some_to_the_api(server: Server) -> None:
    with server.database() as database, psycopg.connect(database.url) as superuser:
        logins(database.url)
        found: dict[str, int] = dict(
            superuser.execute(
                "SELECT rolname, rolconnlimit FROM pg_roles WHERE rolname = ANY (%s)", (list(LOGINS),)
            ).fetchall()
        )
    bounds = {"query": 60, "projector": 20, "read_owner": 5, "audit": 10, "reader": 20, "publisher": 10, "replica": 10}
    bounds["sealer"] = 10
    assert found == {"api": -1, "credentials": 40, **bounds}


def test_a_reader_cannot_take_all_connections(server: Server) -> None:
    with server.database() as database:
        url = logins(database.url)["reader_database_url"]
        opened: list[Connection[Any]] = []
        try:
            opened.extend(psycopg.connect(url) for _ in range(20))
            with pytest.raises(psycopg.OperationalError, match='too many connections for role "reader"'):
                psycopg.connect(url)
            shown = opened[0].execute("SHOW default_transaction_read_only").fetchone()
            assert shown == ("on",)
            assert opened[0].execute("SHOW statement_timeout").fetchone() == ("5min",)
        finally:
            for connection in opened:
                connection.close()
