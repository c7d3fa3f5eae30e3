CREATE OR REPLACE VIEW reporting.accounts AS
SELECT a.account, a.number, a.type, a.currency, a.owner, a.name, a.status, a.reason AS status_reason, a.opened_on,
       a.balance * c.minor_unit AS balance,
       a.reserved * c.minor_unit AS reserved,
       (a.balance - a.reserved) * c.minor_unit AS available,
       a.minimum * c.minor_unit AS minimum,
       a.maximum * c.minor_unit AS maximum,
       a.entries, a.version, a.last_position, a.last_at
  FROM read.accounts a JOIN read.currencies c USING (currency);
COMMENT ON VIEW reporting.accounts IS 'One row an account, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.accounts.account IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.accounts.number IS 'Account number with its two check digits.';
COMMENT ON COLUMN reporting.accounts.type IS 'checking, savings, credit, merchant, escrow; or a role of the ledger''s own: cash, banks, fees, interest, penalties, revenue.';
COMMENT ON COLUMN reporting.accounts.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.accounts.owner IS 'Who owns it; for the ledger''s own accounts the name of the log.';
COMMENT ON COLUMN reporting.accounts.name IS 'Name for people. NULL once the owner was erased.';
COMMENT ON COLUMN reporting.accounts.status IS 'open, frozen or closed.';
COMMENT ON COLUMN reporting.accounts.status_reason IS 'Why it was frozen or closed. NULL while open, and once the owner was erased.';
COMMENT ON COLUMN reporting.accounts.opened_on IS 'Calendar date of its opening; no value date is before it.';
COMMENT ON COLUMN reporting.accounts.balance IS 'Credits less debits, booked.';
COMMENT ON COLUMN reporting.accounts.reserved IS 'Sum of its open holds.';
COMMENT ON COLUMN reporting.accounts.available IS 'Balance less reserved.';
COMMENT ON COLUMN reporting.accounts.minimum IS 'What available may not fall below; NULL: no such limit.';
COMMENT ON COLUMN reporting.accounts.maximum IS 'What balance may not rise above; NULL: no such limit.';
COMMENT ON COLUMN reporting.accounts.entries IS 'How many entries it has.';
COMMENT ON COLUMN reporting.accounts.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.accounts.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN reporting.accounts.last_at IS 'When that event was recorded, UTC.';
