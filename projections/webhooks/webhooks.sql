-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE webhooks (
    restarted     bigint NOT NULL,
    secret        bigint NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    created_at    timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    failures      integer NOT NULL,
    hours         integer NOT NULL,
    overlap_until timestamptz,
    reply         smallint,
    webhook       text COLLATE "C" NOT NULL,
    url           text COLLATE "C" NOT NULL,
    areas         json NOT NULL,
    types         json NOT NULL,
    accounts      json NOT NULL,
    contact       text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    cause         text COLLATE "C",
    PRIMARY KEY (webhook)
);

CREATE INDEX webhooks_in_order ON webhooks (position);
CREATE INDEX webhooks_in_status ON webhooks (status, position);

COMMENT ON TABLE webhooks IS 'One row a webhook, as it is now.';
COMMENT ON COLUMN webhooks.webhook IS 'Public id; also the name of the stream in the log.';
COMMENT ON COLUMN webhooks.url IS 'The address that events are sent to.';
COMMENT ON COLUMN webhooks.areas IS 'The areas of the events that are sent, as a JSON array; empty for all.';
COMMENT ON COLUMN webhooks.types IS 'The types of the events that are sent, without versions, as a JSON array; empty for all.';
COMMENT ON COLUMN webhooks.accounts IS 'The accounts whose events are sent, as a JSON array; empty for all streams.';
COMMENT ON COLUMN webhooks.contact IS 'The person who gets a mail when it is disabled.';
COMMENT ON COLUMN webhooks.failures IS 'It is disabled after so many failed attempts in a row ...';
COMMENT ON COLUMN webhooks.hours IS '... that lasted for so many hours.';
COMMENT ON COLUMN webhooks.status IS 'active, paused, disabled or removed.';
COMMENT ON COLUMN webhooks.cause IS 'Code of what the last attempt failed of when it was disabled. NULL if it is not.';
COMMENT ON COLUMN webhooks.reply IS 'Status of the receiver''s answer to that attempt. NULL if there was none.';
COMMENT ON COLUMN webhooks.restarted IS 'Version of the event since which failed attempts count.';
COMMENT ON COLUMN webhooks.secret IS 'Version of the event that made the newest secret.';
COMMENT ON COLUMN webhooks.overlap_until IS 'Until when the secret before signs too, UTC. NULL if there is none.';
COMMENT ON COLUMN webhooks.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN webhooks.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN webhooks.created_at IS 'When it was created, UTC.';
COMMENT ON COLUMN webhooks.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN webhooks.last_at IS 'When the last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.webhooks AS
SELECT t.webhook, t.url, t.areas, t.types, t.accounts, t.contact, t.failures, t.hours, t.status, t.cause, t.reply,
       t.restarted, t.secret, t.overlap_until, t.version, t.position, t.created_at, t.last_position, t.last_at
  FROM read.webhooks t;

COMMENT ON VIEW reporting.webhooks IS 'One row a webhook, as it is now.';
COMMENT ON COLUMN reporting.webhooks.webhook IS 'Public id; also the name of the stream in the log.';
COMMENT ON COLUMN reporting.webhooks.url IS 'The address that events are sent to.';
COMMENT ON COLUMN reporting.webhooks.areas IS 'The areas of the events that are sent, as a JSON array; empty for all.';
COMMENT ON COLUMN reporting.webhooks.types IS 'The types of the events that are sent, without versions, as a JSON array; empty for all.';
COMMENT ON COLUMN reporting.webhooks.accounts IS 'The accounts whose events are sent, as a JSON array; empty for all streams.';
COMMENT ON COLUMN reporting.webhooks.contact IS 'The person who gets a mail when it is disabled.';
COMMENT ON COLUMN reporting.webhooks.failures IS 'It is disabled after so many failed attempts in a row ...';
COMMENT ON COLUMN reporting.webhooks.hours IS '... that lasted for so many hours.';
COMMENT ON COLUMN reporting.webhooks.status IS 'active, paused, disabled or removed.';
COMMENT ON COLUMN reporting.webhooks.cause IS 'Code of what the last attempt failed of when it was disabled. NULL if it is not.';
COMMENT ON COLUMN reporting.webhooks.reply IS 'Status of the receiver''s answer to that attempt. NULL if there was none.';
COMMENT ON COLUMN reporting.webhooks.restarted IS 'Version of the event since which failed attempts count.';
COMMENT ON COLUMN reporting.webhooks.secret IS 'Version of the event that made the newest secret.';
COMMENT ON COLUMN reporting.webhooks.overlap_until IS 'Until when the secret before signs too, UTC. NULL if there is none.';
COMMENT ON COLUMN reporting.webhooks.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN reporting.webhooks.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.webhooks.created_at IS 'When it was created, UTC.';
COMMENT ON COLUMN reporting.webhooks.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN reporting.webhooks.last_at IS 'When the last event was recorded, UTC.';
