-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE people (
    version         bigint NOT NULL,
    position        bigint NOT NULL,
    registered_at   timestamptz NOT NULL,
    last_position   bigint NOT NULL,
    last_at         timestamptz NOT NULL,
    names_erased    boolean NOT NULL,
    email_verified  boolean NOT NULL,
    suspended       boolean NOT NULL,
    deleted         boolean NOT NULL,
    reason_erased   boolean NOT NULL,
    second_factor   boolean NOT NULL,
    locked_out_at   timestamptz,
    password_set_at timestamptz,
    person          text COLLATE "C" NOT NULL,
    time_zone       text COLLATE "C" NOT NULL,
    language        text COLLATE "C" NOT NULL,
    roles           json NOT NULL,
    consents        json NOT NULL,
    api_keys        json NOT NULL,
    username        text,
    email           text,
    name            text,
    reason          text,
    biography       text,
    location        text,
    website         text,
    birth_date      text,
    PRIMARY KEY (person)
);

CREATE INDEX people_by_email ON people (email);
CREATE INDEX people_by_username ON people (username);
CREATE INDEX people_in_order ON people (position);

COMMENT ON TABLE people IS 'One row a person, as they are now; deleted ones too.';
COMMENT ON COLUMN people.person IS 'Public id; also the name of the stream in the log.';
COMMENT ON COLUMN people.username IS 'The name to sign in with. NULL once the person was erased.';
COMMENT ON COLUMN people.email IS 'The e-mail address. NULL once the person was erased.';
COMMENT ON COLUMN people.name IS 'How the person is called. NULL once the person was erased.';
COMMENT ON COLUMN people.names_erased IS 'Whether names and profile are gone with the person''s key.';
COMMENT ON COLUMN people.email_verified IS 'Whether mail to the address reaches the person.';
COMMENT ON COLUMN people.suspended IS 'Whether the person is kept from signing in; also under a deletion.';
COMMENT ON COLUMN people.deleted IS 'Whether the person is deleted; they can be restored.';
COMMENT ON COLUMN people.reason IS 'Why the person was suspended, reactivated, deleted or restored last. NULL if it is not stated, and once the person was erased.';
COMMENT ON COLUMN people.reason_erased IS 'Whether the reason is gone with the person''s key.';
COMMENT ON COLUMN people.biography IS 'NULL if it is not stated, and once the person was erased.';
COMMENT ON COLUMN people.location IS 'NULL if it is not stated, and once the person was erased.';
COMMENT ON COLUMN people.website IS 'NULL if it is not stated, and once the person was erased.';
COMMENT ON COLUMN people.birth_date IS 'ISO 8601. NULL if it is not stated, and once the person was erased.';
COMMENT ON COLUMN people.time_zone IS 'Time zone (IANA) in which times are shown to the person.';
COMMENT ON COLUMN people.language IS 'Language tag (BCP 47).';
COMMENT ON COLUMN people.roles IS 'The granted roles, as a JSON array of role, context and until, in the order of the grants.';
COMMENT ON COLUMN people.consents IS 'What the person agreed to, as a JSON array of purpose, text_version and given_at.';
COMMENT ON COLUMN people.second_factor IS 'Whether a sign-in needs a second factor.';
COMMENT ON COLUMN people.api_keys IS 'The API keys that were not ended, as a JSON array of key, areas, access, accounts, made_at and until.';
COMMENT ON COLUMN people.locked_out_at IS 'When so many sign-ins had failed that they have to wait long, UTC.';
COMMENT ON COLUMN people.password_set_at IS 'When the password was changed or reset last, UTC.';
COMMENT ON COLUMN people.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN people.position IS 'Position in the log of the registration.';
COMMENT ON COLUMN people.registered_at IS 'When the person was registered, UTC.';
COMMENT ON COLUMN people.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN people.last_at IS 'When the last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.people AS
SELECT t.person,
       CASE WHEN t.deleted THEN 'deleted' WHEN t.suspended THEN 'suspended' WHEN t.email_verified THEN 'active' ELSE 'pending' END AS status,
       t.names_erased, t.time_zone, t.language, t.roles, t.consents, t.password_set_at, t.version, t.position,
       t.registered_at, t.last_position, t.last_at, t.second_factor, t.api_keys, t.locked_out_at
  FROM read.people t;

COMMENT ON VIEW reporting.people IS 'One row a person, as they are now; deleted ones too. Names, profile and reasons are not shown.';
COMMENT ON COLUMN reporting.people.person IS 'Public id; also the name of the stream in the log.';
COMMENT ON COLUMN reporting.people.status IS 'pending, active, suspended or deleted.';
COMMENT ON COLUMN reporting.people.names_erased IS 'Whether names and profile are gone with the person''s key.';
COMMENT ON COLUMN reporting.people.time_zone IS 'Time zone (IANA) in which times are shown to the person.';
COMMENT ON COLUMN reporting.people.language IS 'Language tag (BCP 47).';
COMMENT ON COLUMN reporting.people.roles IS 'The granted roles, as a JSON array of role, context and until, in the order of the grants.';
COMMENT ON COLUMN reporting.people.consents IS 'What the person agreed to, as a JSON array of purpose, text_version and given_at.';
COMMENT ON COLUMN reporting.people.password_set_at IS 'When the password was changed or reset last, UTC.';
COMMENT ON COLUMN reporting.people.version IS 'Version of the stream: the number of its events.';
COMMENT ON COLUMN reporting.people.position IS 'Position in the log of the registration.';
COMMENT ON COLUMN reporting.people.registered_at IS 'When the person was registered, UTC.';
COMMENT ON COLUMN reporting.people.last_position IS 'Position in the log of the last event.';
COMMENT ON COLUMN reporting.people.last_at IS 'When the last event was recorded, UTC.';
COMMENT ON COLUMN reporting.people.second_factor IS 'Whether a sign-in needs a second factor.';
COMMENT ON COLUMN reporting.people.api_keys IS 'The API keys that were not ended, as a JSON array of key, areas, access, accounts, made_at and until.';
COMMENT ON COLUMN reporting.people.locked_out_at IS 'When so many sign-ins had failed that they have to wait long, UTC.';
