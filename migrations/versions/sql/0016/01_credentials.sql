-- Credentials of persons: outside the log, in tables that one role reads and writes (ADR 0039).
--
-- A row that follows an event names the version that the event gave to the person's stream. The event comes first, so a
-- crash leaves a row missing and never one too many that anybody was promised. Rows have no foreign key to log.logs:
-- its check would lock the head row, which every append updates.
--
-- No plain secret is here: a password is an argon2id hash, a token is a SHA-256, a TOTP secret is sealed.
CREATE SCHEMA credentials AUTHORIZATION daybook_owner;
SET LOCAL ROLE daybook_owner;
COMMENT ON SCHEMA credentials IS 'Credentials of persons. The role daybook_credentials reads and writes them, and no other.';

CREATE TABLE credentials.passwords (
    log     integer NOT NULL,
    person  text COLLATE "C" NOT NULL CHECK (person ~ '^[!-~]{1,100}$'),
    version bigint NOT NULL CHECK (version > 0),
    hash    text COLLATE "C" NOT NULL CHECK (hash LIKE '$argon2id$%' AND length(hash) <= 200),
    set_at  timestamptz NOT NULL,
    PRIMARY KEY (log, person)
);
COMMENT ON TABLE credentials.passwords IS 'The password of each person. A write of an older version changes nothing.';
COMMENT ON COLUMN credentials.passwords.log IS 'Number of the log whose streams have the persons; the same in each of these tables.';
COMMENT ON COLUMN credentials.passwords.person IS 'Id of the person, which is the name of their stream.';
COMMENT ON COLUMN credentials.passwords.version IS 'Version of the person''s stream at the event that set the password.';
COMMENT ON COLUMN credentials.passwords.hash IS 'argon2id with salt and parameters, in the PHC format.';
COMMENT ON COLUMN credentials.passwords.set_at IS 'When the row was written. A hash with new parameters does not change it.';

CREATE TABLE credentials.sessions (
    log       integer NOT NULL,
    session   text COLLATE "C" NOT NULL CHECK (session ~ '^[!-~]{1,100}$'),
    person    text COLLATE "C" NOT NULL CHECK (person ~ '^[!-~]{1,100}$'),
    version   bigint NOT NULL CHECK (version > 0),
    opened_at timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL CHECK (ends_at > opened_at),
    ended_at  timestamptz,
    ended_why text COLLATE "C" CHECK (ended_why IN ('signed out', 'revoked', 'reused', 'expired')),
    PRIMARY KEY (log, session),
    CHECK ((ended_at IS NULL) = (ended_why IS NULL))
);
CREATE INDEX sessions_by_person ON credentials.sessions (log, person, session);
CREATE INDEX sessions_by_end ON credentials.sessions (log, least(ended_at, ends_at));
COMMENT ON TABLE credentials.sessions IS 'Sessions. A session is the family of its refresh tokens: once it has ended, none of them is valid.';
COMMENT ON COLUMN credentials.sessions.version IS 'Version of the person''s stream that the sign-in was decided on. An event after it may end the session.';
COMMENT ON COLUMN credentials.sessions.ends_at IS 'The absolute end: the session is not renewed beyond it.';
COMMENT ON COLUMN credentials.sessions.ended_at IS 'When it was ended, also by a token that was used twice or too late. Never unset.';
COMMENT ON COLUMN credentials.sessions.ended_why IS 'signed out, revoked, reused (a token was used twice) or expired.';

CREATE TABLE credentials.refresh_tokens (
    log         integer NOT NULL,
    hash        bytea NOT NULL CHECK (octet_length(hash) = 32),
    session     text COLLATE "C" NOT NULL,
    issued_at   timestamptz NOT NULL,
    idle_end    timestamptz NOT NULL CHECK (idle_end > issued_at),
    used_at     timestamptz,
    replaced_by bytea CHECK (octet_length(replaced_by) = 32),
    PRIMARY KEY (log, hash),
    FOREIGN KEY (log, session) REFERENCES credentials.sessions ON DELETE CASCADE,
    CHECK ((used_at IS NULL) = (replaced_by IS NULL))
);
CREATE INDEX refresh_tokens_by_session ON credentials.refresh_tokens (log, session);
CREATE INDEX refresh_tokens_used ON credentials.refresh_tokens (log, idle_end) WHERE used_at IS NOT NULL;
COMMENT ON TABLE credentials.refresh_tokens IS 'Refresh tokens. Each is used once and replaced by the next of its session.';
COMMENT ON COLUMN credentials.refresh_tokens.hash IS 'SHA-256 of the token, which has 256 random bits.';
COMMENT ON COLUMN credentials.refresh_tokens.session IS 'The session, which is the family of the token.';
COMMENT ON COLUMN credentials.refresh_tokens.issued_at IS 'When it was issued. A clock that is behind this is read as if it showed this time.';
COMMENT ON COLUMN credentials.refresh_tokens.idle_end IS 'The idle end: unused until then, the token is worth nothing.';
COMMENT ON COLUMN credentials.refresh_tokens.used_at IS 'When it was used. Never unset; a second use ends the session.';
COMMENT ON COLUMN credentials.refresh_tokens.replaced_by IS 'SHA-256 of the token that was issued for it.';

