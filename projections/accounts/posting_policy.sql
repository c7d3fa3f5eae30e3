-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE posting_policy (
    version        bigint NOT NULL,
    last_position  bigint NOT NULL,
    last_at        timestamptz NOT NULL,
    most_days_back integer,
    policy         text COLLATE "C" NOT NULL,
    counted_kinds  json NOT NULL,
    approve_above  json NOT NULL,
    PRIMARY KEY (policy)
);

COMMENT ON TABLE posting_policy IS 'The posting policy now: one row.';
COMMENT ON COLUMN posting_policy.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN posting_policy.most_days_back IS 'Most days that a value date may be before the day of the posting. NULL: any number.';
COMMENT ON COLUMN posting_policy.counted_kinds IS 'The kinds of transactions that count against outgoing limits, as a JSON array.';
COMMENT ON COLUMN posting_policy.approve_above IS 'By currency, above how many minor units another person approves, as a JSON object.';
COMMENT ON COLUMN posting_policy.version IS 'Version of the stream at the last change.';
COMMENT ON COLUMN posting_policy.last_position IS 'Position in the log of the last change.';
COMMENT ON COLUMN posting_policy.last_at IS 'When the last change was recorded, UTC.';

CREATE TABLE posting_policy_versions (
    version        bigint NOT NULL,
    position       bigint NOT NULL,
    recorded_at    timestamptz NOT NULL,
    most_days_back integer,
    policy         text COLLATE "C" NOT NULL,
    counted_kinds  json NOT NULL,
    approve_above  json NOT NULL,
    PRIMARY KEY (policy, version)
);

COMMENT ON TABLE posting_policy_versions IS 'One row a version: the posting policy then. Rows are never changed.';
COMMENT ON COLUMN posting_policy_versions.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN posting_policy_versions.version IS 'Version of the stream.';
COMMENT ON COLUMN posting_policy_versions.most_days_back IS 'Most days that a value date may be before the day of the posting. NULL: any number.';
COMMENT ON COLUMN posting_policy_versions.counted_kinds IS 'The kinds of transactions that count against outgoing limits, as a JSON array.';
COMMENT ON COLUMN posting_policy_versions.approve_above IS 'By currency, above how many minor units another person approves, as a JSON object.';
COMMENT ON COLUMN posting_policy_versions.position IS 'Position in the log: it counts for each posting after it.';
COMMENT ON COLUMN posting_policy_versions.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.posting_policy AS
SELECT t.policy, t.most_days_back, t.version, t.last_position, t.last_at, t.counted_kinds, t.approve_above
  FROM read.posting_policy t;

COMMENT ON VIEW reporting.posting_policy IS 'The posting policy now: one row.';
COMMENT ON COLUMN reporting.posting_policy.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.posting_policy.most_days_back IS 'Most days that a value date may be before the day of the posting. NULL: any number.';
COMMENT ON COLUMN reporting.posting_policy.version IS 'Version of the stream at the last change.';
COMMENT ON COLUMN reporting.posting_policy.last_position IS 'Position in the log of the last change.';
COMMENT ON COLUMN reporting.posting_policy.last_at IS 'When the last change was recorded, UTC.';
COMMENT ON COLUMN reporting.posting_policy.counted_kinds IS 'The kinds of transactions that count against outgoing limits, as a JSON array.';
COMMENT ON COLUMN reporting.posting_policy.approve_above IS 'By currency, above how many minor units another person approves, as a JSON object.';

CREATE OR REPLACE VIEW reporting.posting_policy_versions AS
SELECT t.policy, t.version, t.most_days_back, t.position, t.recorded_at, t.position AS last_position, t.counted_kinds,
       t.approve_above
  FROM read.posting_policy_versions t;

COMMENT ON VIEW reporting.posting_policy_versions IS 'One row a version: the posting policy then.';
COMMENT ON COLUMN reporting.posting_policy_versions.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.posting_policy_versions.version IS 'Version of the stream.';
COMMENT ON COLUMN reporting.posting_policy_versions.most_days_back IS 'Most days that a value date may be before the day of the posting. NULL: any number.';
COMMENT ON COLUMN reporting.posting_policy_versions.position IS 'Position in the log: it counts for each posting after it.';
COMMENT ON COLUMN reporting.posting_policy_versions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.posting_policy_versions.last_position IS 'Position in the log of the last event that changed this row.';
COMMENT ON COLUMN reporting.posting_policy_versions.counted_kinds IS 'The kinds of transactions that count against outgoing limits, as a JSON array.';
COMMENT ON COLUMN reporting.posting_policy_versions.approve_above IS 'By currency, above how many minor units another person approves, as a JSON object.';
