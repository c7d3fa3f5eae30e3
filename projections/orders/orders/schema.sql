CREATE TABLE orders (
    total         bigint NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,  -- of its placing
    placed_at     timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    reason_erased boolean NOT NULL,
    "order"       text COLLATE "C" PRIMARY KEY,
    customer      text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    reference     text COLLATE "C",
    reason        text,                     -- why it was cancelled
    transaction   text COLLATE "C",         -- that paid it
    account       text COLLATE "C"          -- from which it was paid
);

CREATE INDEX orders_by_customer ON orders (customer, "order");
CREATE INDEX orders_by_status ON orders (status, "order");

CREATE TABLE order_lines (
    unit_price bigint NOT NULL,
    line       integer NOT NULL,
    quantity   integer NOT NULL,
    "order"    text COLLATE "C" NOT NULL,
    sku        text COLLATE "C" NOT NULL,
    name       text NOT NULL,
    PRIMARY KEY ("order", line)
);