CREATE TABLE credentials.mail_tokens (
    log        integer NOT NULL,
    person     text COLLATE "C" NOT NULL CHECK (person ~ '^[!-~]{1,100}$'),
    purpose    text COLLATE "C" NOT NULL CHECK (purpose IN ('verify', 'reset')),
    version    bigint NOT NULL CHECK (version > 0),
    hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > issued_at),
    ended_at   timestamptz,
    used_by    text COLLATE "C" CHECK (length(used_by) <= 500),
    PRIMARY KEY (log, person, purpose),
    UNIQUE (log, hash)
);
CREATE INDEX mail_tokens_by_expiry ON credentials.mail_tokens (log, expires_at);
COMMENT ON TABLE credentials.mail_tokens IS 'Tokens in mails, made by the mail worker. A new one takes the place of the one before.';
COMMENT ON COLUMN credentials.mail_tokens.purpose IS 'verify: an address; reset: a password.';
COMMENT ON COLUMN credentials.mail_tokens.version IS 'Version of the person''s stream at the event that asked for the mail.';
COMMENT ON COLUMN credentials.mail_tokens.hash IS 'SHA-256 of the token, which has 256 random bits.';
COMMENT ON COLUMN credentials.mail_tokens.ended_at IS 'When it was used, or first found to be expired. Never unset.';
COMMENT ON COLUMN credentials.mail_tokens.used_by IS 'Idempotency key of the command that used it: a retry of that command may use it again.';

CREATE TABLE credentials.totp (
    log       integer NOT NULL,
    person    text COLLATE "C" NOT NULL CHECK (person ~ '^[!-~]{1,100}$'),
    version   bigint NOT NULL CHECK (version >= 0),
    sealed    text COLLATE "C" NOT NULL CHECK (sealed LIKE '2.%'),
    begun_at  timestamptz NOT NULL,
    last_step bigint NOT NULL CHECK (last_step >= 0),
    PRIMARY KEY (log, person, version)
);
CREATE INDEX totp_begun ON credentials.totp (log, begun_at) WHERE version = 0;
COMMENT ON TABLE credentials.totp IS 'TOTP secrets (RFC 6238). A person has at most one in force, and one that is begun.';
COMMENT ON COLUMN credentials.totp.version IS 'Version of the person''s stream at the event that switched it on; 0: begun, and not in force.';
COMMENT ON COLUMN credentials.totp.sealed IS 'The secret, sealed with the person''s key (ADR 0014).';
COMMENT ON COLUMN credentials.totp.last_step IS 'Step of 30 seconds of the last code that was accepted. It only rises, so a code works once.';

CREATE TABLE credentials.recovery_codes (
    log     integer NOT NULL,
    person  text COLLATE "C" NOT NULL CHECK (person ~ '^[!-~]{1,100}$'),
    number  smallint NOT NULL CHECK (number BETWEEN 1 AND 10),
    version bigint NOT NULL CHECK (version > 0),
    hash    bytea NOT NULL CHECK (octet_length(hash) = 32),
    made_at timestamptz NOT NULL,
    used_at timestamptz,
    PRIMARY KEY (log, person, number)
);
COMMENT ON TABLE credentials.recovery_codes IS 'Recovery codes, for a person who has lost the device of the second factor. Each works once.';
COMMENT ON COLUMN credentials.recovery_codes.number IS 'Place within the set. The next set takes the places of this one.';
COMMENT ON COLUMN credentials.recovery_codes.hash IS 'SHA-256 of the code, which has 80 random bits.';
COMMENT ON COLUMN credentials.recovery_codes.version IS 'Version of the person''s stream at the event that made the set.';

