-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE transfer_orders (
    fee                bigint NOT NULL,
    held               bigint NOT NULL,
    version            bigint NOT NULL,
    position           bigint NOT NULL,
    submitted_at       timestamptz NOT NULL,
    last_position      bigint NOT NULL,
    last_at            timestamptz NOT NULL,
    tries              integer NOT NULL,
    notify             boolean NOT NULL,
    description_erased boolean NOT NULL,
    sum_amount         bigint,
    bound_amount       bigint,
    execute_at         timestamptz,
    expires_at         timestamptz,
    retry_at           timestamptz,
    paid               bigint,
    received           bigint,
    ended_at           timestamptz,
    transfer_order     text COLLATE "C" NOT NULL,
    status             text COLLATE "C" NOT NULL,
    source             text COLLATE "C" NOT NULL,
    target             text COLLATE "C" NOT NULL,
    currency           text COLLATE "C" NOT NULL,
    target_currency    text COLLATE "C" NOT NULL,
    figures            json NOT NULL,
    metadata           json NOT NULL,
    sum_currency       text COLLATE "C",
    bound_currency     text COLLATE "C",
    quote              text COLLATE "C",
    fee_schedule       text COLLATE "C",
    rule               text COLLATE "C",
    transaction        text COLLATE "C",
    fee_transaction    text COLLATE "C",
    conversion         text COLLATE "C",
    reference          text COLLATE "C",
    subject            text COLLATE "C",
    description        text,
    initiator          text COLLATE "C",
    PRIMARY KEY (transfer_order)
);

CREATE INDEX transfer_orders_by_reference ON transfer_orders (reference, position) WHERE reference IS NOT NULL;
CREATE UNIQUE INDEX transfer_orders_in_order ON transfer_orders (position);
CREATE INDEX transfer_orders_in_status ON transfer_orders (status, position);
CREATE INDEX transfer_orders_of_source ON transfer_orders (source, position);
CREATE INDEX transfer_orders_of_subject ON transfer_orders (subject) WHERE subject IS NOT NULL;
CREATE INDEX transfer_orders_of_target ON transfer_orders (target, position);

COMMENT ON TABLE transfer_orders IS 'One row a transfer order, as it is now. Amounts in minor units.';
COMMENT ON COLUMN transfer_orders.transfer_order IS 'Public id; also the name of its stream in the log, and of its hold.';
COMMENT ON COLUMN transfer_orders.status IS 'waiting, executed, failed, expired or cancelled.';
COMMENT ON COLUMN transfer_orders.source IS 'The account that pays.';
COMMENT ON COLUMN transfer_orders.target IS 'The account that gets it.';
COMMENT ON COLUMN transfer_orders.currency IS 'ISO 4217 code of the source account.';
COMMENT ON COLUMN transfer_orders.target_currency IS 'ISO 4217 code of the target account.';
COMMENT ON COLUMN transfer_orders.sum_amount IS 'The amount that is ordered. NULL: the quote says it.';
COMMENT ON COLUMN transfer_orders.sum_currency IS 'The side that the amount is for: what is paid, or the least that is got.';
COMMENT ON COLUMN transfer_orders.bound_amount IS 'The least that the target gets, or the most that the source pays.';
COMMENT ON COLUMN transfer_orders.bound_currency IS 'The currency of the bound: that of the other side.';
COMMENT ON COLUMN transfer_orders.quote IS 'The quote that locks the price.';
COMMENT ON COLUMN transfer_orders.fee_schedule IS 'The schedule that the fee is charged by. NULL: there is no fee.';
COMMENT ON COLUMN transfer_orders.fee IS 'The fee, in the currency of the source account; 0 without one.';
COMMENT ON COLUMN transfer_orders.held IS 'What it holds on the source account while it waits, with the fee.';
COMMENT ON COLUMN transfer_orders.execute_at IS 'When it is executed, UTC. NULL: at once.';
COMMENT ON COLUMN transfer_orders.expires_at IS 'The first instant at which it is not executed any more, UTC. NULL: none.';
COMMENT ON COLUMN transfer_orders.notify IS 'Whether the owners of the source account get a mail at the end.';
COMMENT ON COLUMN transfer_orders.tries IS 'How often its execution was refused.';
COMMENT ON COLUMN transfer_orders.rule IS 'The rule that refused it last. NULL: none.';
COMMENT ON COLUMN transfer_orders.figures IS 'What explains that refusal, as a JSON object.';
COMMENT ON COLUMN transfer_orders.retry_at IS 'When it is tried again, UTC. NULL: it is not, or was not refused.';
COMMENT ON COLUMN transfer_orders.transaction IS 'The transaction that moved the money.';
COMMENT ON COLUMN transfer_orders.fee_transaction IS 'The transaction that charged the fee.';
COMMENT ON COLUMN transfer_orders.conversion IS 'The conversion, with its rate.';
COMMENT ON COLUMN transfer_orders.paid IS 'What the source paid without the fee.';
COMMENT ON COLUMN transfer_orders.received IS 'What the target got, in its currency.';
COMMENT ON COLUMN transfer_orders.reference IS 'The reference of its transactions.';
COMMENT ON COLUMN transfer_orders.metadata IS 'Pairs of codes that its transactions get, as a JSON object.';
COMMENT ON COLUMN transfer_orders.subject IS 'The person whose key seals the description. NULL without a description.';
COMMENT ON COLUMN transfer_orders.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN transfer_orders.description_erased IS 'Whether the description is gone with a person''s key.';
COMMENT ON COLUMN transfer_orders.initiator IS 'The person who submitted it. NULL: a program.';
COMMENT ON COLUMN transfer_orders.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN transfer_orders.position IS 'Position in the log of its submission.';
COMMENT ON COLUMN transfer_orders.submitted_at IS 'When it was submitted, UTC.';
COMMENT ON COLUMN transfer_orders.ended_at IS 'When it ended, UTC. NULL while it waits.';
COMMENT ON COLUMN transfer_orders.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN transfer_orders.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE transfer_order_tries (
    version        bigint NOT NULL,
    position       bigint NOT NULL,
    recorded_at    timestamptz NOT NULL,
    retry_at       timestamptz,
    transfer_order text COLLATE "C" NOT NULL,
    outcome        text COLLATE "C" NOT NULL,
    figures        json NOT NULL,
    rule           text COLLATE "C",
    PRIMARY KEY (transfer_order, version)
);

