CREATE TABLE accounts (
    opened_on     date NOT NULL,
    name_erased   boolean NOT NULL,
    reason_erased boolean NOT NULL,
    version       bigint NOT NULL,
    entries       bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    minimum       bigint,
    maximum       bigint,
    balance       numeric NOT NULL,
    reserved      numeric NOT NULL,
    account       text COLLATE "C" PRIMARY KEY,
    number        text COLLATE "C" NOT NULL UNIQUE,
    type          text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    owner         text COLLATE "C" NOT NULL,
    name          text,
    reason        text
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05);
-- No changing amount is in an index and pages have room for every row once more: its update stays on its page (HOT).

CREATE INDEX accounts_by_owner ON accounts (owner, account);
CREATE INDEX accounts_not_open ON accounts (status, account) WHERE status <> 'open';
CREATE INDEX accounts_by_type ON accounts (type, account);
CREATE INDEX accounts_by_currency ON accounts (currency, account);