CREATE TABLE credentials.api_keys (
    log             integer NOT NULL,
    key             text COLLATE "C" NOT NULL CHECK (key ~ '^[!-~]{1,100}$'),
    person          text COLLATE "C" NOT NULL CHECK (person ~ '^[!-~]{1,100}$'),
    version         bigint NOT NULL CHECK (version > 0),
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    hash            bytea NOT NULL CHECK (octet_length(hash) = 32),
    prefix          text COLLATE "C" NOT NULL CHECK (length(prefix) <= 12),
    scope           jsonb NOT NULL,
    per_minute      integer NOT NULL CHECK (per_minute > 0),
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz CHECK (expires_at > created_at),
    last_used_at    timestamptz,
    replaced_by     text COLLATE "C",
    overlap_ends_at timestamptz,
    ended_at        timestamptz,
    PRIMARY KEY (log, key),
    UNIQUE (log, hash),
    CHECK ((replaced_by IS NULL) = (overlap_ends_at IS NULL))
);
CREATE INDEX api_keys_by_person ON credentials.api_keys (log, person, key);
CREATE INDEX api_keys_by_end ON credentials.api_keys (log, least(ended_at, expires_at, overlap_ends_at));
COMMENT ON TABLE credentials.api_keys IS 'Keys of programs. A key acts for its person, within its scope.';
COMMENT ON COLUMN credentials.api_keys.key IS 'Id of the key, which events and lists name.';
COMMENT ON COLUMN credentials.api_keys.version IS 'Version of the person''s stream at the event that made the key.';
COMMENT ON COLUMN credentials.api_keys.name IS 'What its person calls it.';
COMMENT ON COLUMN credentials.api_keys.hash IS 'SHA-256 of the key, which has 256 random bits.';
COMMENT ON COLUMN credentials.api_keys.prefix IS 'The first characters of the key, by which its person recognises it in a list.';
COMMENT ON COLUMN credentials.api_keys.scope IS 'What it may be used for: areas, read or command, accounts.';
COMMENT ON COLUMN credentials.api_keys.per_minute IS 'Most requests within a minute.';
COMMENT ON COLUMN credentials.api_keys.last_used_at IS 'When it was used last, to a minute. Never falls.';
COMMENT ON COLUMN credentials.api_keys.replaced_by IS 'Id of the key that replaces it. Both work until overlap_ends_at.';
COMMENT ON COLUMN credentials.api_keys.ended_at IS 'When it was revoked, or first found to be past its end. Never unset.';

CREATE TABLE credentials.attempts (
    log       integer NOT NULL,
    kind      text COLLATE "C" NOT NULL CHECK (kind IN ('person', 'address', 'code')),
    subject   text COLLATE "C" NOT NULL CHECK (length(subject) BETWEEN 1 AND 100),
    failures  integer NOT NULL CHECK (failures >= 0),
    failed_at timestamptz NOT NULL,
    PRIMARY KEY (log, kind, subject)
) WITH (fillfactor = 80);
CREATE INDEX attempts_by_time ON credentials.attempts (log, failed_at);
COMMENT ON TABLE credentials.attempts IS 'Counters of failed attempts. They make the next attempt wait.';
COMMENT ON COLUMN credentials.attempts.kind IS 'person: passwords for one name; address: passwords from one address; code: second factor of one person.';
COMMENT ON COLUMN credentials.attempts.subject IS 'Id of the person, a hash with a key of a name that nobody has, or the address (IPv6: its /64 network).';
COMMENT ON COLUMN credentials.attempts.failed_at IS 'When the last attempt was counted.';

-- What auditors see: who has which credential since which event. No hash, no name, no address.
CREATE VIEW credentials.held AS
SELECT log, person, 'password' AS kind, NULL::text AS id, version, set_at AS since, NULL::timestamptz AS ended_at FROM credentials.passwords
UNION ALL
SELECT log, person, 'session', session, version, opened_at, ended_at FROM credentials.sessions
UNION ALL
SELECT log, person, 'mail token to ' || purpose, NULL, version, issued_at, ended_at FROM credentials.mail_tokens
UNION ALL
SELECT log, person, CASE version WHEN 0 THEN 'second factor, begun' ELSE 'second factor' END, NULL, version, begun_at, NULL FROM credentials.totp
UNION ALL
SELECT log, person, 'API key', key, version, created_at, ended_at FROM credentials.api_keys
UNION ALL
SELECT log, person, 'recovery codes', NULL, version, made_at, CASE WHEN bool_and(used_at IS NOT NULL) THEN max(used_at) END
  FROM credentials.recovery_codes GROUP BY log, person, version, made_at;
COMMENT ON VIEW credentials.held IS 'Which person has which credential, since which version of their stream. For auditors.';

RESET ROLE;
