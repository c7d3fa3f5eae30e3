-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE business_calendar (
    version       bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    policy        text COLLATE "C" NOT NULL,
    weekend       json NOT NULL,
    holidays      json NOT NULL,
    PRIMARY KEY (policy)
);

COMMENT ON TABLE business_calendar IS 'The business calendar as it is now: one row.';
COMMENT ON COLUMN business_calendar.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN business_calendar.weekend IS 'The days of the week on which the business is closed, as a JSON array.';
COMMENT ON COLUMN business_calendar.holidays IS 'The dates on which it is closed besides, as a JSON array in order.';
COMMENT ON COLUMN business_calendar.version IS 'Version of its stream.';
COMMENT ON COLUMN business_calendar.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN business_calendar.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE business_calendar_versions (
    version     bigint NOT NULL,
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    policy      text COLLATE "C" NOT NULL,
    weekend     json NOT NULL,
    holidays    json NOT NULL,
    PRIMARY KEY (policy, version)
);

COMMENT ON TABLE business_calendar_versions IS 'One row a version of the business calendar. Rows are never changed.';
COMMENT ON COLUMN business_calendar_versions.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN business_calendar_versions.version IS 'Version of its stream.';
COMMENT ON COLUMN business_calendar_versions.weekend IS 'The days of the week on which the business is closed, as a JSON array.';
COMMENT ON COLUMN business_calendar_versions.holidays IS 'The dates on which it is closed besides, as a JSON array in order.';
COMMENT ON COLUMN business_calendar_versions.position IS 'Position in the log: it counts for each due date that is computed after it.';
COMMENT ON COLUMN business_calendar_versions.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.business_calendar AS
SELECT t.policy, t.weekend, t.holidays, t.version, t.last_position, t.last_at
  FROM read.business_calendar t;

COMMENT ON VIEW reporting.business_calendar IS 'The business calendar as it is now: one row.';
COMMENT ON COLUMN reporting.business_calendar.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.business_calendar.weekend IS 'The days of the week on which the business is closed, as a JSON array.';
COMMENT ON COLUMN reporting.business_calendar.holidays IS 'The dates on which it is closed besides, as a JSON array in order.';
COMMENT ON COLUMN reporting.business_calendar.version IS 'Version of its stream.';
COMMENT ON COLUMN reporting.business_calendar.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.business_calendar.last_at IS 'When its last event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.business_calendar_versions AS
SELECT t.policy, t.version, t.weekend, t.holidays, t.position, t.recorded_at, t.position AS last_position
  FROM read.business_calendar_versions t;

COMMENT ON VIEW reporting.business_calendar_versions IS 'One row a version of the business calendar.';
COMMENT ON COLUMN reporting.business_calendar_versions.policy IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.business_calendar_versions.version IS 'Version of its stream.';
COMMENT ON COLUMN reporting.business_calendar_versions.weekend IS 'The days of the week on which the business is closed, as a JSON array.';
COMMENT ON COLUMN reporting.business_calendar_versions.holidays IS 'The dates on which it is closed besides, as a JSON array in order.';
COMMENT ON COLUMN reporting.business_calendar_versions.position IS 'Position in the log: it counts for each due date that is computed after it.';
COMMENT ON COLUMN reporting.business_calendar_versions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.business_calendar_versions.last_position IS 'Position in the log of the last event that changed this row.';
