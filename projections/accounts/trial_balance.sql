-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE trial_balance (
    last_position bigint NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    type          text COLLATE "C" NOT NULL,
    debits        numeric NOT NULL,
    credits       numeric NOT NULL,
    PRIMARY KEY (currency, type)
) WITH (fillfactor = 10);

COMMENT ON TABLE trial_balance IS 'Debits and credits per currency and type of account, minor units. Per currency the balances sum to zero.';
COMMENT ON COLUMN trial_balance.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN trial_balance.type IS 'Type of account, as in accounts.type.';
COMMENT ON COLUMN trial_balance.debits IS 'Sum of all debits to accounts of this type.';
COMMENT ON COLUMN trial_balance.credits IS 'Sum of all credits to accounts of this type.';
COMMENT ON COLUMN trial_balance.last_position IS 'Position in the log of the last transaction with an entry to such an account.';

CREATE TABLE trial_balance_accounts (
    account text COLLATE "C" NOT NULL,
    type    text COLLATE "C" NOT NULL,
    PRIMARY KEY (account)
);

COMMENT ON TABLE trial_balance_accounts IS 'The type of each account: a transaction names accounts, not their types. It never changes.';
COMMENT ON COLUMN trial_balance_accounts.account IS 'Public id of the account.';
COMMENT ON COLUMN trial_balance_accounts.type IS 'Type of the account, as in accounts.type.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.trial_balance AS
SELECT t.currency, t.type, t.debits * c.minor_unit AS debits, t.credits * c.minor_unit AS credits,
       (t.credits - t.debits) * c.minor_unit AS balance, t.last_position
  FROM read.trial_balance t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.trial_balance IS 'Debits and credits per currency and type of account, major units. Per currency the balances sum to zero.';
COMMENT ON COLUMN reporting.trial_balance.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.trial_balance.type IS 'Type of account, as in accounts.type.';
COMMENT ON COLUMN reporting.trial_balance.debits IS 'Sum of all debits to accounts of this type.';
COMMENT ON COLUMN reporting.trial_balance.credits IS 'Sum of all credits to accounts of this type.';
COMMENT ON COLUMN reporting.trial_balance.balance IS 'Credits less debits.';
COMMENT ON COLUMN reporting.trial_balance.last_position IS 'Position in the log of the last transaction with an entry to such an account.';
