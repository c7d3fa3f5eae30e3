-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE entries (
    number        bigint NOT NULL,
    amount        bigint NOT NULL,
    position      bigint NOT NULL,
    recorded_at   timestamptz NOT NULL,
    value_date    date NOT NULL,
    entry         smallint NOT NULL,
    account       text COLLATE "C" NOT NULL,
    transaction   text COLLATE "C" NOT NULL,
    side          text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    balance_after numeric NOT NULL,
    PRIMARY KEY (account, number)
);

COMMENT ON TABLE entries IS 'One row a posting to an account, in the order of booking. Amounts in minor units. Rows are never changed.';
COMMENT ON COLUMN entries.account IS 'The account it was posted to.';
COMMENT ON COLUMN entries.number IS 'Its number within the account: 1, 2, 3 … in the order of booking.';
COMMENT ON COLUMN entries.transaction IS 'The transaction it is part of.';
COMMENT ON COLUMN entries.entry IS 'Its number within the transaction, from 1.';
COMMENT ON COLUMN entries.side IS 'debit (lowers the balance) or credit (raises it).';
COMMENT ON COLUMN entries.amount IS 'Always positive.';
COMMENT ON COLUMN entries.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN entries.value_date IS 'From which day on it counts.';
COMMENT ON COLUMN entries.balance_after IS 'Balance of the account right after it, in the order of booking; never changed afterwards.';
COMMENT ON COLUMN entries.position IS 'Position in the log of its transaction.';
COMMENT ON COLUMN entries.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.entries AS
SELECT t.account, t.number, t.transaction, t.entry, t.side, t.amount * c.minor_unit AS amount, t.currency,
       t.value_date, t.balance_after * c.minor_unit AS balance_after, t.position, t.recorded_at,
       t.position AS last_position
  FROM read.entries t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.entries IS 'One row a posting to an account, in the order of booking. Amounts in major units.';
COMMENT ON COLUMN reporting.entries.account IS 'The account it was posted to.';
COMMENT ON COLUMN reporting.entries.number IS 'Its number within the account: 1, 2, 3 … in the order of booking.';
COMMENT ON COLUMN reporting.entries.transaction IS 'The transaction it is part of.';
COMMENT ON COLUMN reporting.entries.entry IS 'Its number within the transaction, from 1.';
COMMENT ON COLUMN reporting.entries.side IS 'debit (lowers the balance) or credit (raises it).';
COMMENT ON COLUMN reporting.entries.amount IS 'Always positive.';
COMMENT ON COLUMN reporting.entries.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.entries.value_date IS 'From which day on it counts.';
COMMENT ON COLUMN reporting.entries.balance_after IS 'Balance of the account right after it, in the order of booking; never changed afterwards.';
COMMENT ON COLUMN reporting.entries.position IS 'Position in the log of its transaction.';
COMMENT ON COLUMN reporting.entries.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.entries.last_position IS 'Position in the log of the last event that changed this row.';
