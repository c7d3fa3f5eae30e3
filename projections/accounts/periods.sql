-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE periods (
    closed_at      timestamptz NOT NULL,
    position       bigint NOT NULL,
    last_position  bigint NOT NULL,
    last_at        timestamptz NOT NULL,
    begins_on      date NOT NULL,
    ends_on        date NOT NULL,
    reason_erased  boolean NOT NULL,
    sealed_at      timestamptz,
    reopened_at    timestamptz,
    year_closed_at timestamptz,
    period         text COLLATE "C" NOT NULL,
    name           text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL,
    closed_by      text COLLATE "C" NOT NULL,
    digest         text COLLATE "C",
    approval       text COLLATE "C",
    asked_by       text COLLATE "C",
    reason         text,
    reopened_by    text COLLATE "C",
    year           text COLLATE "C",
    year_asked_by  text COLLATE "C",
    PRIMARY KEY (period)
);

CREATE INDEX periods_by_asker ON periods (asked_by);
CREATE INDEX periods_in_order ON periods (position);

COMMENT ON TABLE periods IS 'One row a period that was closed, as it is now. One that is closed again after it was reopened has another row.';
COMMENT ON COLUMN periods.period IS 'Public id.';
COMMENT ON COLUMN periods.name IS 'What the period is called, such as 2026-01. No two closed ones have the same.';
COMMENT ON COLUMN periods.begins_on IS 'Its first day.';
COMMENT ON COLUMN periods.ends_on IS 'Its last day. While it is closed, nothing is posted with a value date up to it.';
COMMENT ON COLUMN periods.status IS 'closed, sealed (its figures are recorded), or open (it was reopened).';
COMMENT ON COLUMN periods.closed_by IS 'Id of the principal who closed it.';
COMMENT ON COLUMN periods.closed_at IS 'When it was closed, UTC.';
COMMENT ON COLUMN periods.sealed_at IS 'When it was sealed, UTC. NULL before.';
COMMENT ON COLUMN periods.digest IS 'SHA-256 of the balances of all accounts at its end (docs/howto/close-periods.md). NULL before the seal.';
COMMENT ON COLUMN periods.approval IS 'The newest request to reopen it. NULL: none.';
COMMENT ON COLUMN periods.asked_by IS 'The person who made that request. NULL: none.';
COMMENT ON COLUMN periods.reason IS 'Why. NULL: no request, or that person was erased.';
COMMENT ON COLUMN periods.reason_erased IS 'Whether the reason is gone with the person''s key.';
COMMENT ON COLUMN periods.reopened_by IS 'The person who approved the reopening. NULL: it was not reopened.';
COMMENT ON COLUMN periods.reopened_at IS 'When it was reopened, UTC. NULL: it was not.';
COMMENT ON COLUMN periods.year IS 'asked or closed: whether the year that ends with it is. NULL: it is open.';
COMMENT ON COLUMN periods.year_asked_by IS 'Id of the principal who asked last to close that year. NULL: nobody.';
COMMENT ON COLUMN periods.year_closed_at IS 'When that year was closed last, UTC. NULL: it was not.';
COMMENT ON COLUMN periods.position IS 'Position in the log of its closing.';
COMMENT ON COLUMN periods.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN periods.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE period_figures (
    accounts bigint NOT NULL,
    position bigint NOT NULL,
    period   text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    type     text COLLATE "C" NOT NULL,
    debits   numeric NOT NULL,
    credits  numeric NOT NULL,
    PRIMARY KEY (period, currency, type)
);

COMMENT ON TABLE period_figures IS 'The figures that periods were sealed with: one row a period, currency and type of account. Never changed.';
COMMENT ON COLUMN period_figures.period IS 'The period.';
COMMENT ON COLUMN period_figures.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN period_figures.type IS 'Type of account, as in accounts.type.';
COMMENT ON COLUMN period_figures.accounts IS 'Accounts of this type with a value date up to the end of the period.';
COMMENT ON COLUMN period_figures.debits IS 'Sum of their debits with value dates up to the end of the period, minor units.';
COMMENT ON COLUMN period_figures.credits IS 'Sum of their credits with value dates up to the end of the period, minor units.';
COMMENT ON COLUMN period_figures.position IS 'Position in the log of the seal.';

CREATE TABLE year_end_transactions (
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    reversed_at   timestamptz,
    transaction   text COLLATE "C" NOT NULL,
    period        text COLLATE "C" NOT NULL,
    PRIMARY KEY (transaction)
);

CREATE INDEX year_end_transactions_by_period ON year_end_transactions (period);

