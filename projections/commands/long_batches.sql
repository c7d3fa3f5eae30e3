-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE long_batches (
    bytes              bigint NOT NULL,
    opened_at          timestamptz NOT NULL,
    expires_at         timestamptz NOT NULL,
    version            bigint NOT NULL,
    position           bigint NOT NULL,
    last_position      bigint NOT NULL,
    last_at            timestamptz NOT NULL,
    items              integer NOT NULL,
    received           integer NOT NULL,
    parts              integer NOT NULL,
    part_items         integer NOT NULL,
    done               integer NOT NULL,
    accepted           integer NOT NULL,
    refused            integer NOT NULL,
    expectation_failed integer NOT NULL,
    key_reused         integer NOT NULL,
    unrecorded         integer NOT NULL,
    started_at         timestamptz,
    ended_at           timestamptz,
    batch              text COLLATE "C" NOT NULL,
    sender             text COLLATE "C" NOT NULL,
    status             text COLLATE "C" NOT NULL,
    cause              text COLLATE "C",
    stopped_by         text COLLATE "C",
    PRIMARY KEY (batch)
);

CREATE INDEX long_batches_in_order ON long_batches (position);
CREATE INDEX long_batches_in_status ON long_batches (status, position);
CREATE INDEX long_batches_of_sender ON long_batches (sender, position);

COMMENT ON TABLE long_batches IS 'One row a long batch, as it is now.';
COMMENT ON COLUMN long_batches.batch IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN long_batches.sender IS 'Who sends it; the actor of its items.';
COMMENT ON COLUMN long_batches.status IS 'receiving, running, stopped or finished.';
COMMENT ON COLUMN long_batches.cause IS 'Why it was stopped: asked, sender, expired or lost. NULL if it was not.';
COMMENT ON COLUMN long_batches.stopped_by IS 'Who stopped it. NULL if nobody did.';
COMMENT ON COLUMN long_batches.items IS 'How many items it has.';
COMMENT ON COLUMN long_batches.received IS 'Items that came.';
COMMENT ON COLUMN long_batches.bytes IS 'Size of the items that came, in bytes.';
COMMENT ON COLUMN long_batches.parts IS 'Parts that came.';
COMMENT ON COLUMN long_batches.part_items IS 'Items of each part but the last. 0 before the first.';
COMMENT ON COLUMN long_batches.done IS 'Parts that were carried out.';
COMMENT ON COLUMN long_batches.accepted IS 'Items of these parts that were carried out.';
COMMENT ON COLUMN long_batches.refused IS 'Items that a rule refused.';
COMMENT ON COLUMN long_batches.expectation_failed IS 'Items that expected another version of a stream.';
COMMENT ON COLUMN long_batches.key_reused IS 'Items whose key came with another request before.';
COMMENT ON COLUMN long_batches.unrecorded IS 'Items without a recorded answer: malformed, unknown or forbidden.';
COMMENT ON COLUMN long_batches.opened_at IS 'When it was opened, UTC.';
COMMENT ON COLUMN long_batches.expires_at IS 'When it is ended unless it has finished, UTC.';
COMMENT ON COLUMN long_batches.started_at IS 'When its last part came, UTC. NULL before.';
COMMENT ON COLUMN long_batches.ended_at IS 'When it was finished or stopped, UTC. NULL before.';
COMMENT ON COLUMN long_batches.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN long_batches.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN long_batches.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN long_batches.last_at IS 'When the last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.long_batches AS
SELECT t.batch, t.sender, t.status, t.cause, t.stopped_by, t.items, t.received, t.bytes, t.parts, t.part_items,
       t.done, t.accepted, t.refused, t.expectation_failed, t.key_reused, t.unrecorded, t.opened_at, t.expires_at,
       t.started_at, t.ended_at, t.version, t.position, t.last_position, t.last_at
  FROM read.long_batches t;

COMMENT ON VIEW reporting.long_batches IS 'One row a long batch, as it is now.';
COMMENT ON COLUMN reporting.long_batches.batch IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.long_batches.sender IS 'Who sends it; the actor of its items.';
COMMENT ON COLUMN reporting.long_batches.status IS 'receiving, running, stopped or finished.';
COMMENT ON COLUMN reporting.long_batches.cause IS 'Why it was stopped: asked, sender, expired or lost. NULL if it was not.';
COMMENT ON COLUMN reporting.long_batches.stopped_by IS 'Who stopped it. NULL if nobody did.';
COMMENT ON COLUMN reporting.long_batches.items IS 'How many items it has.';
COMMENT ON COLUMN reporting.long_batches.received IS 'Items that came.';
COMMENT ON COLUMN reporting.long_batches.bytes IS 'Size of the items that came, in bytes.';
COMMENT ON COLUMN reporting.long_batches.parts IS 'Parts that came.';
COMMENT ON COLUMN reporting.long_batches.part_items IS 'Items of each part but the last. 0 before the first.';
COMMENT ON COLUMN reporting.long_batches.done IS 'Parts that were carried out.';
COMMENT ON COLUMN reporting.long_batches.accepted IS 'Items of these parts that were carried out.';
COMMENT ON COLUMN reporting.long_batches.refused IS 'Items that a rule refused.';
COMMENT ON COLUMN reporting.long_batches.expectation_failed IS 'Items that expected another version of a stream.';
COMMENT ON COLUMN reporting.long_batches.key_reused IS 'Items whose key came with another request before.';
COMMENT ON COLUMN reporting.long_batches.unrecorded IS 'Items without a recorded answer: malformed, unknown or forbidden.';
COMMENT ON COLUMN reporting.long_batches.opened_at IS 'When it was opened, UTC.';
COMMENT ON COLUMN reporting.long_batches.expires_at IS 'When it is ended unless it has finished, UTC.';
COMMENT ON COLUMN reporting.long_batches.started_at IS 'When its last part came, UTC. NULL before.';
COMMENT ON COLUMN reporting.long_batches.ended_at IS 'When it was finished or stopped, UTC. NULL before.';
COMMENT ON COLUMN reporting.long_batches.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN reporting.long_batches.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.long_batches.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN reporting.long_batches.last_at IS 'When the last event was recorded, UTC.';