CREATE UNIQUE INDEX transfer_order_tries_in_order ON transfer_order_tries (position);
CREATE INDEX transfer_order_tries_of_order ON transfer_order_tries (transfer_order, position);

COMMENT ON TABLE transfer_order_tries IS 'One row each time that a transfer order was executed or refused. Rows are never changed.';
COMMENT ON COLUMN transfer_order_tries.transfer_order IS 'The transfer order.';
COMMENT ON COLUMN transfer_order_tries.version IS 'Version of its stream.';
COMMENT ON COLUMN transfer_order_tries.outcome IS 'executed or refused.';
COMMENT ON COLUMN transfer_order_tries.rule IS 'The rule that refused it. NULL: it was executed.';
COMMENT ON COLUMN transfer_order_tries.figures IS 'What explains the refusal, as a JSON object.';
COMMENT ON COLUMN transfer_order_tries.retry_at IS 'When it is tried again, UTC. NULL: it is not.';
COMMENT ON COLUMN transfer_order_tries.position IS 'Position in the log of this event.';
COMMENT ON COLUMN transfer_order_tries.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.transfer_orders AS
SELECT t.transfer_order, t.status, t.source, t.target, t.currency, t.target_currency,
       t.sum_amount * c.minor_unit AS sum_amount, t.sum_currency, t.bound_amount * c.minor_unit AS bound_amount,
       t.bound_currency, t.quote, t.fee_schedule, t.fee * c.minor_unit AS fee, t.held * c.minor_unit AS held,
       t.execute_at, t.expires_at, t.notify, t.tries, t.rule, t.figures, t.retry_at, t.transaction, t.fee_transaction,
       t.conversion, t.paid * c.minor_unit AS paid, t.received * c.minor_unit AS received, t.reference, t.metadata,
       t.description, t.initiator, t.version, t.position, t.submitted_at, t.ended_at, t.last_position, t.last_at
  FROM read.transfer_orders t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.transfer_orders IS 'One row a transfer order, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.transfer_orders.transfer_order IS 'Public id; also the name of its stream in the log, and of its hold.';
