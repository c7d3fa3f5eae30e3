CREATE OR REPLACE VIEW reporting.movements AS
SELECT m.account, m.day, m.currency, m.entries, m.debits * c.minor_unit AS debits, m.credits * c.minor_unit AS credits,
       (m.credits - m.debits) * c.minor_unit AS net,
       sum(m.credits - m.debits) OVER (PARTITION BY m.account ORDER BY m.day) * c.minor_unit AS closing
  FROM read.movements m JOIN read.currencies c USING (currency);
COMMENT ON VIEW reporting.movements IS 'One row an account and value date with entries. Amounts in major units.';
COMMENT ON COLUMN reporting.movements.account IS 'Public id of the account.';
COMMENT ON COLUMN reporting.movements.day IS 'The value date.';
COMMENT ON COLUMN reporting.movements.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.movements.entries IS 'Entries of that value date, whenever they were booked.';
COMMENT ON COLUMN reporting.movements.debits IS 'Sum of the debits.';
COMMENT ON COLUMN reporting.movements.credits IS 'Sum of the credits.';
COMMENT ON COLUMN reporting.movements.net IS 'Credits less debits.';
COMMENT ON COLUMN reporting.movements.closing IS 'Balance by value date at the end of the day. Changes when something is booked for an earlier day.';
