-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE settlements (
    entries       bigint NOT NULL,
    after         bigint NOT NULL,
    until         bigint NOT NULL,
    position      bigint NOT NULL,
    calculated_at timestamptz NOT NULL,
    version       bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    day           date NOT NULL,
    fee_rate      integer NOT NULL,
    settlement    text COLLATE "C" NOT NULL,
    account       text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    payments      numeric NOT NULL,
    refunds       numeric NOT NULL,
    fee           numeric NOT NULL,
    carried_gross numeric NOT NULL,
    carried_fee   numeric NOT NULL,
    net           numeric NOT NULL,
    payout        text COLLATE "C",
    transaction   text COLLATE "C",
    rule          text COLLATE "C",
    PRIMARY KEY (settlement)
);

CREATE INDEX settlements_in_order ON settlements (position);
CREATE INDEX settlements_in_status ON settlements (status, position);
CREATE INDEX settlements_of_account ON settlements (account, position);
CREATE INDEX settlements_of_day ON settlements (day, position);

COMMENT ON TABLE settlements IS 'One row a merchant account and UTC day that was settled. Amounts in minor units.';
COMMENT ON COLUMN settlements.settlement IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN settlements.account IS 'The merchant account.';
COMMENT ON COLUMN settlements.day IS 'The day.';
COMMENT ON COLUMN settlements.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN settlements.status IS 'due, paid, failed (the payout was refused), carried (to the next day), or empty.';
COMMENT ON COLUMN settlements.entries IS 'Entries that were counted.';
COMMENT ON COLUMN settlements.payments IS 'What was paid to the merchant.';
COMMENT ON COLUMN settlements.refunds IS 'What was given back of payments.';
COMMENT ON COLUMN settlements.fee_rate IS 'The fee in millionths of the payments.';
COMMENT ON COLUMN settlements.fee IS 'The fee on the payments of the day.';
COMMENT ON COLUMN settlements.carried_gross IS 'Payments less refunds that were carried over from the day before.';
COMMENT ON COLUMN settlements.carried_fee IS 'Fees that were carried over from the day before.';
COMMENT ON COLUMN settlements.net IS 'What is paid out, or carried over if it is negative: all that, less the fees.';
COMMENT ON COLUMN settlements.after IS 'Position in the log after which entries were counted.';
COMMENT ON COLUMN settlements.until IS 'Position in the log up to which entries were counted.';
COMMENT ON COLUMN settlements.payout IS 'The account that got the money. NULL before it was paid out.';
COMMENT ON COLUMN settlements.transaction IS 'The transaction that paid it out. NULL before.';
COMMENT ON COLUMN settlements.rule IS 'The rule that refused the payout the last time. NULL if none did.';
COMMENT ON COLUMN settlements.position IS 'Position in the log of its figures.';
COMMENT ON COLUMN settlements.calculated_at IS 'When its figures were recorded, UTC.';
COMMENT ON COLUMN settlements.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN settlements.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN settlements.last_at IS 'When its last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.settlements AS
SELECT t.settlement, t.account, t.day, t.currency, t.status, t.entries, t.payments * c.minor_unit AS payments,
       t.refunds * c.minor_unit AS refunds, t.fee_rate, t.fee * c.minor_unit AS fee,
       t.carried_gross * c.minor_unit AS carried_gross, t.carried_fee * c.minor_unit AS carried_fee,
       t.net * c.minor_unit AS net, t.after, t.until, t.payout, t.transaction, t.rule, t.position, t.calculated_at,
       t.version, t.last_position, t.last_at
  FROM read.settlements t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.settlements IS 'One row a merchant account and UTC day that was settled. Amounts in major units.';
COMMENT ON COLUMN reporting.settlements.settlement IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.settlements.account IS 'The merchant account.';
COMMENT ON COLUMN reporting.settlements.day IS 'The day.';
COMMENT ON COLUMN reporting.settlements.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.settlements.status IS 'due, paid, failed (the payout was refused), carried (to the next day), or empty.';
COMMENT ON COLUMN reporting.settlements.entries IS 'Entries that were counted.';
COMMENT ON COLUMN reporting.settlements.payments IS 'What was paid to the merchant.';
COMMENT ON COLUMN reporting.settlements.refunds IS 'What was given back of payments.';
COMMENT ON COLUMN reporting.settlements.fee_rate IS 'The fee in millionths of the payments.';
COMMENT ON COLUMN reporting.settlements.fee IS 'The fee on the payments of the day.';
COMMENT ON COLUMN reporting.settlements.carried_gross IS 'Payments less refunds that were carried over from the day before.';
COMMENT ON COLUMN reporting.settlements.carried_fee IS 'Fees that were carried over from the day before.';
COMMENT ON COLUMN reporting.settlements.net IS 'What is paid out, or carried over if it is negative: all that, less the fees.';
COMMENT ON COLUMN reporting.settlements.after IS 'Position in the log after which entries were counted.';
COMMENT ON COLUMN reporting.settlements.until IS 'Position in the log up to which entries were counted.';
COMMENT ON COLUMN reporting.settlements.payout IS 'The account that got the money. NULL before it was paid out.';
COMMENT ON COLUMN reporting.settlements.transaction IS 'The transaction that paid it out. NULL before.';
COMMENT ON COLUMN reporting.settlements.rule IS 'The rule that refused the payout the last time. NULL if none did.';
COMMENT ON COLUMN reporting.settlements.position IS 'Position in the log of its figures.';
COMMENT ON COLUMN reporting.settlements.calculated_at IS 'When its figures were recorded, UTC.';
COMMENT ON COLUMN reporting.settlements.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.settlements.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.settlements.last_at IS 'When its last event was recorded, UTC.';
