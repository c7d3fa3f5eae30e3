-- A transaction names accounts, not their types; an account's type never changes.
CREATE TABLE trial_balance_accounts (
    account text COLLATE "C" PRIMARY KEY,
    type    text COLLATE "C" NOT NULL
);

CREATE TABLE trial_balance (
    currency text COLLATE "C" NOT NULL,
    type     text COLLATE "C" NOT NULL,
    debits   numeric NOT NULL,
    credits  numeric NOT NULL,
    PRIMARY KEY (currency, type)
) WITH (fillfactor = 10);  -- a handful of rows, changed with every page
