-- What the engine keeps beside its checkpoints (those are part of the migrations). `prepare` runs this again and again.
DO $$
BEGIN
    IF to_regclass('read.rooms') IS NOT NULL AND to_regclass('read.projections') IS NULL THEN  -- its name until 2026
        ALTER TABLE read.rooms RENAME TO projections;
        ALTER INDEX read.rooms_pkey RENAME TO projections_pkey;
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS read.projections (
    projection text COLLATE "C" PRIMARY KEY,
    shape      text NOT NULL
);
COMMENT ON TABLE read.projections IS 'Version of the fold and digest of the columns with which the tables of each projection were made.';

CREATE TABLE IF NOT EXISTS read.reports (
    projection text COLLATE "C" PRIMARY KEY,
    digest     text NOT NULL
);
COMMENT ON TABLE read.reports IS 'Digest of the statements with which the reporting views of each projection were made.';

CREATE TABLE IF NOT EXISTS read.projection_errors (
    projection text COLLATE "C" NOT NULL,
    log        integer NOT NULL,
    position   bigint NOT NULL,
    stream     text NOT NULL,
    type       text NOT NULL,
    message    text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, log)
);
COMMENT ON TABLE read.projection_errors IS 'Projections that stopped, and at which event. A row goes when the event could be folded after all.';

CREATE TABLE IF NOT EXISTS read.partitions (
    projection  text COLLATE "C" NOT NULL,
    partition   integer NOT NULL,
    topic       text NOT NULL,
    cluster_id  text NOT NULL,
    topic_id    text NOT NULL,
    log         uuid,
    epoch       integer,
    next_offset bigint NOT NULL DEFAULT 0,
    position    bigint NOT NULL DEFAULT 0,
    events      bigint NOT NULL DEFAULT 0,
    stopped     text,
    moved_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (projection, partition)
);
COMMENT ON TABLE read.partitions IS 'How far a projection is folded from each partition of the topic of events. Empty in a database with a log.';

-- What a rebuild folds into new tables, beside those that are read.
CREATE TABLE IF NOT EXISTS read_next.checkpoints (LIKE read.checkpoints INCLUDING ALL);
COMMENT ON TABLE read_next.checkpoints IS 'How far a rebuild has folded the log into the new tables of each projection.';
COMMENT ON COLUMN read_next.checkpoints.rebuilds IS 'A number of that rebuild alone.';

CREATE TABLE IF NOT EXISTS read_next.projection_errors (LIKE read.projection_errors INCLUDING ALL);
COMMENT ON TABLE read_next.projection_errors IS 'Events that stopped a rebuild.';

CREATE TABLE IF NOT EXISTS read.currencies (
    currency   text COLLATE "C" PRIMARY KEY,
    exponent   smallint NOT NULL,
    minor_unit numeric NOT NULL
);
COMMENT ON TABLE read.currencies IS 'ISO 4217 codes and how many digits their minor unit has.';
COMMENT ON COLUMN read.currencies.minor_unit IS '1, 0.01 or 0.001: minor units times this are major units, exactly.';
