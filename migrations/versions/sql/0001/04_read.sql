-- The frame of the read models: the projector owns it and makes its tables in it; the log is only read.
CREATE SCHEMA read AUTHORIZATION daybook_projector;
CREATE SCHEMA reporting AUTHORIZATION daybook_projector;
COMMENT ON SCHEMA read IS 'Tables folded from the log, minor units. Each can be dropped and rebuilt.';
COMMENT ON SCHEMA reporting IS 'Stable views for reporting tools, major units.';

SET LOCAL ROLE daybook_projector;

CREATE TABLE read.checkpoints (
    projection text COLLATE "C" NOT NULL,
    log        integer NOT NULL,
    position   bigint NOT NULL,
    epoch      integer NOT NULL,
    digest     bytea NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, log)
) WITH (fillfactor = 10);
COMMENT ON TABLE read.checkpoints IS 'How far each projection has folded the log. Always the end of a unit.';
COMMENT ON COLUMN read.checkpoints.digest IS 'SHA-256 over the event at position: another event there means another history, and the projection refuses to start.';

ALTER DEFAULT PRIVILEGES IN SCHEMA read GRANT SELECT ON TABLES TO daybook_api;
ALTER DEFAULT PRIVILEGES IN SCHEMA reporting GRANT SELECT ON TABLES TO daybook_api, daybook_reader;
GRANT SELECT ON read.checkpoints TO daybook_api;
GRANT USAGE ON SCHEMA read TO daybook_api;
GRANT USAGE ON SCHEMA reporting TO daybook_api, daybook_reader;

RESET ROLE;
