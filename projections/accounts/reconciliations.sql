-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE reconciliations (
    lines                  bigint NOT NULL,
    skipped                bigint NOT NULL,
    days_apart             bigint NOT NULL,
    version                bigint NOT NULL,
    position               bigint NOT NULL,
    opened_at              timestamptz NOT NULL,
    last_position          bigint NOT NULL,
    last_at                timestamptz NOT NULL,
    since                  date NOT NULL,
    until                  date NOT NULL,
    mirrored               boolean NOT NULL,
    running                boolean NOT NULL,
    outside_account_erased boolean NOT NULL,
    lines_left             bigint,
    reconciliation         text COLLATE "C" NOT NULL,
    account                text COLLATE "C" NOT NULL,
    currency               text COLLATE "C" NOT NULL,
    statement              text COLLATE "C" NOT NULL,
    opening                numeric NOT NULL,
    closing                numeric NOT NULL,
    status                 text COLLATE "C" NOT NULL,
    ambiguous              json NOT NULL,
    subject                text COLLATE "C" NOT NULL,
    opened_by              text COLLATE "C" NOT NULL,
    outside_account        text,
    PRIMARY KEY (reconciliation)
);

CREATE INDEX reconciliations_in_order ON reconciliations (position);
CREATE INDEX reconciliations_of_account ON reconciliations (account, position);
CREATE INDEX reconciliations_of_subject ON reconciliations (subject);
CREATE INDEX reconciliations_with_status ON reconciliations (status, position);

COMMENT ON TABLE reconciliations IS 'One row a reconciliation, as it is now: an account beside a statement that somebody else made of it. Amounts in minor units, as the statement says them.';
COMMENT ON COLUMN reconciliations.reconciliation IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reconciliations.account IS 'Our account.';
COMMENT ON COLUMN reconciliations.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reconciliations.statement IS 'The id of the statement, by whoever made it.';
COMMENT ON COLUMN reconciliations.mirrored IS 'Whether their credit is our debit.';
COMMENT ON COLUMN reconciliations.since IS 'The first day of the statement.';
COMMENT ON COLUMN reconciliations.until IS 'Its last day.';
COMMENT ON COLUMN reconciliations.opening IS 'The balance with which the statement opens.';
COMMENT ON COLUMN reconciliations.closing IS 'The balance with which it closes.';
COMMENT ON COLUMN reconciliations.lines IS 'How many lines it has.';
COMMENT ON COLUMN reconciliations.skipped IS 'Entries of its file that were not booked, and are no lines.';
COMMENT ON COLUMN reconciliations.days_apart IS 'By how many days the value dates of a line and an entry may differ.';
COMMENT ON COLUMN reconciliations.status IS 'open, closed or abandoned.';
COMMENT ON COLUMN reconciliations.running IS 'Whether its lines are being matched by the rules.';
COMMENT ON COLUMN reconciliations.ambiguous IS 'The numbers of lines that more than one entry fits, by the last run of the rules.';
COMMENT ON COLUMN reconciliations.lines_left IS 'Lines that were not matched when it was closed. NULL while it is open.';
COMMENT ON COLUMN reconciliations.subject IS 'The person, or the session, whose key seals the texts of the statement.';
COMMENT ON COLUMN reconciliations.outside_account IS 'The number of the account that the statement names.';
COMMENT ON COLUMN reconciliations.outside_account_erased IS 'Whether that number is gone with the key.';
COMMENT ON COLUMN reconciliations.opened_by IS 'Who brought the statement.';
COMMENT ON COLUMN reconciliations.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reconciliations.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reconciliations.opened_at IS 'When it was opened, UTC.';
COMMENT ON COLUMN reconciliations.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reconciliations.last_at IS 'When that was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.reconciliations AS
SELECT t.reconciliation, t.account, t.currency, t.statement, t.mirrored, t.since, t.until,
       t.opening * c.minor_unit AS opening, t.closing * c.minor_unit AS closing, t.lines, t.skipped, t.days_apart,
       t.status, t.running, t.ambiguous, t.lines_left, t.outside_account, t.opened_by, t.version, t.position,
       t.opened_at, t.last_position, t.last_at
  FROM read.reconciliations t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.reconciliations IS 'One row a reconciliation, as it is now. Amounts in major units, as the statement says them.';
COMMENT ON COLUMN reporting.reconciliations.reconciliation IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.reconciliations.account IS 'Our account.';
COMMENT ON COLUMN reporting.reconciliations.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.reconciliations.statement IS 'The id of the statement, by whoever made it.';
COMMENT ON COLUMN reporting.reconciliations.mirrored IS 'Whether their credit is our debit.';
COMMENT ON COLUMN reporting.reconciliations.since IS 'The first day of the statement.';
COMMENT ON COLUMN reporting.reconciliations.until IS 'Its last day.';
COMMENT ON COLUMN reporting.reconciliations.opening IS 'The balance with which the statement opens.';
COMMENT ON COLUMN reporting.reconciliations.closing IS 'The balance with which it closes.';
COMMENT ON COLUMN reporting.reconciliations.lines IS 'How many lines it has.';
COMMENT ON COLUMN reporting.reconciliations.skipped IS 'Entries of its file that were not booked, and are no lines.';
COMMENT ON COLUMN reporting.reconciliations.days_apart IS 'By how many days the value dates of a line and an entry may differ.';
COMMENT ON COLUMN reporting.reconciliations.status IS 'open, closed or abandoned.';
COMMENT ON COLUMN reporting.reconciliations.running IS 'Whether its lines are being matched by the rules.';
COMMENT ON COLUMN reporting.reconciliations.ambiguous IS 'The numbers of lines that more than one entry fits, by the last run of the rules.';
COMMENT ON COLUMN reporting.reconciliations.lines_left IS 'Lines that were not matched when it was closed. NULL while it is open.';
COMMENT ON COLUMN reporting.reconciliations.outside_account IS 'The number of the account that the statement names.';
COMMENT ON COLUMN reporting.reconciliations.opened_by IS 'Who brought the statement.';
COMMENT ON COLUMN reporting.reconciliations.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.reconciliations.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.reconciliations.opened_at IS 'When it was opened, UTC.';
COMMENT ON COLUMN reporting.reconciliations.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.reconciliations.last_at IS 'When that was recorded, UTC.';
