CREATE OR REPLACE VIEW reporting.entries AS
SELECT e.account, e.number, e.transaction, e.entry, e.side,
       e.amount * c.minor_unit AS amount, e.currency, e.value_date,
       e.balance_after * c.minor_unit AS balance_after, e.position, e.recorded_at
  FROM read.entries e JOIN read.currencies c USING (currency);
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
