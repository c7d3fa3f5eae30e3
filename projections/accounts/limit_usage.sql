-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE limit_usage (
    transactions  bigint NOT NULL,
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    day           date NOT NULL,
    account       text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    used          numeric NOT NULL,
    PRIMARY KEY (account, day)
);

CREATE UNIQUE INDEX limit_usage_in_order ON limit_usage (position);

COMMENT ON TABLE limit_usage IS 'One row an account and UTC day with outgoing transactions that counted against its limits.';
COMMENT ON COLUMN limit_usage.account IS 'The account.';
COMMENT ON COLUMN limit_usage.day IS 'Calendar date, UTC.';
COMMENT ON COLUMN limit_usage.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN limit_usage.transactions IS 'How many transactions counted.';
COMMENT ON COLUMN limit_usage.used IS 'What they took, less what reversals gave back.';
COMMENT ON COLUMN limit_usage.position IS 'Position in the log of the first of them.';
COMMENT ON COLUMN limit_usage.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN limit_usage.last_at IS 'When that event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.limit_usage AS
SELECT t.account, t.day, t.currency, t.transactions, t.used * c.minor_unit AS used, t.position, t.last_position,
       t.last_at
  FROM read.limit_usage t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.limit_usage IS 'One row an account and UTC day with outgoing transactions that counted. Amounts in major units.';
COMMENT ON COLUMN reporting.limit_usage.account IS 'The account.';
COMMENT ON COLUMN reporting.limit_usage.day IS 'Calendar date, UTC.';
COMMENT ON COLUMN reporting.limit_usage.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.limit_usage.transactions IS 'How many transactions counted.';
COMMENT ON COLUMN reporting.limit_usage.used IS 'What they took, less what reversals gave back.';
COMMENT ON COLUMN reporting.limit_usage.position IS 'Position in the log of the first of them.';
COMMENT ON COLUMN reporting.limit_usage.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN reporting.limit_usage.last_at IS 'When that event was recorded, UTC.';
