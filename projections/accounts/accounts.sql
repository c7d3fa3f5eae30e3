-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE accounts (
    version         bigint NOT NULL,
    entries         bigint NOT NULL,
    position        bigint NOT NULL,
    last_position   bigint NOT NULL,
    last_at         timestamptz NOT NULL,
    opened_on       date NOT NULL,
    name_erased     boolean NOT NULL,
    reason_erased   boolean NOT NULL,
    minimum         bigint,
    maximum         bigint,
    overdraft       bigint,
    daily           bigint,
    monthly         bigint,
    hourly          bigint,
    hourly_count    bigint,
    approve_above   bigint,
    overdraft_until date,
    account         text COLLATE "C" NOT NULL,
    number          text COLLATE "C" NOT NULL UNIQUE,
    type            text COLLATE "C" NOT NULL,
    currency        text COLLATE "C" NOT NULL,
    owner           text COLLATE "C" NOT NULL,
    status          text COLLATE "C" NOT NULL,
    balance         numeric NOT NULL,
    reserved        numeric NOT NULL,
    metadata        jsonb NOT NULL,
    name            text,
    reason          text,
    closing_to      text COLLATE "C",
    PRIMARY KEY (account)
) WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05);

CREATE INDEX accounts_in_currency ON accounts (currency, position);
CREATE INDEX accounts_in_order ON accounts (position);
CREATE INDEX accounts_not_open ON accounts (status, position) WHERE status <> 'open';
CREATE INDEX accounts_of_owner ON accounts (owner, position);
CREATE INDEX accounts_of_type ON accounts (type, position);
CREATE INDEX accounts_with_metadata ON accounts USING gin (metadata jsonb_path_ops) WHERE metadata <> '{}';

COMMENT ON TABLE accounts IS 'One row an account, as it is now. Amounts in minor units.';
COMMENT ON COLUMN accounts.account IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN accounts.number IS 'Account number with its two check digits.';
COMMENT ON COLUMN accounts.type IS 'checking, savings, credit, merchant, escrow; or a role of the ledger''s own: cash, banks, fees, interest, penalties, revenue, rounding, equity.';
COMMENT ON COLUMN accounts.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN accounts.owner IS 'Who owns it; for the ledger''s own accounts the name of the log.';
COMMENT ON COLUMN accounts.name IS 'Name for people. NULL once the owner was erased.';
COMMENT ON COLUMN accounts.name_erased IS 'Whether the name is gone with the owner''s key.';
COMMENT ON COLUMN accounts.status IS 'open, frozen or closed.';
COMMENT ON COLUMN accounts.reason IS 'Why it was frozen or closed. NULL while open, and once the owner was erased.';
COMMENT ON COLUMN accounts.reason_erased IS 'Whether the reason is gone with the owner''s key.';
COMMENT ON COLUMN accounts.minimum IS 'What available may not fall below; NULL: no such limit.';
COMMENT ON COLUMN accounts.maximum IS 'What balance may not rise above; NULL: no such limit.';
COMMENT ON COLUMN accounts.overdraft IS 'How far below the minimum it may go; NULL: no overdraft line.';
COMMENT ON COLUMN accounts.overdraft_until IS 'Last day of the overdraft line, UTC; NULL: no end.';
COMMENT ON COLUMN accounts.daily IS 'What may leave it in a UTC day; NULL: no such limit.';
COMMENT ON COLUMN accounts.monthly IS 'What may leave it in a UTC month; NULL: no such limit.';
COMMENT ON COLUMN accounts.hourly IS 'What may leave it in a rolling hour; NULL: no such limit.';
COMMENT ON COLUMN accounts.hourly_count IS 'How many transactions may take something in a rolling hour; NULL: any.';
COMMENT ON COLUMN accounts.approve_above IS 'What one transaction may take without another person; NULL: anything.';
COMMENT ON COLUMN accounts.opened_on IS 'Calendar date of its opening; no value date is before it.';
COMMENT ON COLUMN accounts.balance IS 'Credits less debits, booked.';
COMMENT ON COLUMN accounts.reserved IS 'Sum of its open holds.';
COMMENT ON COLUMN accounts.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN accounts.entries IS 'How many entries it has.';
COMMENT ON COLUMN accounts.position IS 'Position in the log of its opening.';
COMMENT ON COLUMN accounts.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN accounts.last_at IS 'When that event was recorded, UTC.';
COMMENT ON COLUMN accounts.metadata IS 'Pairs of codes that clients keep with it, as a JSON object.';
COMMENT ON COLUMN accounts.closing_to IS 'It is closed once no hold is open, and this account gets what is left. NULL: it is not to be closed.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.accounts AS
SELECT t.account, t.number, t.type, t.currency, t.owner, t.name, t.status, t.reason AS status_reason, t.opened_on,
       t.balance * c.minor_unit AS balance, t.reserved * c.minor_unit AS reserved,
       (t.balance - t.reserved) * c.minor_unit AS available, t.minimum * c.minor_unit AS minimum,
       t.maximum * c.minor_unit AS maximum, t.entries, t.version, t.last_position, t.last_at, t.position,
       t.overdraft * c.minor_unit AS overdraft, t.overdraft_until, t.daily * c.minor_unit AS daily,
       t.monthly * c.minor_unit AS monthly, t.hourly * c.minor_unit AS hourly, t.hourly_count,
       t.approve_above * c.minor_unit AS approve_above, t.metadata, t.closing_to
  FROM read.accounts t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.accounts IS 'One row an account, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.accounts.account IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.accounts.number IS 'Account number with its two check digits.';