COMMENT ON COLUMN reporting.transfer_orders.status IS 'waiting, executed, failed, expired or cancelled.';
COMMENT ON COLUMN reporting.transfer_orders.source IS 'The account that pays.';
COMMENT ON COLUMN reporting.transfer_orders.target IS 'The account that gets it.';
COMMENT ON COLUMN reporting.transfer_orders.currency IS 'ISO 4217 code of the source account.';
COMMENT ON COLUMN reporting.transfer_orders.target_currency IS 'ISO 4217 code of the target account.';
COMMENT ON COLUMN reporting.transfer_orders.sum_amount IS 'The amount that is ordered. NULL: the quote says it.';
COMMENT ON COLUMN reporting.transfer_orders.sum_currency IS 'The side that the amount is for: what is paid, or the least that is got.';
COMMENT ON COLUMN reporting.transfer_orders.bound_amount IS 'The least that the target gets, or the most that the source pays.';
COMMENT ON COLUMN reporting.transfer_orders.bound_currency IS 'The currency of the bound: that of the other side.';
COMMENT ON COLUMN reporting.transfer_orders.quote IS 'The quote that locks the price.';
COMMENT ON COLUMN reporting.transfer_orders.fee_schedule IS 'The schedule that the fee is charged by. NULL: there is no fee.';
COMMENT ON COLUMN reporting.transfer_orders.fee IS 'The fee, in the currency of the source account; 0 without one.';
COMMENT ON COLUMN reporting.transfer_orders.held IS 'What it holds on the source account while it waits, with the fee.';
COMMENT ON COLUMN reporting.transfer_orders.execute_at IS 'When it is executed, UTC. NULL: at once.';
COMMENT ON COLUMN reporting.transfer_orders.expires_at IS 'The first instant at which it is not executed any more, UTC. NULL: none.';
COMMENT ON COLUMN reporting.transfer_orders.notify IS 'Whether the owners of the source account get a mail at the end.';
COMMENT ON COLUMN reporting.transfer_orders.tries IS 'How often its execution was refused.';
COMMENT ON COLUMN reporting.transfer_orders.rule IS 'The rule that refused it last. NULL: none.';
COMMENT ON COLUMN reporting.transfer_orders.figures IS 'What explains that refusal, as a JSON object.';
COMMENT ON COLUMN reporting.transfer_orders.retry_at IS 'When it is tried again, UTC. NULL: it is not, or was not refused.';
COMMENT ON COLUMN reporting.transfer_orders.transaction IS 'The transaction that moved the money.';
COMMENT ON COLUMN reporting.transfer_orders.fee_transaction IS 'The transaction that charged the fee.';
COMMENT ON COLUMN reporting.transfer_orders.conversion IS 'The conversion, with its rate.';
COMMENT ON COLUMN reporting.transfer_orders.paid IS 'What the source paid without the fee.';
COMMENT ON COLUMN reporting.transfer_orders.received IS 'What the target got, in its currency.';
COMMENT ON COLUMN reporting.transfer_orders.reference IS 'The reference of its transactions.';
COMMENT ON COLUMN reporting.transfer_orders.metadata IS 'Pairs of codes that its transactions get, as a JSON object.';
COMMENT ON COLUMN reporting.transfer_orders.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN reporting.transfer_orders.initiator IS 'The person who submitted it. NULL: a program.';
COMMENT ON COLUMN reporting.transfer_orders.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.transfer_orders.position IS 'Position in the log of its submission.';
COMMENT ON COLUMN reporting.transfer_orders.submitted_at IS 'When it was submitted, UTC.';
COMMENT ON COLUMN reporting.transfer_orders.ended_at IS 'When it ended, UTC. NULL while it waits.';
COMMENT ON COLUMN reporting.transfer_orders.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.transfer_orders.last_at IS 'When its last event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.transfer_order_tries AS
SELECT t.transfer_order, t.version, t.outcome, t.rule, t.figures, t.retry_at, t.position, t.recorded_at,
       t.position AS last_position
  FROM read.transfer_order_tries t;

COMMENT ON VIEW reporting.transfer_order_tries IS 'One row each time that a transfer order was executed or refused.';
COMMENT ON COLUMN reporting.transfer_order_tries.transfer_order IS 'The transfer order.';
COMMENT ON COLUMN reporting.transfer_order_tries.version IS 'Version of its stream.';
COMMENT ON COLUMN reporting.transfer_order_tries.outcome IS 'executed or refused.';
COMMENT ON COLUMN reporting.transfer_order_tries.rule IS 'The rule that refused it. NULL: it was executed.';
COMMENT ON COLUMN reporting.transfer_order_tries.figures IS 'What explains the refusal, as a JSON object.';
COMMENT ON COLUMN reporting.transfer_order_tries.retry_at IS 'When it is tried again, UTC. NULL: it is not.';
COMMENT ON COLUMN reporting.transfer_order_tries.position IS 'Position in the log of this event.';
COMMENT ON COLUMN reporting.transfer_order_tries.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.transfer_order_tries.last_position IS 'Position in the log of the last event that changed this row.';
