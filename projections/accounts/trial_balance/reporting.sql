CREATE OR REPLACE VIEW reporting.trial_balance AS
SELECT t.currency, t.type, t.debits * c.minor_unit AS debits,
       t.credits * c.minor_unit AS credits,
       (t.credits - t.debits) * c.minor_unit AS balance
  FROM read.trial_balance t JOIN read.currencies c USING (currency);
COMMENT ON VIEW reporting.trial_balance IS 'Debits and credits per currency and type of account, major units. Per currency the balances sum to zero.';
COMMENT ON COLUMN reporting.trial_balance.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.trial_balance.type IS 'Type of account, as in accounts.type.';
COMMENT ON COLUMN reporting.trial_balance.debits IS 'Sum of all debits to accounts of this type.';
COMMENT ON COLUMN reporting.trial_balance.credits IS 'Sum of all credits to accounts of this type.';
COMMENT ON COLUMN reporting.trial_balance.balance IS 'Credits less debits.';
