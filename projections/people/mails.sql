-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE mails (
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    queued_at     timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    cause_version integer NOT NULL,
    attempts      smallint NOT NULL,
    next_at       timestamptz,
    reply         smallint,
    mail          text COLLATE "C" NOT NULL,
    person        text COLLATE "C" NOT NULL,
    template      text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    cause         text COLLATE "C",
    PRIMARY KEY (mail)
);

CREATE INDEX mails_in_order ON mails (position);
CREATE INDEX mails_in_status ON mails (status, position);
CREATE INDEX mails_of_person ON mails (person, position);
CREATE INDEX mails_to_send ON mails (next_at, mail) WHERE next_at IS NOT NULL;

COMMENT ON TABLE mails IS 'One row a mail to a person, as it is now.';
COMMENT ON COLUMN mails.mail IS 'Public id; also the name of the stream in the log.';
COMMENT ON COLUMN mails.person IS 'Who gets it.';
COMMENT ON COLUMN mails.template IS 'What is written.';
COMMENT ON COLUMN mails.cause_version IS 'Version on the person''s stream of the event that asked for it.';
COMMENT ON COLUMN mails.status IS 'waiting, failed (it is tried again), sent or given_up.';
COMMENT ON COLUMN mails.cause IS 'Code of what the last attempt failed of. NULL if there was none, and once it was sent.';
COMMENT ON COLUMN mails.reply IS 'Code of the mail server''s answer to the last attempt that failed.';
COMMENT ON COLUMN mails.attempts IS 'Attempts since it was queued or retried.';
COMMENT ON COLUMN mails.next_at IS 'When it is tried next, UTC. NULL if it is not.';
COMMENT ON COLUMN mails.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN mails.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN mails.queued_at IS 'When it was queued, UTC.';
COMMENT ON COLUMN mails.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN mails.last_at IS 'When the last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.mails AS
SELECT t.mail, t.person, t.template, t.cause_version, t.status, t.cause, t.reply, t.attempts, t.next_at, t.version,
       t.position, t.queued_at, t.last_position, t.last_at
  FROM read.mails t;

COMMENT ON VIEW reporting.mails IS 'One row a mail to a person, as it is now.';
COMMENT ON COLUMN reporting.mails.mail IS 'Public id; also the name of the stream in the log.';
COMMENT ON COLUMN reporting.mails.person IS 'Who gets it.';
COMMENT ON COLUMN reporting.mails.template IS 'What is written.';
COMMENT ON COLUMN reporting.mails.cause_version IS 'Version on the person''s stream of the event that asked for it.';
COMMENT ON COLUMN reporting.mails.status IS 'waiting, failed (it is tried again), sent or given_up.';
COMMENT ON COLUMN reporting.mails.cause IS 'Code of what the last attempt failed of. NULL if there was none, and once it was sent.';
COMMENT ON COLUMN reporting.mails.reply IS 'Code of the mail server''s answer to the last attempt that failed.';
COMMENT ON COLUMN reporting.mails.attempts IS 'Attempts since it was queued or retried.';
COMMENT ON COLUMN reporting.mails.next_at IS 'When it is tried next, UTC. NULL if it is not.';
COMMENT ON COLUMN reporting.mails.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN reporting.mails.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.mails.queued_at IS 'When it was queued, UTC.';
COMMENT ON COLUMN reporting.mails.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN reporting.mails.last_at IS 'When the last event was recorded, UTC.';