COMMENT ON TABLE year_end_transactions IS 'One row a transaction that closed a year: it moved income and expense in one currency to equity.';
COMMENT ON COLUMN year_end_transactions.transaction IS 'The transaction, of the kind year_end.';
COMMENT ON COLUMN year_end_transactions.period IS 'The period with which the year ends.';
COMMENT ON COLUMN year_end_transactions.reversed_at IS 'When it was wholly reversed, UTC. NULL: it stands.';
COMMENT ON COLUMN year_end_transactions.position IS 'Position in the log of the closing of the year.';
COMMENT ON COLUMN year_end_transactions.last_position IS 'Position in the log of the last event that changed this row.';
COMMENT ON COLUMN year_end_transactions.last_at IS 'When that event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.periods AS
SELECT t.period, t.name, t.begins_on, t.ends_on, t.status, t.closed_by, t.closed_at, t.sealed_at, t.digest,
       t.approval, t.asked_by, t.reopened_by, t.reopened_at, t.year, t.year_asked_by, t.year_closed_at, t.position,
       t.last_position, t.last_at
  FROM read.periods t;

COMMENT ON VIEW reporting.periods IS 'One row a period that was closed, as it is now.';
COMMENT ON COLUMN reporting.periods.period IS 'Public id.';
COMMENT ON COLUMN reporting.periods.name IS 'What the period is called, such as 2026-01. No two closed ones have the same.';
COMMENT ON COLUMN reporting.periods.begins_on IS 'Its first day.';
COMMENT ON COLUMN reporting.periods.ends_on IS 'Its last day. While it is closed, nothing is posted with a value date up to it.';
COMMENT ON COLUMN reporting.periods.status IS 'closed, sealed (its figures are recorded), or open (it was reopened).';
COMMENT ON COLUMN reporting.periods.closed_by IS 'Id of the principal who closed it.';
COMMENT ON COLUMN reporting.periods.closed_at IS 'When it was closed, UTC.';
COMMENT ON COLUMN reporting.periods.sealed_at IS 'When it was sealed, UTC. NULL before.';
COMMENT ON COLUMN reporting.periods.digest IS 'SHA-256 of the balances of all accounts at its end (docs/howto/close-periods.md). NULL before the seal.';
COMMENT ON COLUMN reporting.periods.approval IS 'The newest request to reopen it. NULL: none.';
COMMENT ON COLUMN reporting.periods.asked_by IS 'The person who made that request. NULL: none.';
COMMENT ON COLUMN reporting.periods.reopened_by IS 'The person who approved the reopening. NULL: it was not reopened.';
COMMENT ON COLUMN reporting.periods.reopened_at IS 'When it was reopened, UTC. NULL: it was not.';
COMMENT ON COLUMN reporting.periods.year IS 'asked or closed: whether the year that ends with it is. NULL: it is open.';
COMMENT ON COLUMN reporting.periods.year_asked_by IS 'Id of the principal who asked last to close that year. NULL: nobody.';
COMMENT ON COLUMN reporting.periods.year_closed_at IS 'When that year was closed last, UTC. NULL: it was not.';
COMMENT ON COLUMN reporting.periods.position IS 'Position in the log of its closing.';
COMMENT ON COLUMN reporting.periods.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.periods.last_at IS 'When its last event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.period_figures AS
SELECT t.period, t.currency, t.type, t.accounts, t.debits * c.minor_unit AS debits,
       t.credits * c.minor_unit AS credits, (t.credits - t.debits) * c.minor_unit AS balance, t.position,
       t.position AS last_position
  FROM read.period_figures t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.period_figures IS 'The figures that periods were sealed with: one row a period, currency and type of account, major units.';
COMMENT ON COLUMN reporting.period_figures.period IS 'The period.';
COMMENT ON COLUMN reporting.period_figures.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.period_figures.type IS 'Type of account, as in accounts.type.';
COMMENT ON COLUMN reporting.period_figures.accounts IS 'Accounts of this type with a value date up to the end of the period.';
COMMENT ON COLUMN reporting.period_figures.debits IS 'Sum of their debits with value dates up to the end of the period, minor units.';
COMMENT ON COLUMN reporting.period_figures.credits IS 'Sum of their credits with value dates up to the end of the period, minor units.';
COMMENT ON COLUMN reporting.period_figures.balance IS 'Credits less debits.';
COMMENT ON COLUMN reporting.period_figures.position IS 'Position in the log of the seal.';
COMMENT ON COLUMN reporting.period_figures.last_position IS 'Position in the log of the last event that changed this row.';

CREATE OR REPLACE VIEW reporting.year_end_transactions AS
SELECT t.transaction, t.period, t.reversed_at, t.position, t.last_position, t.last_at
  FROM read.year_end_transactions t;

COMMENT ON VIEW reporting.year_end_transactions IS 'One row a transaction that closed a year.';
COMMENT ON COLUMN reporting.year_end_transactions.transaction IS 'The transaction, of the kind year_end.';
COMMENT ON COLUMN reporting.year_end_transactions.period IS 'The period with which the year ends.';
COMMENT ON COLUMN reporting.year_end_transactions.reversed_at IS 'When it was wholly reversed, UTC. NULL: it stands.';
COMMENT ON COLUMN reporting.year_end_transactions.position IS 'Position in the log of the closing of the year.';
COMMENT ON COLUMN reporting.year_end_transactions.last_position IS 'Position in the log of the last event that changed this row.';
COMMENT ON COLUMN reporting.year_end_transactions.last_at IS 'When that event was recorded, UTC.';
