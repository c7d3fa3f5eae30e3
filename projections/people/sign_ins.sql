-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE sign_ins (
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    opened_at     timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    second_factor boolean NOT NULL,
    ended_at      timestamptz,
    session       text COLLATE "C" NOT NULL,
    person        text COLLATE "C" NOT NULL,
    ended_why     text COLLATE "C",
    PRIMARY KEY (session)
);

CREATE INDEX sign_ins_in_order ON sign_ins (position);
CREATE INDEX sign_ins_of_person ON sign_ins (person, position);

COMMENT ON TABLE sign_ins IS 'One row a sign-in of a person, and how the session that it opened has ended.';
COMMENT ON COLUMN sign_ins.session IS 'Public id of the session; also the name of the stream in the log.';
COMMENT ON COLUMN sign_ins.person IS 'Who signed in.';
COMMENT ON COLUMN sign_ins.second_factor IS 'Whether a second factor was used.';
COMMENT ON COLUMN sign_ins.ended_why IS 'signed_out, revoked, reused (a token was used twice) or expired. NULL while nothing was recorded about its own end: it may be over because all sessions of the person were ended.';
COMMENT ON COLUMN sign_ins.ended_at IS 'When the session ended, UTC. NULL as ended_why.';
COMMENT ON COLUMN sign_ins.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN sign_ins.position IS 'Position in the log of the sign-in.';
COMMENT ON COLUMN sign_ins.opened_at IS 'When the person signed in, UTC.';
COMMENT ON COLUMN sign_ins.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN sign_ins.last_at IS 'When the last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.sign_ins AS
SELECT t.session, t.person, t.second_factor, t.ended_why, t.ended_at, t.version, t.position, t.opened_at,
       t.last_position, t.last_at
  FROM read.sign_ins t;

COMMENT ON VIEW reporting.sign_ins IS 'One row a sign-in of a person, and how the session that it opened has ended.';
COMMENT ON COLUMN reporting.sign_ins.session IS 'Public id of the session; also the name of the stream in the log.';
COMMENT ON COLUMN reporting.sign_ins.person IS 'Who signed in.';
COMMENT ON COLUMN reporting.sign_ins.second_factor IS 'Whether a second factor was used.';
COMMENT ON COLUMN reporting.sign_ins.ended_why IS 'signed_out, revoked, reused (a token was used twice) or expired. NULL while nothing was recorded about its own end: it may be over because all sessions of the person were ended.';
COMMENT ON COLUMN reporting.sign_ins.ended_at IS 'When the session ended, UTC. NULL as ended_why.';
COMMENT ON COLUMN reporting.sign_ins.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN reporting.sign_ins.position IS 'Position in the log of the sign-in.';
COMMENT ON COLUMN reporting.sign_ins.opened_at IS 'When the person signed in, UTC.';
COMMENT ON COLUMN reporting.sign_ins.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN reporting.sign_ins.last_at IS 'When the last event was recorded, UTC.';
