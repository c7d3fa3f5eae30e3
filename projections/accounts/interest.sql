-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE interest (
    carried       bigint NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    from_day      date NOT NULL,
    rate          integer NOT NULL,
    next_day      date NOT NULL,
    basis         smallint NOT NULL,
    last_day      date,
    interest      text COLLATE "C" NOT NULL,
    account       text COLLATE "C" NOT NULL UNIQUE,
    currency      text COLLATE "C" NOT NULL,
    payout        text COLLATE "C" NOT NULL,
    PRIMARY KEY (interest)
);

CREATE INDEX interest_in_order ON interest (position);

COMMENT ON TABLE interest IS 'One row an account that earns interest, with its newest terms.';
COMMENT ON COLUMN interest.interest IS 'The name of its stream in the log.';
COMMENT ON COLUMN interest.account IS 'The account that earns it.';
COMMENT ON COLUMN interest.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN interest.payout IS 'The account that gets it.';
COMMENT ON COLUMN interest.from_day IS 'The day from which on the newest rate holds.';
COMMENT ON COLUMN interest.rate IS 'The newest rate in millionths a year.';
COMMENT ON COLUMN interest.basis IS 'The days a year of that rate: 360 or 365.';
COMMENT ON COLUMN interest.next_day IS 'The first day that is not credited. It has ended if this is after the last one.';
COMMENT ON COLUMN interest.last_day IS 'The last day that earns interest. NULL: no end.';
COMMENT ON COLUMN interest.carried IS 'What is carried to the next month, of 26280000000 parts of a minor unit.';
COMMENT ON COLUMN interest.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN interest.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN interest.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN interest.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE interest_credits (
    carried     bigint NOT NULL,
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    first_day   date NOT NULL,
    until       date NOT NULL,
    account     text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    payout      text COLLATE "C" NOT NULL,
    balances    json NOT NULL,
    amount      numeric NOT NULL,
    transaction text COLLATE "C",
    PRIMARY KEY (account, first_day)
);

CREATE INDEX interest_credits_in_order ON interest_credits (position);

COMMENT ON TABLE interest_credits IS 'One row an account and month whose interest was credited. Amounts in minor units. Rows are never changed.';
COMMENT ON COLUMN interest_credits.account IS 'The account that earned it.';
COMMENT ON COLUMN interest_credits.first_day IS 'The first day.';
COMMENT ON COLUMN interest_credits.until IS 'The last day.';
COMMENT ON COLUMN interest_credits.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN interest_credits.payout IS 'The account that got it.';
COMMENT ON COLUMN interest_credits.balances IS '[{day, balance}]: the balance by value date of the first day and of each change, minor units.';
COMMENT ON COLUMN interest_credits.amount IS 'What was credited.';
COMMENT ON COLUMN interest_credits.carried IS 'What is carried to the next month, of 26280000000 parts of a minor unit.';
COMMENT ON COLUMN interest_credits.transaction IS 'The transaction that credited it. NULL: it was less than a minor unit.';
COMMENT ON COLUMN interest_credits.position IS 'Position in the log.';
COMMENT ON COLUMN interest_credits.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.interest AS
SELECT t.interest, t.account, t.currency, t.payout, t.from_day, t.rate, t.basis, t.next_day, t.last_day, t.carried,
       t.version, t.position, t.last_position, t.last_at
  FROM read.interest t;

COMMENT ON VIEW reporting.interest IS 'One row an account that earns interest, with its newest terms.';
COMMENT ON COLUMN reporting.interest.interest IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.interest.account IS 'The account that earns it.';
COMMENT ON COLUMN reporting.interest.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.interest.payout IS 'The account that gets it.';
COMMENT ON COLUMN reporting.interest.from_day IS 'The day from which on the newest rate holds.';
COMMENT ON COLUMN reporting.interest.rate IS 'The newest rate in millionths a year.';
COMMENT ON COLUMN reporting.interest.basis IS 'The days a year of that rate: 360 or 365.';
COMMENT ON COLUMN reporting.interest.next_day IS 'The first day that is not credited. It has ended if this is after the last one.';
COMMENT ON COLUMN reporting.interest.last_day IS 'The last day that earns interest. NULL: no end.';
COMMENT ON COLUMN reporting.interest.carried IS 'What is carried to the next month, of 26280000000 parts of a minor unit.';
COMMENT ON COLUMN reporting.interest.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.interest.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.interest.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.interest.last_at IS 'When its last event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.interest_credits AS
SELECT t.account, t.first_day, t.until, t.currency, t.payout, t.amount * c.minor_unit AS amount, t.transaction,
       t.position, t.recorded_at, t.carried, t.position AS last_position
  FROM read.interest_credits t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.interest_credits IS 'One row an account and month whose interest was credited. Amounts in major units.';
COMMENT ON COLUMN reporting.interest_credits.account IS 'The account that earned it.';
COMMENT ON COLUMN reporting.interest_credits.first_day IS 'The first day.';
COMMENT ON COLUMN reporting.interest_credits.until IS 'The last day.';
COMMENT ON COLUMN reporting.interest_credits.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.interest_credits.payout IS 'The account that got it.';
COMMENT ON COLUMN reporting.interest_credits.amount IS 'What was credited.';
COMMENT ON COLUMN reporting.interest_credits.transaction IS 'The transaction that credited it. NULL: it was less than a minor unit.';
COMMENT ON COLUMN reporting.interest_credits.position IS 'Position in the log.';
COMMENT ON COLUMN reporting.interest_credits.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.interest_credits.carried IS 'What is carried to the next month, in parts of a minor unit: 26280000000 are one.';
COMMENT ON COLUMN reporting.interest_credits.last_position IS 'Position in the log of the last event that changed this row.';
