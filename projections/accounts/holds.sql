-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE holds (
    amount        bigint NOT NULL,
    captured      bigint NOT NULL,
    remaining     bigint NOT NULL,
    position      bigint NOT NULL,
    placed_at     timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    expires_at    timestamptz,
    ended_at      timestamptz,
    hold          text COLLATE "C" NOT NULL,
    account       text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    metadata      json NOT NULL,
    reference     text COLLATE "C",
    transaction   text COLLATE "C",
    PRIMARY KEY (hold, account)
);

CREATE INDEX holds_by_reference ON holds (reference, position) WHERE reference IS NOT NULL;
CREATE UNIQUE INDEX holds_in_order ON holds (position);
CREATE INDEX holds_of_account ON holds (account, position);
CREATE INDEX holds_with_status ON holds (status, position);

COMMENT ON TABLE holds IS 'One row a hold of an account, as it is now. Amounts in minor units.';
COMMENT ON COLUMN holds.hold IS 'Id of the hold; of a pending transaction, its id.';
COMMENT ON COLUMN holds.account IS 'The account that it reserves on.';
COMMENT ON COLUMN holds.status IS 'open, or how it ended: captured, released or expired.';
COMMENT ON COLUMN holds.amount IS 'What it was placed for.';
COMMENT ON COLUMN holds.captured IS 'What transactions took of it.';
COMMENT ON COLUMN holds.remaining IS 'What it still reserves; 0 once it ended.';
COMMENT ON COLUMN holds.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN holds.reference IS 'The reference that the client gave it.';
COMMENT ON COLUMN holds.metadata IS 'Pairs of codes that the client keeps with it, as a JSON object.';
COMMENT ON COLUMN holds.expires_at IS 'When it expires, UTC. NULL: it does not.';
COMMENT ON COLUMN holds.transaction IS 'The last transaction that captured it, or the pending one that it belongs to.';
COMMENT ON COLUMN holds.position IS 'Position in the log of its placing.';
COMMENT ON COLUMN holds.placed_at IS 'When it was placed, UTC.';
COMMENT ON COLUMN holds.ended_at IS 'When it ended, UTC. NULL while it is open.';
COMMENT ON COLUMN holds.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN holds.last_at IS 'When that event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.holds AS
SELECT t.hold, t.account, t.status, t.amount * c.minor_unit AS amount, t.captured * c.minor_unit AS captured,
       t.remaining * c.minor_unit AS remaining, t.currency, t.reference, t.metadata, t.expires_at, t.transaction,
       t.position, t.placed_at, t.ended_at, t.last_position, t.last_at
  FROM read.holds t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.holds IS 'One row a hold of an account, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.holds.hold IS 'Id of the hold; of a pending transaction, its id.';
COMMENT ON COLUMN reporting.holds.account IS 'The account that it reserves on.';
COMMENT ON COLUMN reporting.holds.status IS 'open, or how it ended: captured, released or expired.';
COMMENT ON COLUMN reporting.holds.amount IS 'What it was placed for.';
COMMENT ON COLUMN reporting.holds.captured IS 'What transactions took of it.';
COMMENT ON COLUMN reporting.holds.remaining IS 'What it still reserves; 0 once it ended.';
COMMENT ON COLUMN reporting.holds.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.holds.reference IS 'The reference that the client gave it.';
COMMENT ON COLUMN reporting.holds.metadata IS 'Pairs of codes that the client keeps with it, as a JSON object.';
COMMENT ON COLUMN reporting.holds.expires_at IS 'When it expires, UTC. NULL: it does not.';
COMMENT ON COLUMN reporting.holds.transaction IS 'The last transaction that captured it, or the pending one that it belongs to.';
COMMENT ON COLUMN reporting.holds.position IS 'Position in the log of its placing.';
COMMENT ON COLUMN reporting.holds.placed_at IS 'When it was placed, UTC.';
COMMENT ON COLUMN reporting.holds.ended_at IS 'When it ended, UTC. NULL while it is open.';
COMMENT ON COLUMN reporting.holds.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN reporting.holds.last_at IS 'When that event was recorded, UTC.';
