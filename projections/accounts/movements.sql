-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE movements (
    entries       bigint NOT NULL,
    last_position bigint NOT NULL,
    day           date NOT NULL,
    account       text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    debits        numeric NOT NULL,
    credits       numeric NOT NULL,
    PRIMARY KEY (account, day)
) WITH (fillfactor = 80);

COMMENT ON TABLE movements IS 'One row an account and value date with entries. Amounts in minor units.';
COMMENT ON COLUMN movements.account IS 'Public id of the account.';
COMMENT ON COLUMN movements.day IS 'The value date.';
COMMENT ON COLUMN movements.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN movements.entries IS 'Entries of that value date, whenever they were booked.';
COMMENT ON COLUMN movements.debits IS 'Sum of the debits.';
COMMENT ON COLUMN movements.credits IS 'Sum of the credits.';
COMMENT ON COLUMN movements.last_position IS 'Position in the log of the last transaction with an entry of that day.';

CREATE TABLE movements_booked_on_other_days (
    entries        bigint NOT NULL,
    first_position bigint NOT NULL,
    last_position  bigint NOT NULL,
    day            date NOT NULL,
    booked_on      date NOT NULL,
    account        text COLLATE "C" NOT NULL,
    debits         numeric NOT NULL,
    credits        numeric NOT NULL,
    PRIMARY KEY (account, day, booked_on)
);

COMMENT ON TABLE movements_booked_on_other_days IS 'One row an account, value date and another day of booking: the part of the movements that was not booked on its value date. Amounts in minor units.';
COMMENT ON COLUMN movements_booked_on_other_days.account IS 'Public id of the account.';
COMMENT ON COLUMN movements_booked_on_other_days.day IS 'The value date.';
COMMENT ON COLUMN movements_booked_on_other_days.booked_on IS 'The day of booking, UTC.';
COMMENT ON COLUMN movements_booked_on_other_days.entries IS 'Entries of that value date that were booked on that day.';
COMMENT ON COLUMN movements_booked_on_other_days.debits IS 'Sum of the debits.';
COMMENT ON COLUMN movements_booked_on_other_days.credits IS 'Sum of the credits.';
COMMENT ON COLUMN movements_booked_on_other_days.first_position IS 'Position in the log of the first transaction with such an entry.';
COMMENT ON COLUMN movements_booked_on_other_days.last_position IS 'Position in the log of the last one.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.movements AS
SELECT t.account, t.day, t.currency, t.entries, t.debits * c.minor_unit AS debits,
       t.credits * c.minor_unit AS credits, (t.credits - t.debits) * c.minor_unit AS net,
       sum(t.credits - t.debits) OVER (PARTITION BY t.account ORDER BY t.day) * c.minor_unit AS closing,
       max(t.last_position) OVER (PARTITION BY t.account ORDER BY t.day) AS last_position
  FROM read.movements t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.movements IS 'One row an account and value date with entries. Amounts in major units.';
COMMENT ON COLUMN reporting.movements.account IS 'Public id of the account.';
COMMENT ON COLUMN reporting.movements.day IS 'The value date.';
COMMENT ON COLUMN reporting.movements.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.movements.entries IS 'Entries of that value date, whenever they were booked.';
COMMENT ON COLUMN reporting.movements.debits IS 'Sum of the debits.';
COMMENT ON COLUMN reporting.movements.credits IS 'Sum of the credits.';
COMMENT ON COLUMN reporting.movements.net IS 'Credits less debits.';
COMMENT ON COLUMN reporting.movements.closing IS 'Balance by value date at the end of the day. Changes when something is booked for an earlier day.';
COMMENT ON COLUMN reporting.movements.last_position IS 'Position in the log of the last event that changed this row.';
