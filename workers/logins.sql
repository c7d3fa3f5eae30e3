-- A login for each kind of process, member of its role only. So a process that is taken over can do what its role may,
-- and cannot go back to being the owner. Run by the image of PostgreSQL on an empty data folder (docker-compose.yml) and
-- at each start of the embedded server; whatever is there stays. Passwords are set apart (deploy/postgres-passwords.sh).
DO $$
DECLARE
    login text;
    role  text;
BEGIN
    LOCK TABLE pg_authid IN SHARE UPDATE EXCLUSIVE MODE;  -- of two commands at once one makes them
    FOREACH login IN ARRAY ARRAY['api', 'query', 'projector', 'read_owner', 'audit', 'reader', 'publisher',
                               'replica', 'credentials', 'sealer'] LOOP
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

-- A group role has no bounds of its own, so they are those of the login. Each login has enough connections for its
-- processes and cannot take those of the others: of a server's 100 connections, the API keeps its own.
ALTER ROLE query CONNECTION LIMIT 60;
ALTER ROLE projector CONNECTION LIMIT 20;
ALTER ROLE read_owner CONNECTION LIMIT 5;
ALTER ROLE audit CONNECTION LIMIT 10;
ALTER ROLE publisher CONNECTION LIMIT 10;
ALTER ROLE replica CONNECTION LIMIT 10;
ALTER ROLE credentials CONNECTION LIMIT 40;
ALTER ROLE sealer CONNECTION LIMIT 10;

-- Reporting tools are not ours: however many connections they open and whatever they ask, the ledger goes on. A tool may
-- raise its time-outs, not its connections.
ALTER ROLE reader CONNECTION LIMIT 20;
ALTER ROLE reader SET default_transaction_read_only = on;
ALTER ROLE reader SET statement_timeout = '5min';
ALTER ROLE reader SET lock_timeout = '10s';
ALTER ROLE reader SET idle_in_transaction_session_timeout = '1min';
