-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE account_persons (
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    may_see       boolean NOT NULL,
    move_up_to    bigint,
    until         timestamptz,
    account       text COLLATE "C" NOT NULL,
    person        text COLLATE "C" NOT NULL,
    standing      text COLLATE "C" NOT NULL,
    currency      text COLLATE "C",
    PRIMARY KEY (account, person)
);

CREATE UNIQUE INDEX account_persons_in_order ON account_persons (position);
CREATE INDEX account_persons_of_person ON account_persons (person, position);

COMMENT ON TABLE account_persons IS 'One row an account and person: what the person may do with the account. The ledger''s own accounts have none.';
COMMENT ON COLUMN account_persons.account IS 'The account.';
COMMENT ON COLUMN account_persons.person IS 'The person.';
COMMENT ON COLUMN account_persons.standing IS 'owner, mandate, or none: the ownership or the mandate was taken back.';
COMMENT ON COLUMN account_persons.may_see IS 'Whether the person may see the account, until `until`.';
COMMENT ON COLUMN account_persons.currency IS 'ISO 4217 code of the mandate. NULL without a mandate.';
COMMENT ON COLUMN account_persons.move_up_to IS 'The most that a transfer or a hold of the person may take, until `until`. NULL: nothing, or an owner without such a bound.';
COMMENT ON COLUMN account_persons.until IS 'The first instant without the mandate, UTC. NULL: no end.';
COMMENT ON COLUMN account_persons.position IS 'Position in the log of the event with which the person first got a standing.';
COMMENT ON COLUMN account_persons.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN account_persons.last_at IS 'When that event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.account_persons AS
SELECT t.account, t.person, t.standing, t.may_see, t.currency, t.move_up_to * c.minor_unit AS move_up_to, t.until,
       t.position, t.last_position, t.last_at
  FROM read.account_persons t LEFT JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.account_persons IS 'One row an account and person: what the person may do with the account. Amounts in major units.';
COMMENT ON COLUMN reporting.account_persons.account IS 'The account.';
COMMENT ON COLUMN reporting.account_persons.person IS 'The person.';
COMMENT ON COLUMN reporting.account_persons.standing IS 'owner, mandate, or none: the ownership or the mandate was taken back.';
COMMENT ON COLUMN reporting.account_persons.may_see IS 'Whether the person may see the account, until `until`.';
COMMENT ON COLUMN reporting.account_persons.currency IS 'ISO 4217 code of the mandate. NULL without a mandate.';
COMMENT ON COLUMN reporting.account_persons.move_up_to IS 'The most that a transfer or a hold of the person may take, until `until`. NULL: nothing, or an owner without such a bound.';
COMMENT ON COLUMN reporting.account_persons.until IS 'The first instant without the mandate, UTC. NULL: no end.';
COMMENT ON COLUMN reporting.account_persons.position IS 'Position in the log of the event with which the person first got a standing.';
COMMENT ON COLUMN reporting.account_persons.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN reporting.account_persons.last_at IS 'When that event was recorded, UTC.';
