-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE fee_schedules (
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    number        integer NOT NULL,
    active        boolean NOT NULL,
    schedule      text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL UNIQUE,
    currency      text COLLATE "C" NOT NULL,
    definition    json NOT NULL,
    PRIMARY KEY (schedule)
);

CREATE INDEX fee_schedules_in_order ON fee_schedules (position);

COMMENT ON TABLE fee_schedules IS 'One row a fee schedule, with its newest version.';
COMMENT ON COLUMN fee_schedules.schedule IS 'The name of its stream in the log.';
COMMENT ON COLUMN fee_schedules.name IS 'The name by which a fee is charged.';
COMMENT ON COLUMN fee_schedules.number IS 'The number of its newest version.';
COMMENT ON COLUMN fee_schedules.active IS 'Whether fees can be charged by it.';
COMMENT ON COLUMN fee_schedules.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN fee_schedules.definition IS 'The terms, as a JSON object with decimal strings: fixed, tiers, minimum, maximum, and who gets the fee.';
COMMENT ON COLUMN fee_schedules.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN fee_schedules.position IS 'Position in the log of its first version.';
COMMENT ON COLUMN fee_schedules.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN fee_schedules.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE fee_schedule_versions (
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    number      integer NOT NULL,
    schedule    text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    currency    text COLLATE "C" NOT NULL,
    definition  json NOT NULL,
    PRIMARY KEY (schedule, number)
);

COMMENT ON TABLE fee_schedule_versions IS 'One row a version of a fee schedule. Rows are never changed.';
COMMENT ON COLUMN fee_schedule_versions.schedule IS 'The name of its stream in the log.';
COMMENT ON COLUMN fee_schedule_versions.number IS 'The number of the version, from 1.';
COMMENT ON COLUMN fee_schedule_versions.name IS 'The name of the schedule.';
COMMENT ON COLUMN fee_schedule_versions.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN fee_schedule_versions.definition IS 'The terms, as a JSON object with decimal strings: fixed, tiers, minimum, maximum, and who gets the fee.';
COMMENT ON COLUMN fee_schedule_versions.position IS 'Position in the log: fees after it were charged by it.';
COMMENT ON COLUMN fee_schedule_versions.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.fee_schedules AS
SELECT t.schedule, t.name, t.number, t.active, t.currency, t.definition, t.version, t.position, t.last_position,
       t.last_at
  FROM read.fee_schedules t;

COMMENT ON VIEW reporting.fee_schedules IS 'One row a fee schedule, with its newest version.';
COMMENT ON COLUMN reporting.fee_schedules.schedule IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.fee_schedules.name IS 'The name by which a fee is charged.';
COMMENT ON COLUMN reporting.fee_schedules.number IS 'The number of its newest version.';
COMMENT ON COLUMN reporting.fee_schedules.active IS 'Whether fees can be charged by it.';
COMMENT ON COLUMN reporting.fee_schedules.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.fee_schedules.definition IS 'The terms, as a JSON object with decimal strings: fixed, tiers, minimum, maximum, and who gets the fee.';
COMMENT ON COLUMN reporting.fee_schedules.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.fee_schedules.position IS 'Position in the log of its first version.';
COMMENT ON COLUMN reporting.fee_schedules.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.fee_schedules.last_at IS 'When its last event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.fee_schedule_versions AS
SELECT t.schedule, t.number, t.name, t.currency, t.definition, t.position, t.recorded_at, t.position AS last_position
  FROM read.fee_schedule_versions t;

COMMENT ON VIEW reporting.fee_schedule_versions IS 'One row a version of a fee schedule.';
COMMENT ON COLUMN reporting.fee_schedule_versions.schedule IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.fee_schedule_versions.number IS 'The number of the version, from 1.';
COMMENT ON COLUMN reporting.fee_schedule_versions.name IS 'The name of the schedule.';
COMMENT ON COLUMN reporting.fee_schedule_versions.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.fee_schedule_versions.definition IS 'The terms, as a JSON object with decimal strings: fixed, tiers, minimum, maximum, and who gets the fee.';
COMMENT ON COLUMN reporting.fee_schedule_versions.position IS 'Position in the log: fees after it were charged by it.';
COMMENT ON COLUMN reporting.fee_schedule_versions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.fee_schedule_versions.last_position IS 'Position in the log of the last event that changed this row.';
