-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE risk_rules (
    version       bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    active        boolean NOT NULL,
    policy        text COLLATE "C" NOT NULL,
    rules         json NOT NULL,
    PRIMARY KEY (policy)
);

COMMENT ON TABLE risk_rules IS 'The risk rules as they are now: one row.';
COMMENT ON COLUMN risk_rules.policy IS 'The name of the stream in the log, which is that of the posting policy.';
COMMENT ON COLUMN risk_rules.active IS 'Whether the rules decide.';
COMMENT ON COLUMN risk_rules.rules IS 'The points for each action and the rules, as a JSON object. Amounts in minor units.';
COMMENT ON COLUMN risk_rules.version IS 'Version of the stream at the last change of the rules.';
COMMENT ON COLUMN risk_rules.last_position IS 'Position in the log of their last event.';
COMMENT ON COLUMN risk_rules.last_at IS 'When their last event was recorded, UTC.';

CREATE TABLE risk_rules_versions (
    version     bigint NOT NULL,
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    active      boolean NOT NULL,
    policy      text COLLATE "C" NOT NULL,
    rules       json NOT NULL,
    PRIMARY KEY (policy, version)
);

COMMENT ON TABLE risk_rules_versions IS 'One row a version of the risk rules. Rows are never changed.';
COMMENT ON COLUMN risk_rules_versions.policy IS 'The name of the stream in the log.';
COMMENT ON COLUMN risk_rules_versions.version IS 'Version of the stream.';
COMMENT ON COLUMN risk_rules_versions.active IS 'Whether the rules decide.';
COMMENT ON COLUMN risk_rules_versions.rules IS 'The points for each action and the rules, as a JSON object. Amounts in minor units.';
COMMENT ON COLUMN risk_rules_versions.position IS 'Position in the log: they decide about each posting after it.';
COMMENT ON COLUMN risk_rules_versions.recorded_at IS 'When they were recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.risk_rules AS
SELECT t.policy, t.active, t.rules, t.version, t.last_position, t.last_at
  FROM read.risk_rules t;

COMMENT ON VIEW reporting.risk_rules IS 'The risk rules as they are now: one row.';
COMMENT ON COLUMN reporting.risk_rules.policy IS 'The name of the stream in the log, which is that of the posting policy.';
COMMENT ON COLUMN reporting.risk_rules.active IS 'Whether the rules decide.';
COMMENT ON COLUMN reporting.risk_rules.rules IS 'The points for each action and the rules, as a JSON object. Amounts in minor units.';
COMMENT ON COLUMN reporting.risk_rules.version IS 'Version of the stream at the last change of the rules.';
COMMENT ON COLUMN reporting.risk_rules.last_position IS 'Position in the log of their last event.';
COMMENT ON COLUMN reporting.risk_rules.last_at IS 'When their last event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.risk_rules_versions AS
SELECT t.policy, t.version, t.active, t.rules, t.position, t.recorded_at, t.position AS last_position
  FROM read.risk_rules_versions t;

COMMENT ON VIEW reporting.risk_rules_versions IS 'One row a version of the risk rules.';
COMMENT ON COLUMN reporting.risk_rules_versions.policy IS 'The name of the stream in the log.';
COMMENT ON COLUMN reporting.risk_rules_versions.version IS 'Version of the stream.';
COMMENT ON COLUMN reporting.risk_rules_versions.active IS 'Whether the rules decide.';
COMMENT ON COLUMN reporting.risk_rules_versions.rules IS 'The points for each action and the rules, as a JSON object. Amounts in minor units.';
COMMENT ON COLUMN reporting.risk_rules_versions.position IS 'Position in the log: they decide about each posting after it.';
COMMENT ON COLUMN reporting.risk_rules_versions.recorded_at IS 'When they were recorded, UTC.';
COMMENT ON COLUMN reporting.risk_rules_versions.last_position IS 'Position in the log of the last event that changed this row.';
