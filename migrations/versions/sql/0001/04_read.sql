-- The frame of the read models. Their owner has no right on the log (databases made before revision 0006 had the
-- projector here; migrations/rights brings them over).
CREATE SCHEMA read AUTHORIZATION daybook_read_owner;
CREATE SCHEMA reporting AUTHORIZATION daybook_read_owner;
COMMENT ON SCHEMA read IS 'Tables folded from the log, minor units. Each can be dropped and rebuilt.';
COMMENT ON SCHEMA reporting IS 'Stable views for reporting tools, major units.';

SET LOCAL ROLE daybook_read_owner;

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

RESET ROLE;
