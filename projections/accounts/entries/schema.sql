CREATE TABLE entries (
    number        bigint NOT NULL,
    amount        bigint NOT NULL,
    position      bigint NOT NULL,
    recorded_at   timestamptz NOT NULL,
    value_date    date NOT NULL,
    entry         smallint NOT NULL,
    account       text COLLATE "C" NOT NULL,
    transaction   text COLLATE "C" NOT NULL,
    side          text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    balance_after numeric NOT NULL,
    PRIMARY KEY (account, number)
);
