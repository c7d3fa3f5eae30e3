-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE transactions (
    position           bigint NOT NULL,
    recorded_at        timestamptz NOT NULL,
    value_date         date NOT NULL,
    description_erased boolean NOT NULL,
    erasure            bigint,
    transaction        text COLLATE "C" NOT NULL,
    kind               text COLLATE "C" NOT NULL,
    entries            json NOT NULL,
    reference          text COLLATE "C",
    subject            text COLLATE "C",
    description        text,
    PRIMARY KEY (transaction)
);

CREATE INDEX transactions_by_kind ON transactions (kind, position);
CREATE INDEX transactions_by_reference ON transactions (reference, position) WHERE reference IS NOT NULL;
CREATE INDEX transactions_by_value_date ON transactions (value_date, position);
CREATE UNIQUE INDEX transactions_in_order ON transactions (position);
CREATE INDEX transactions_of_subject ON transactions (subject) WHERE subject IS NOT NULL;

COMMENT ON TABLE transactions IS 'One row a transaction. A row only loses its description, once the person it is about was erased.';
COMMENT ON COLUMN transactions.transaction IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN transactions.kind IS 'What it is, such as deposit, transfer, fee, reversal or journal.';
COMMENT ON COLUMN transactions.value_date IS 'From which day on it counts.';
COMMENT ON COLUMN transactions.reference IS 'Reference of the client''s business.';
COMMENT ON COLUMN transactions.subject IS 'The person whose key seals the description. NULL without a description.';
COMMENT ON COLUMN transactions.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN transactions.description_erased IS 'Whether the description is gone with a person''s key.';
COMMENT ON COLUMN transactions.entries IS '[{account, side, amount, currency}] in their order, minor units.';
COMMENT ON COLUMN transactions.position IS 'Position in the log.';
COMMENT ON COLUMN transactions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN transactions.erasure IS 'Position in the log at which its text was erased. NULL before.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.transactions AS
SELECT t.transaction, t.kind, t.value_date, t.reference, t.description, json_array_length(t.entries) AS entries,
       t.position, t.recorded_at, coalesce(t.erasure, t.position) AS last_position
  FROM read.transactions t;

COMMENT ON VIEW reporting.transactions IS 'One row a transaction. Its amounts are in reporting.entries, which join by transaction.';
COMMENT ON COLUMN reporting.transactions.transaction IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.transactions.kind IS 'What it is, such as deposit, transfer, fee, reversal or journal.';
COMMENT ON COLUMN reporting.transactions.value_date IS 'From which day on it counts.';
COMMENT ON COLUMN reporting.transactions.reference IS 'Reference of the client''s business.';
COMMENT ON COLUMN reporting.transactions.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN reporting.transactions.entries IS 'How many entries it has.';
COMMENT ON COLUMN reporting.transactions.position IS 'Position in the log.';
COMMENT ON COLUMN reporting.transactions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.transactions.last_position IS 'Position in the log of the last event that changed this row.';
