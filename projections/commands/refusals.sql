-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE refusals (
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    refusal     text COLLATE "C" NOT NULL,
    actor       text COLLATE "C" NOT NULL,
    command_key text COLLATE "C" NOT NULL,
    command     text COLLATE "C" NOT NULL,
    rule        text COLLATE "C" NOT NULL,
    figures     json NOT NULL,
    transaction text COLLATE "C",
    PRIMARY KEY (refusal)
);

CREATE INDEX refusals_by_rule ON refusals (rule, position);
CREATE INDEX refusals_by_time ON refusals (recorded_at);
CREATE INDEX refusals_in_order ON refusals (position);
CREATE INDEX refusals_of_actor ON refusals (actor, position);
CREATE INDEX refusals_of_command ON refusals (command, position);
CREATE INDEX refusals_of_transaction ON refusals (transaction, position) WHERE transaction IS NOT NULL;

COMMENT ON TABLE refusals IS 'One row a refused command. Rows are never changed.';
COMMENT ON COLUMN refusals.refusal IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN refusals.actor IS 'Whose command it was.';
COMMENT ON COLUMN refusals.command_key IS 'The idempotency key of the command.';
COMMENT ON COLUMN refusals.command IS 'The type of the command.';
COMMENT ON COLUMN refusals.rule IS 'The rule that refused it; expectation_failed where a stream had another version.';
COMMENT ON COLUMN refusals.figures IS 'What explains the refusal; amounts in major units.';
COMMENT ON COLUMN refusals.transaction IS 'The transaction that the figures name. NULL: none.';
COMMENT ON COLUMN refusals.position IS 'Position in the log.';
COMMENT ON COLUMN refusals.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.refusals AS
SELECT t.refusal, t.actor, t.command_key, t.command, t.rule, t.figures, t.position, t.recorded_at,
       t.position AS last_position, t.transaction
  FROM read.refusals t;

COMMENT ON VIEW reporting.refusals IS 'One row a refused command.';
COMMENT ON COLUMN reporting.refusals.refusal IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.refusals.actor IS 'Whose command it was.';
COMMENT ON COLUMN reporting.refusals.command_key IS 'The idempotency key of the command.';
COMMENT ON COLUMN reporting.refusals.command IS 'The type of the command.';
COMMENT ON COLUMN reporting.refusals.rule IS 'The rule that refused it; expectation_failed where a stream had another version.';
COMMENT ON COLUMN reporting.refusals.figures IS 'What explains the refusal; amounts in major units.';
COMMENT ON COLUMN reporting.refusals.position IS 'Position in the log.';
COMMENT ON COLUMN reporting.refusals.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.refusals.last_position IS 'Position in the log of the last event that changed this row.';
COMMENT ON COLUMN reporting.refusals.transaction IS 'The transaction that the figures name. NULL: none.';
