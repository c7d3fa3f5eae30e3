CREATE OR REPLACE VIEW reporting.orders AS
SELECT o."order", o.customer, o.status, o.currency, o.total * c.minor_unit AS total, o.reference,
       o.reason AS cancel_reason, o.transaction, o.account, o.version, o.position, o.placed_at, o.last_position, o.last_at
  FROM read.orders o JOIN read.currencies c USING (currency);
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
COMMENT ON COLUMN reporting.orders.last_at IS 'When that was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.order_lines AS
SELECT l."order", l.line, l.sku, l.name, l.quantity, l.unit_price * c.minor_unit AS unit_price,
       l.quantity * l.unit_price * c.minor_unit AS amount, o.currency
  FROM read.order_lines l JOIN read.orders o USING ("order") JOIN read.currencies c USING (currency);
COMMENT ON VIEW reporting.order_lines IS 'One row a line of an order. Amounts in major units.';
COMMENT ON COLUMN reporting.order_lines."order" IS 'The order.';
COMMENT ON COLUMN reporting.order_lines.line IS 'Its number within the order, from 1.';
COMMENT ON COLUMN reporting.order_lines.sku IS 'The article.';
COMMENT ON COLUMN reporting.order_lines.name IS 'Name of the article.';
COMMENT ON COLUMN reporting.order_lines.quantity IS 'How many.';
COMMENT ON COLUMN reporting.order_lines.unit_price IS 'Price of one.';
COMMENT ON COLUMN reporting.order_lines.amount IS 'Quantity times price.';
COMMENT ON COLUMN reporting.order_lines.currency IS 'ISO 4217 code of the order.';
