-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE statement_parts (
    first          bigint NOT NULL,
    count          bigint NOT NULL,
    position       bigint NOT NULL,
    part           text COLLATE "C" NOT NULL,
    reconciliation text COLLATE "C" NOT NULL,
    subject        text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    PRIMARY KEY (part)
);

CREATE INDEX statement_parts_of_session ON statement_parts (reconciliation, first);
CREATE INDEX statement_parts_of_subject ON statement_parts (subject);

COMMENT ON TABLE statement_parts IS 'One row a part of a statement that is reconciled. Parts have some lines each.';
COMMENT ON COLUMN statement_parts.part IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN statement_parts.reconciliation IS 'The session.';
COMMENT ON COLUMN statement_parts.subject IS 'The person, or the session, whose key seals the texts.';
COMMENT ON COLUMN statement_parts.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN statement_parts.first IS 'The number of its first line in the statement, from 1.';
COMMENT ON COLUMN statement_parts.count IS 'How many lines it has.';
COMMENT ON COLUMN statement_parts.position IS 'Position in the log of the event that listed it.';

CREATE TABLE statement_lines (
    number         bigint NOT NULL,
    amount         bigint NOT NULL,
    booked_on      date NOT NULL,
    value_date     date NOT NULL,
    erasure        bigint,
    part           text COLLATE "C" NOT NULL,
    reconciliation text COLLATE "C" NOT NULL,
    "references"   json NOT NULL,
    bank_reference text COLLATE "C",
    counterparty   text,
    text           text,
    PRIMARY KEY (part, number)
);

CREATE INDEX statement_lines_of_session ON statement_lines (reconciliation, number);

COMMENT ON TABLE statement_lines IS 'One row a line of a statement that is reconciled. Amounts in minor units, as the statement says them.';
COMMENT ON COLUMN statement_lines.part IS 'The part of the statement that has it.';
COMMENT ON COLUMN statement_lines.number IS 'Its number in the statement, from 1.';
COMMENT ON COLUMN statement_lines.reconciliation IS 'The session.';
COMMENT ON COLUMN statement_lines.booked_on IS 'When it was booked there.';
COMMENT ON COLUMN statement_lines.value_date IS 'From which day on it counts there.';
COMMENT ON COLUMN statement_lines.amount IS 'Positive for a credit there.';
COMMENT ON COLUMN statement_lines."references" IS 'References of the business of payer and payee: a JSON array of codes.';
COMMENT ON COLUMN statement_lines.bank_reference IS 'The reference of whoever made the statement.';
COMMENT ON COLUMN statement_lines.counterparty IS 'Who paid or was paid. NULL where none is named, and once it was erased.';
COMMENT ON COLUMN statement_lines.text IS 'What it was for. NULL where there is none, and once it was erased.';
COMMENT ON COLUMN statement_lines.erasure IS 'Position in the log at which its text was erased. NULL before.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.statement_parts AS
SELECT t.part, t.reconciliation, t.currency, t.first, t.count, t.position, t.position AS last_position
  FROM read.statement_parts t;

COMMENT ON VIEW reporting.statement_parts IS 'One row a part of a statement that is reconciled.';
COMMENT ON COLUMN reporting.statement_parts.part IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.statement_parts.reconciliation IS 'The session.';
COMMENT ON COLUMN reporting.statement_parts.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.statement_parts.first IS 'The number of its first line in the statement, from 1.';
COMMENT ON COLUMN reporting.statement_parts.count IS 'How many lines it has.';
COMMENT ON COLUMN reporting.statement_parts.position IS 'Position in the log of the event that listed it.';
COMMENT ON COLUMN reporting.statement_parts.last_position IS 'Position in the log of the last event that changed this row.';

CREATE OR REPLACE VIEW reporting.statement_lines AS
SELECT t.reconciliation, t.number, t.booked_on, t.value_date, t.amount * c.minor_unit AS amount, o.currency,
       t."references", t.bank_reference, t.counterparty, t.text, t.part,
       coalesce(t.erasure, o.position) AS last_position
  FROM read.statement_lines t JOIN read.statement_parts o USING (part) JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.statement_lines IS 'One row a line of a statement that is reconciled. Amounts in major units, as the statement says them.';
COMMENT ON COLUMN reporting.statement_lines.reconciliation IS 'The session.';
COMMENT ON COLUMN reporting.statement_lines.number IS 'Its number in the statement, from 1.';
COMMENT ON COLUMN reporting.statement_lines.booked_on IS 'When it was booked there.';
COMMENT ON COLUMN reporting.statement_lines.value_date IS 'From which day on it counts there.';
COMMENT ON COLUMN reporting.statement_lines.amount IS 'Positive for a credit there.';
COMMENT ON COLUMN reporting.statement_lines.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.statement_lines."references" IS 'References of the business of payer and payee: a JSON array of codes.';
COMMENT ON COLUMN reporting.statement_lines.bank_reference IS 'The reference of whoever made the statement.';
COMMENT ON COLUMN reporting.statement_lines.counterparty IS 'Who paid or was paid. NULL where none is named, and once it was erased.';
COMMENT ON COLUMN reporting.statement_lines.text IS 'What it was for. NULL where there is none, and once it was erased.';
COMMENT ON COLUMN reporting.statement_lines.part IS 'The part of the statement that has it.';
COMMENT ON COLUMN reporting.statement_lines.last_position IS 'Position in the log of the last event that changed this row.';
