CREATE TABLE movements (
    day      date NOT NULL,
    entries  bigint NOT NULL,
    account  text COLLATE "C" NOT NULL,
    currency text COLLATE "C" NOT NULL,
    debits   numeric NOT NULL,
    credits  numeric NOT NULL,
    PRIMARY KEY (account, day)
) WITH (fillfactor = 80);  -- the rows of the current days are changed again and again