COMMENT ON COLUMN reporting.accounts.type IS 'checking, savings, credit, merchant, escrow; or a role of the ledger''s own: cash, banks, fees, interest, penalties, revenue, rounding, equity.';
COMMENT ON COLUMN reporting.accounts.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.accounts.owner IS 'Who owns it; for the ledger''s own accounts the name of the log.';
COMMENT ON COLUMN reporting.accounts.name IS 'Name for people. NULL once the owner was erased.';
COMMENT ON COLUMN reporting.accounts.status IS 'open, frozen or closed.';
COMMENT ON COLUMN reporting.accounts.status_reason IS 'Why it was frozen or closed. NULL while open, and once the owner was erased.';
COMMENT ON COLUMN reporting.accounts.opened_on IS 'Calendar date of its opening; no value date is before it.';
COMMENT ON COLUMN reporting.accounts.balance IS 'Credits less debits, booked.';
COMMENT ON COLUMN reporting.accounts.reserved IS 'Sum of its open holds.';
COMMENT ON COLUMN reporting.accounts.available IS 'Balance less reserved.';
COMMENT ON COLUMN reporting.accounts.minimum IS 'What available may not fall below; NULL: no such limit.';
COMMENT ON COLUMN reporting.accounts.maximum IS 'What balance may not rise above; NULL: no such limit.';
COMMENT ON COLUMN reporting.accounts.entries IS 'How many entries it has.';
COMMENT ON COLUMN reporting.accounts.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.accounts.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN reporting.accounts.last_at IS 'When that event was recorded, UTC.';
COMMENT ON COLUMN reporting.accounts.position IS 'Position in the log of its opening.';
COMMENT ON COLUMN reporting.accounts.overdraft IS 'How far below the minimum it may go; NULL: no overdraft line.';
COMMENT ON COLUMN reporting.accounts.overdraft_until IS 'Last day of the overdraft line, UTC; NULL: no end.';
COMMENT ON COLUMN reporting.accounts.daily IS 'What may leave it in a UTC day; NULL: no such limit.';
COMMENT ON COLUMN reporting.accounts.monthly IS 'What may leave it in a UTC month; NULL: no such limit.';
COMMENT ON COLUMN reporting.accounts.hourly IS 'What may leave it in a rolling hour; NULL: no such limit.';
COMMENT ON COLUMN reporting.accounts.hourly_count IS 'How many transactions may take something in a rolling hour; NULL: any.';
COMMENT ON COLUMN reporting.accounts.approve_above IS 'What one transaction may take without another person; NULL: anything.';
COMMENT ON COLUMN reporting.accounts.metadata IS 'Pairs of codes that clients keep with it, as a JSON object.';
COMMENT ON COLUMN reporting.accounts.closing_to IS 'It is closed once no hold is open, and this account gets what is left. NULL: it is not to be closed.';
