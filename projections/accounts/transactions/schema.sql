CREATE TABLE transactions (
    position           bigint NOT NULL,
    recorded_at        timestamptz NOT NULL,
    value_date         date NOT NULL,
    description_erased boolean NOT NULL,
    transaction        text COLLATE "C" PRIMARY KEY,
    kind               text COLLATE "C" NOT NULL,
    reference          text COLLATE "C",
    description        text,
    entries            json NOT NULL  -- [{account, side, amount, currency}] in their order, minor units
);

CREATE UNIQUE INDEX transactions_in_order ON transactions (position);
CREATE INDEX transactions_by_kind ON transactions (kind, position);
CREATE INDEX transactions_by_value_date ON transactions (value_date, position);
CREATE INDEX transactions_by_reference ON transactions (reference, position) WHERE reference IS NOT NULL;
