-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE orders (
    total         bigint NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    placed_at     timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    names_erased  boolean NOT NULL,
    reason_erased boolean NOT NULL,
    "order"       text COLLATE "C" NOT NULL,
    customer      text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    metadata      json NOT NULL,
    reference     text COLLATE "C",
    reason        text,
    transaction   text COLLATE "C",
    account       text COLLATE "C",
    PRIMARY KEY ("order")
);

CREATE INDEX orders_in_order ON orders (position);
CREATE INDEX orders_in_status ON orders (status, position);
CREATE INDEX orders_of_customer ON orders (customer, position);

COMMENT ON TABLE orders IS 'One row an order, as it is now. Amounts in minor units.';
COMMENT ON COLUMN orders."order" IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN orders.customer IS 'Who placed it.';
COMMENT ON COLUMN orders.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN orders.status IS 'placed, confirmed, paid or cancelled.';
COMMENT ON COLUMN orders.total IS 'Sum of its lines.';
COMMENT ON COLUMN orders.reference IS 'Reference of the client''s business.';
COMMENT ON COLUMN orders.metadata IS 'Pairs of codes that the client keeps with it, as a JSON object.';
COMMENT ON COLUMN orders.names_erased IS 'Whether the names of its lines are gone with the customer''s key.';
COMMENT ON COLUMN orders.reason IS 'Why it was cancelled. NULL if it was not, and once the customer was erased.';
COMMENT ON COLUMN orders.reason_erased IS 'Whether the reason is gone with the customer''s key.';
COMMENT ON COLUMN orders.transaction IS 'The transaction that paid it.';
COMMENT ON COLUMN orders.account IS 'The account it was paid from.';
COMMENT ON COLUMN orders.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN orders.position IS 'Position in the log of its placing.';
COMMENT ON COLUMN orders.placed_at IS 'When it was placed, UTC.';
COMMENT ON COLUMN orders.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN orders.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE order_lines (
    unit_price bigint NOT NULL,
    line       integer NOT NULL,
    quantity   integer NOT NULL,
    erasure    bigint,
    "order"    text COLLATE "C" NOT NULL,
    sku        text COLLATE "C" NOT NULL,
    name       text,
    PRIMARY KEY ("order", line)
);

COMMENT ON TABLE order_lines IS 'One row a line of an order. Amounts in minor units of the order''s currency.';
COMMENT ON COLUMN order_lines."order" IS 'The order.';
COMMENT ON COLUMN order_lines.line IS 'Its number within the order, from 1.';
COMMENT ON COLUMN order_lines.sku IS 'The article.';
COMMENT ON COLUMN order_lines.name IS 'Name of the article. NULL once the customer was erased.';
COMMENT ON COLUMN order_lines.quantity IS 'How many.';
COMMENT ON COLUMN order_lines.unit_price IS 'Price of one.';
COMMENT ON COLUMN order_lines.erasure IS 'Position in the log at which its text was erased. NULL before.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.orders AS
SELECT t."order", t.customer, t.status, t.currency, t.total * c.minor_unit AS total, t.reference,
       t.reason AS cancel_reason, t.transaction, t.account, t.version, t.position, t.placed_at, t.last_position,
       t.last_at, t.metadata
  FROM read.orders t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.orders IS 'One row an order, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.orders."order" IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.orders.customer IS 'Who placed it.';
COMMENT ON COLUMN reporting.orders.status IS 'placed, confirmed, paid or cancelled.';
COMMENT ON COLUMN reporting.orders.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.orders.total IS 'Sum of its lines.';
COMMENT ON COLUMN reporting.orders.reference IS 'Reference of the client''s business.';
COMMENT ON COLUMN reporting.orders.cancel_reason IS 'Why it was cancelled. NULL if it was not, and once the customer was erased.';
COMMENT ON COLUMN reporting.orders.transaction IS 'The transaction that paid it.';
COMMENT ON COLUMN reporting.orders.account IS 'The account it was paid from.';
COMMENT ON COLUMN reporting.orders.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.orders.position IS 'Position in the log of its placing.';
COMMENT ON COLUMN reporting.orders.placed_at IS 'When it was placed, UTC.';
COMMENT ON COLUMN reporting.orders.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.orders.last_at IS 'When its last event was recorded, UTC.';
COMMENT ON COLUMN reporting.orders.metadata IS 'Pairs of codes that the client keeps with it, as a JSON object.';

CREATE OR REPLACE VIEW reporting.order_lines AS
SELECT t."order", t.line, t.sku, t.name, t.quantity, t.unit_price * c.minor_unit AS unit_price,
       t.quantity * t.unit_price * c.minor_unit AS amount, o.currency,
       coalesce(t.erasure, o.position) AS last_position
  FROM read.order_lines t JOIN read.orders o USING ("order") JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.order_lines IS 'One row a line of an order. Amounts in major units.';
COMMENT ON COLUMN reporting.order_lines."order" IS 'The order.';
COMMENT ON COLUMN reporting.order_lines.line IS 'Its number within the order, from 1.';
COMMENT ON COLUMN reporting.order_lines.sku IS 'The article.';
COMMENT ON COLUMN reporting.order_lines.name IS 'Name of the article. NULL once the customer was erased.';
COMMENT ON COLUMN reporting.order_lines.quantity IS 'How many.';
COMMENT ON COLUMN reporting.order_lines.unit_price IS 'Price of one.';
COMMENT ON COLUMN reporting.order_lines.amount IS 'Quantity times price.';
COMMENT ON COLUMN reporting.order_lines.currency IS 'ISO 4217 code of the order.';
COMMENT ON COLUMN reporting.order_lines.last_position IS 'Position in the log of the last event that changed this row.';
