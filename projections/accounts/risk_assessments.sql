-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE risk_assessments (
    version        bigint NOT NULL,
    amount         bigint NOT NULL,
    policy_version bigint NOT NULL,
    position       bigint NOT NULL,
    recorded_at    timestamptz NOT NULL,
    score          integer NOT NULL,
    account        text COLLATE "C" NOT NULL,
    transaction    text COLLATE "C" NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    action         text COLLATE "C" NOT NULL,
    factors        json NOT NULL,
    PRIMARY KEY (account, version)
);

CREATE UNIQUE INDEX risk_assessments_in_order ON risk_assessments (position);
CREATE INDEX risk_assessments_of_account ON risk_assessments (account, position);

COMMENT ON TABLE risk_assessments IS 'One row a transaction and account that got points by the risk rules. Rows are never changed.';
COMMENT ON COLUMN risk_assessments.account IS 'The account that the transaction would take money from.';
COMMENT ON COLUMN risk_assessments.version IS 'Version of the account''s stream.';
COMMENT ON COLUMN risk_assessments.transaction IS 'The transaction. One that was blocked was never made.';
COMMENT ON COLUMN risk_assessments.kind IS 'Its kind.';
COMMENT ON COLUMN risk_assessments.amount IS 'What it would take from the account.';
COMMENT ON COLUMN risk_assessments.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN risk_assessments.score IS 'Its points.';
COMMENT ON COLUMN risk_assessments.action IS 'monitor, verify or block.';
COMMENT ON COLUMN risk_assessments.factors IS 'The rules that gave points, what each found and allows, as a JSON array.';
COMMENT ON COLUMN risk_assessments.policy_version IS 'Version of the posting policy''s stream, which has the risk rules.';
COMMENT ON COLUMN risk_assessments.position IS 'Position in the log.';
COMMENT ON COLUMN risk_assessments.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.risk_assessments AS
SELECT t.account, t.version, t.transaction, t.kind, t.amount * c.minor_unit AS amount, t.currency, t.score, t.action,
       t.factors, t.policy_version, t.position, t.recorded_at, t.position AS last_position
  FROM read.risk_assessments t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.risk_assessments IS 'One row a transaction and account that got points by the risk rules. Amounts in major units, but in the factors.';
COMMENT ON COLUMN reporting.risk_assessments.account IS 'The account that the transaction would take money from.';
COMMENT ON COLUMN reporting.risk_assessments.version IS 'Version of the account''s stream.';
COMMENT ON COLUMN reporting.risk_assessments.transaction IS 'The transaction. One that was blocked was never made.';
COMMENT ON COLUMN reporting.risk_assessments.kind IS 'Its kind.';
COMMENT ON COLUMN reporting.risk_assessments.amount IS 'What it would take from the account.';
COMMENT ON COLUMN reporting.risk_assessments.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.risk_assessments.score IS 'Its points.';
COMMENT ON COLUMN reporting.risk_assessments.action IS 'monitor, verify or block.';
COMMENT ON COLUMN reporting.risk_assessments.factors IS 'The rules that gave points, what each found and allows, as a JSON array.';
COMMENT ON COLUMN reporting.risk_assessments.policy_version IS 'Version of the posting policy''s stream, which has the risk rules.';
COMMENT ON COLUMN reporting.risk_assessments.position IS 'Position in the log.';
COMMENT ON COLUMN reporting.risk_assessments.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.risk_assessments.last_position IS 'Position in the log of the last event that changed this row.';
