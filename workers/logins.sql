-- A login for each kind of process, member of its role only. So a process that is taken over can do what its role may,
-- and cannot go back to being the owner. Run by the image of PostgreSQL on an empty data folder (docker-compose.yml) and
-- at each start of the embedded server; whatever is there stays. Passwords are set apart (deploy/postgres-passwords.sh).
DO $$
DECLARE
    login text;
    role  text;
BEGIN
    FOREACH login IN ARRAY ARRAY['api', 'query', 'projector', 'read_owner', 'audit', 'reader'] LOOP
        role := 'daybook_' || login;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
            EXECUTE format('CREATE ROLE %I LOGIN IN ROLE %I', login, role);
        END IF;
    END LOOP;
END
$$;

-- Reporting tools are not ours: however many connections they open and whatever they ask, the ledger goes on. A group
-- role has no limits of its own, so they are those of the login. A tool may raise its time-outs, not its connections.
ALTER ROLE reader CONNECTION LIMIT 20;
ALTER ROLE reader SET default_transaction_read_only = on;
ALTER ROLE reader SET statement_timeout = '5min';
ALTER ROLE reader SET lock_timeout = '10s';
ALTER ROLE reader SET idle_in_transaction_session_timeout = '1min';
