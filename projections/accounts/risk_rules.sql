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

COMMENT ON TABLE risk_rules IS 'The risk rules now: one row.';
COMMENT ON COLUMN risk_rules.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN risk_rules.active IS 'Whether the rules decide.';
COMMENT ON COLUMN risk_rules.rules IS 'The points for each action and the rules, as a JSON object. Amounts in minor units.';
COMMENT ON COLUMN risk_rules.version IS 'Version of the stream at the last change.';
COMMENT ON COLUMN risk_rules.last_position IS 'Position in the log of the last change.';
COMMENT ON COLUMN risk_rules.last_at IS 'When the last change was recorded, UTC.';

CREATE TABLE risk_rules_versions (
    version     bigint NOT NULL,
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    active      boolean NOT NULL,
    policy      text COLLATE "C" NOT NULL,
    rules       json NOT NULL,
    PRIMARY KEY (policy, version)
);

COMMENT ON TABLE risk_rules_versions IS 'One row a version: the risk rules then. Rows are never changed.';
COMMENT ON COLUMN risk_rules_versions.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN risk_rules_versions.version IS 'Version of the stream.';
COMMENT ON COLUMN risk_rules_versions.active IS 'Whether the rules decide.';
COMMENT ON COLUMN risk_rules_versions.rules IS 'The points for each action and the rules, as a JSON object. Amounts in minor units.';
COMMENT ON COLUMN risk_rules_versions.position IS 'Position in the log: it counts for each posting after it.';
COMMENT ON COLUMN risk_rules_versions.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.risk_rules AS
SELECT t.policy, t.active, t.rules, t.version, t.last_position, t.last_at
  FROM read.risk_rules t;

COMMENT ON VIEW reporting.risk_rules IS 'The risk rules now: one row.';
COMMENT ON COLUMN reporting.risk_rules.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.risk_rules.active IS 'Whether the rules decide.';
COMMENT ON COLUMN reporting.risk_rules.rules IS 'The points for each action and the rules, as a JSON object. Amounts in minor units.';
COMMENT ON COLUMN reporting.risk_rules.version IS 'Version of the stream at the last change.';
COMMENT ON COLUMN reporting.risk_rules.last_position IS 'Position in the log of the last change.';
COMMENT ON COLUMN reporting.risk_rules.last_at IS 'When the last change was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.risk_rules_versions AS
SELECT t.policy, t.version, t.active, t.rules, t.position, t.recorded_at, t.position AS last_position
  FROM read.risk_rules_versions t;

COMMENT ON VIEW reporting.risk_rules_versions IS 'One row a version: the risk rules then.';
COMMENT ON COLUMN reporting.risk_rules_versions.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.risk_rules_versions.version IS 'Version of the stream.';
COMMENT ON COLUMN reporting.risk_rules_versions.active IS 'Whether the rules decide.';
COMMENT ON COLUMN reporting.risk_rules_versions.rules IS 'The points for each action and the rules, as a JSON object. Amounts in minor units.';
COMMENT ON COLUMN reporting.risk_rules_versions.position IS 'Position in the log: it counts for each posting after it.';
COMMENT ON COLUMN reporting.risk_rules_versions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.risk_rules_versions.last_position IS 'Position in the log of the last event that changed this row.';
