-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE settlement_agreements (
    until         bigint NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    fee_rate      integer NOT NULL,
    starts_on     date NOT NULL,
    next_day      date NOT NULL,
    paused        boolean NOT NULL,
    last_day      date,
    agreement     text COLLATE "C" NOT NULL,
    account       text COLLATE "C" NOT NULL UNIQUE,
    currency      text COLLATE "C" NOT NULL,
    payout        text COLLATE "C" NOT NULL,
    carried_gross numeric NOT NULL,
    carried_fee   numeric NOT NULL,
    PRIMARY KEY (agreement)
);

CREATE INDEX settlement_agreements_in_order ON settlement_agreements (position);

COMMENT ON TABLE settlement_agreements IS 'One row a merchant account that is settled, with how far it is. Amounts in minor units.';
COMMENT ON COLUMN settlement_agreements.agreement IS 'The name of its stream in the log.';
COMMENT ON COLUMN settlement_agreements.account IS 'The merchant account.';
COMMENT ON COLUMN settlement_agreements.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN settlement_agreements.payout IS 'The account that gets the money.';
COMMENT ON COLUMN settlement_agreements.fee_rate IS 'The fee in millionths of the payments.';
COMMENT ON COLUMN settlement_agreements.starts_on IS 'The first day that is settled.';
COMMENT ON COLUMN settlement_agreements.next_day IS 'The next day to settle. It has ended if this is after the last one.';
COMMENT ON COLUMN settlement_agreements.last_day IS 'The last day that is settled. NULL: no end.';
COMMENT ON COLUMN settlement_agreements.paused IS 'Whether no day is settled until it is resumed.';
COMMENT ON COLUMN settlement_agreements.until IS 'Position in the log up to which entries are settled.';
COMMENT ON COLUMN settlement_agreements.carried_gross IS 'Payments less refunds that are carried over to the next day.';
COMMENT ON COLUMN settlement_agreements.carried_fee IS 'Fees that are carried over to the next day.';
COMMENT ON COLUMN settlement_agreements.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN settlement_agreements.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN settlement_agreements.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN settlement_agreements.last_at IS 'When its last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.settlement_agreements AS
SELECT t.agreement, t.account, t.currency, t.payout, t.fee_rate, t.starts_on, t.next_day, t.last_day, t.paused,
       t.until, t.carried_gross * c.minor_unit AS carried_gross, t.carried_fee * c.minor_unit AS carried_fee,
       t.version, t.position, t.last_position, t.last_at
  FROM read.settlement_agreements t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.settlement_agreements IS 'One row a merchant account that is settled, with how far it is. Amounts in major units.';
COMMENT ON COLUMN reporting.settlement_agreements.agreement IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.settlement_agreements.account IS 'The merchant account.';
COMMENT ON COLUMN reporting.settlement_agreements.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.settlement_agreements.payout IS 'The account that gets the money.';
COMMENT ON COLUMN reporting.settlement_agreements.fee_rate IS 'The fee in millionths of the payments.';
COMMENT ON COLUMN reporting.settlement_agreements.starts_on IS 'The first day that is settled.';
COMMENT ON COLUMN reporting.settlement_agreements.next_day IS 'The next day to settle. It has ended if this is after the last one.';
COMMENT ON COLUMN reporting.settlement_agreements.last_day IS 'The last day that is settled. NULL: no end.';
COMMENT ON COLUMN reporting.settlement_agreements.paused IS 'Whether no day is settled until it is resumed.';
COMMENT ON COLUMN reporting.settlement_agreements.until IS 'Position in the log up to which entries are settled.';
COMMENT ON COLUMN reporting.settlement_agreements.carried_gross IS 'Payments less refunds that are carried over to the next day.';
COMMENT ON COLUMN reporting.settlement_agreements.carried_fee IS 'Fees that are carried over to the next day.';
COMMENT ON COLUMN reporting.settlement_agreements.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.settlement_agreements.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.settlement_agreements.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.settlement_agreements.last_at IS 'When its last event was recorded, UTC.';
