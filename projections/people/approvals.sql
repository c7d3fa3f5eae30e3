-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE approvals (
    until         timestamptz NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    requested_at  timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    approval      text COLLATE "C" NOT NULL,
    action        text COLLATE "C" NOT NULL,
    about         text COLLATE "C" NOT NULL,
    by            text COLLATE "C" NOT NULL,
    outcome       text COLLATE "C" NOT NULL,
    decided_by    text COLLATE "C",
    PRIMARY KEY (approval)
);

CREATE INDEX approvals_in_order ON approvals (position);
CREATE INDEX approvals_open ON approvals (position) WHERE outcome = 'open';

COMMENT ON TABLE approvals IS 'One row a request that another person has to approve, as it is now.';
COMMENT ON COLUMN approvals.approval IS 'Public id; also the name of the stream in the log.';
COMMENT ON COLUMN approvals.action IS 'What was asked for, such as administrator.appoint.';
COMMENT ON COLUMN approvals.about IS 'Id of what it is about.';
COMMENT ON COLUMN approvals.by IS 'The person who asked.';
COMMENT ON COLUMN approvals.outcome IS 'open, approved, rejected or withdrawn. An open one may have expired: see until.';
COMMENT ON COLUMN approvals.decided_by IS 'The person who decided or withdrew it. NULL while it is open.';
COMMENT ON COLUMN approvals.until IS 'From then on it cannot be approved, UTC.';
COMMENT ON COLUMN approvals.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN approvals.position IS 'Position in the log of the request.';
COMMENT ON COLUMN approvals.requested_at IS 'When it was asked for, UTC.';
COMMENT ON COLUMN approvals.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN approvals.last_at IS 'When the last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.approvals AS
SELECT t.approval, t.action, t.about, t.by, t.outcome, t.decided_by, t.until, t.version, t.position, t.requested_at,
       t.last_position, t.last_at
  FROM read.approvals t;

COMMENT ON VIEW reporting.approvals IS 'One row a request that another person has to approve, as it is now.';
COMMENT ON COLUMN reporting.approvals.approval IS 'Public id; also the name of the stream in the log.';
COMMENT ON COLUMN reporting.approvals.action IS 'What was asked for, such as administrator.appoint.';
COMMENT ON COLUMN reporting.approvals.about IS 'Id of what it is about.';
COMMENT ON COLUMN reporting.approvals.by IS 'The person who asked.';
COMMENT ON COLUMN reporting.approvals.outcome IS 'open, approved, rejected or withdrawn. An open one may have expired: see until.';
COMMENT ON COLUMN reporting.approvals.decided_by IS 'The person who decided or withdrew it. NULL while it is open.';
COMMENT ON COLUMN reporting.approvals.until IS 'From then on it cannot be approved, UTC.';
COMMENT ON COLUMN reporting.approvals.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN reporting.approvals.position IS 'Position in the log of the request.';
COMMENT ON COLUMN reporting.approvals.requested_at IS 'When it was asked for, UTC.';
COMMENT ON COLUMN reporting.approvals.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN reporting.approvals.last_at IS 'When the last event was recorded, UTC.';
