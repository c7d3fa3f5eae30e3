-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE reconciliation_matches (
    version        bigint NOT NULL,
    position       bigint NOT NULL,
    made_at        timestamptz NOT NULL,
    last_position  bigint NOT NULL,
    last_at        timestamptz NOT NULL,
    match          text COLLATE "C" NOT NULL,
    reconciliation text COLLATE "C" NOT NULL,
    account        text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL,
    rule           text COLLATE "C" NOT NULL,
    lines_amount   numeric NOT NULL,
    difference     numeric NOT NULL,
    operator       text COLLATE "C" NOT NULL,
    PRIMARY KEY (match)
);

CREATE INDEX reconciliation_matches_in_order ON reconciliation_matches (position);
CREATE INDEX reconciliation_matches_of_session ON reconciliation_matches (reconciliation, position);

COMMENT ON TABLE reconciliation_matches IS 'One row a match of a reconciliation, as it is now. Amounts in minor units, in our direction.';
COMMENT ON COLUMN reconciliation_matches.match IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reconciliation_matches.reconciliation IS 'The session.';
COMMENT ON COLUMN reconciliation_matches.account IS 'Our account.';
COMMENT ON COLUMN reconciliation_matches.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reconciliation_matches.status IS 'matched or undone.';
COMMENT ON COLUMN reconciliation_matches.rule IS 'The rule that made it, or by_hand.';
COMMENT ON COLUMN reconciliation_matches.lines_amount IS 'The sum of its lines.';
COMMENT ON COLUMN reconciliation_matches.difference IS 'What the lines have more than the entries.';
COMMENT ON COLUMN reconciliation_matches.operator IS 'Who made it.';
COMMENT ON COLUMN reconciliation_matches.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reconciliation_matches.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reconciliation_matches.made_at IS 'When it was made, UTC.';
COMMENT ON COLUMN reconciliation_matches.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reconciliation_matches.last_at IS 'When that was recorded, UTC.';

CREATE TABLE reconciliation_match_lines (
    number         bigint NOT NULL,
    match          text COLLATE "C" NOT NULL,
    reconciliation text COLLATE "C" NOT NULL,
    PRIMARY KEY (match, number)
);

CREATE INDEX reconciliation_match_lines_of_session ON reconciliation_match_lines (reconciliation, number);

COMMENT ON TABLE reconciliation_match_lines IS 'One row a line of a match. Rows are never changed.';
COMMENT ON COLUMN reconciliation_match_lines.match IS 'The match.';
COMMENT ON COLUMN reconciliation_match_lines.number IS 'The number of the line in its statement.';
COMMENT ON COLUMN reconciliation_match_lines.reconciliation IS 'The session.';

CREATE TABLE reconciliation_match_entries (
    amount         bigint NOT NULL,
    value_date     date NOT NULL,
    entry          smallint NOT NULL,
    match          text COLLATE "C" NOT NULL,
    transaction    text COLLATE "C" NOT NULL,
    reconciliation text COLLATE "C" NOT NULL,
    account        text COLLATE "C" NOT NULL,
    PRIMARY KEY (match, transaction, entry)
);

CREATE INDEX reconciliation_match_entries_of_account ON reconciliation_match_entries (account, value_date);
CREATE INDEX reconciliation_match_entries_of_entry ON reconciliation_match_entries (transaction, entry);
CREATE INDEX reconciliation_match_entries_of_session ON reconciliation_match_entries (reconciliation);

COMMENT ON TABLE reconciliation_match_entries IS 'One row an entry of a match. Rows are never changed. Amounts in minor units.';
COMMENT ON COLUMN reconciliation_match_entries.match IS 'The match.';
COMMENT ON COLUMN reconciliation_match_entries.transaction IS 'The transaction.';
COMMENT ON COLUMN reconciliation_match_entries.entry IS 'The number of the entry in it.';
COMMENT ON COLUMN reconciliation_match_entries.reconciliation IS 'The session.';
COMMENT ON COLUMN reconciliation_match_entries.account IS 'Our account.';
COMMENT ON COLUMN reconciliation_match_entries.amount IS 'Positive for a credit.';
COMMENT ON COLUMN reconciliation_match_entries.value_date IS 'From which day on it counts.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.reconciliation_matches AS
SELECT t.match, t.reconciliation, t.account, t.currency, t.status, t.rule,
       t.lines_amount * c.minor_unit AS lines_amount, t.difference * c.minor_unit AS difference, t.operator,
       t.version, t.position, t.made_at, t.last_position, t.last_at
  FROM read.reconciliation_matches t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.reconciliation_matches IS 'One row a match of a reconciliation, as it is now. Amounts in major units, in our direction.';
COMMENT ON COLUMN reporting.reconciliation_matches.match IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.reconciliation_matches.reconciliation IS 'The session.';
COMMENT ON COLUMN reporting.reconciliation_matches.account IS 'Our account.';
COMMENT ON COLUMN reporting.reconciliation_matches.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.reconciliation_matches.status IS 'matched or undone.';
COMMENT ON COLUMN reporting.reconciliation_matches.rule IS 'The rule that made it, or by_hand.';
COMMENT ON COLUMN reporting.reconciliation_matches.lines_amount IS 'The sum of its lines.';
COMMENT ON COLUMN reporting.reconciliation_matches.difference IS 'What the lines have more than the entries.';
COMMENT ON COLUMN reporting.reconciliation_matches.operator IS 'Who made it.';
COMMENT ON COLUMN reporting.reconciliation_matches.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.reconciliation_matches.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.reconciliation_matches.made_at IS 'When it was made, UTC.';
COMMENT ON COLUMN reporting.reconciliation_matches.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.reconciliation_matches.last_at IS 'When that was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.reconciliation_match_lines AS
SELECT t.match, t.number, t.reconciliation, o.status, o.last_position
  FROM read.reconciliation_match_lines t JOIN read.reconciliation_matches o USING (match);

COMMENT ON VIEW reporting.reconciliation_match_lines IS 'One row a line of a match.';
COMMENT ON COLUMN reporting.reconciliation_match_lines.match IS 'The match.';
COMMENT ON COLUMN reporting.reconciliation_match_lines.number IS 'The number of the line in its statement.';
COMMENT ON COLUMN reporting.reconciliation_match_lines.reconciliation IS 'The session.';
COMMENT ON COLUMN reporting.reconciliation_match_lines.status IS 'matched or undone, as the match is.';
COMMENT ON COLUMN reporting.reconciliation_match_lines.last_position IS 'Position in the log of the last event that changed this row.';

CREATE OR REPLACE VIEW reporting.reconciliation_match_entries AS
SELECT t.match, t.transaction, t.entry, t.reconciliation, t.account, o.currency, t.amount * c.minor_unit AS amount,
       t.value_date, o.status, o.last_position
  FROM read.reconciliation_match_entries t JOIN read.reconciliation_matches o USING (match) JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.reconciliation_match_entries IS 'One row an entry of a match. Amounts in major units.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.match IS 'The match.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.transaction IS 'The transaction.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.entry IS 'The number of the entry in it.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.reconciliation IS 'The session.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.account IS 'Our account.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.amount IS 'Positive for a credit.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.value_date IS 'From which day on it counts.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.status IS 'matched or undone, as the match is.';
COMMENT ON COLUMN reporting.reconciliation_match_entries.last_position IS 'Position in the log of the last event that changed this row.';
