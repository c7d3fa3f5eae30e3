-- The log: what happened, in order. Nothing in this schema is changed or removed by any role but its owner.
CREATE SCHEMA log AUTHORIZATION daybook_owner;
SET LOCAL ROLE daybook_owner;

CREATE TABLE log.logs (
    log         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text COLLATE "C" NOT NULL UNIQUE CHECK (name <> ''),
    uuid        uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    epoch       integer NOT NULL DEFAULT 1 CHECK (epoch > 0),
    position    bigint NOT NULL DEFAULT 0 CHECK (position >= 0),
    recorded_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);  -- the head row is updated in place (HOT) by every append
COMMENT ON TABLE log.logs IS 'One row a log: its head. Locked by every append, so positions are dense and in commit order.';
COMMENT ON COLUMN log.logs.epoch IS 'Raised when the database is restored from a dump: tokens and checkpoints of before are told apart.';
COMMENT ON COLUMN log.logs.position IS 'Position of the last event; 0 for an empty log.';
COMMENT ON COLUMN log.logs.recorded_at IS 'Time of the last append; never falls.';

CREATE TABLE log.events (
    log         integer NOT NULL,  -- no foreign key: log.append holds the head row of the log; a check an event costs a fifth
    position    bigint NOT NULL,
    unit_end    bigint NOT NULL,
    stream      text COLLATE "C" NOT NULL,
    version     bigint NOT NULL,
    type        text COLLATE "C" NOT NULL,
    recorded_at timestamptz NOT NULL,
    encoding    smallint NOT NULL,
    payload     bytea NOT NULL,
    metadata    bytea NOT NULL,
    PRIMARY KEY (log, position),
    UNIQUE (log, stream, version)
) WITH (autovacuum_analyze_scale_factor = 0.05);
COMMENT ON TABLE log.events IS 'Immutable facts. Positions of a log are 1, 2, 3 … without a gap.';
COMMENT ON COLUMN log.events.unit_end IS 'Position of the last event of the command that appended it: a reader stops only there.';
COMMENT ON COLUMN log.events.encoding IS '0: payload and metadata are JSON in UTF-8. 1: opaque to the store.';

CREATE TABLE log.commands (
    log              integer NOT NULL,
    actor            text COLLATE "C" NOT NULL,
    key              text COLLATE "C" NOT NULL,
    request_hash     bytea NOT NULL,
    outcome          smallint NOT NULL CHECK (outcome IN (1, 2, 3)),
    status           smallint NOT NULL,
    rule             text COLLATE "C",
    result           bytea NOT NULL,
    decided_position bigint NOT NULL,
    first_position   bigint,
    last_position    bigint,
    recorded_at      timestamptz NOT NULL,
    origin           text,
    PRIMARY KEY (log, actor, key),
    CHECK ((first_position IS NULL) = (last_position IS NULL)),
    CHECK ((outcome = 1) = (rule IS NULL))
);
COMMENT ON TABLE log.commands IS 'What became of each command: the first answer, given again to every retry, and the record of refusals.';
COMMENT ON COLUMN log.commands.outcome IS '1 accepted, 2 refused by a business rule, 3 an expectation about a version failed.';
COMMENT ON COLUMN log.commands.status IS 'HTTP status of the answer.';
COMMENT ON COLUMN log.commands.result IS 'JSON: what an accepted command answers, or the figures that decided a refusal. Nothing personal.';
COMMENT ON COLUMN log.commands.decided_position IS 'Head of the log when the decision was validated.';
COMMENT ON COLUMN log.commands.origin IS 'IP address and user agent, under a retention period: see log.forget_origins.';

CREATE INDEX commands_with_origin ON log.commands (recorded_at) WHERE origin IS NOT NULL;

CREATE TABLE log.subject_keys (
    log        integer NOT NULL REFERENCES log.logs,
    subject    text COLLATE "C" NOT NULL,
    sealed_key bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    erased_at  timestamptz,
    PRIMARY KEY (log, subject),
    CHECK ((sealed_key IS NULL) = (erased_at IS NOT NULL))
);
COMMENT ON TABLE log.subject_keys IS 'One data key a person, sealed with the master key. Without it that person''s fields cannot be read.';

CREATE SEQUENCE log.numbers AS bigint;
COMMENT ON SEQUENCE log.numbers IS 'Numbers for people to say, such as account numbers. Holes are fine.';

CREATE VIEW log.events_as_json AS
SELECT l.name AS log, e.position, e.unit_end, e.stream, e.version, e.type, e.recorded_at,
       convert_from(e.payload, 'UTF8')::jsonb AS payload, convert_from(e.metadata, 'UTF8')::jsonb AS metadata
FROM log.events e JOIN log.logs l USING (log)
WHERE e.encoding = 0;
COMMENT ON VIEW log.events_as_json IS 'The log for human eyes. No proof goes through it: what is hashed are the bytes.';

RESET ROLE;
