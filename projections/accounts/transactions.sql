-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE transactions (
    position           bigint NOT NULL,
    recorded_at        timestamptz NOT NULL,
    value_date         date NOT NULL,
    description_erased boolean NOT NULL,
    template_version   bigint,
    expires_at         timestamptz,
    changed            bigint,
    posted             bigint,
    posted_at          timestamptz,
    erasure            bigint,
    late_for           date,
    transaction        text COLLATE "C" NOT NULL,
    status             text COLLATE "C" NOT NULL,
    kind               text COLLATE "C" NOT NULL,
    entries            json NOT NULL,
    reference          text COLLATE "C",
    subject            text COLLATE "C",
    description        text,
    parent             text COLLATE "C",
    relation           text COLLATE "C",
    template           text COLLATE "C",
    metadata           jsonb,
    awaits             text COLLATE "C",
    initiator          text COLLATE "C",
    decided_by         text COLLATE "C",
    reason             text,
    reversed_by        text COLLATE "C",
    reversed           json,
    PRIMARY KEY (transaction)
);

CREATE INDEX transactions_by_kind ON transactions (kind, position);
CREATE INDEX transactions_by_reference ON transactions (reference, position) WHERE reference IS NOT NULL;
CREATE INDEX transactions_by_value_date ON transactions (value_date, position);
CREATE UNIQUE INDEX transactions_in_order ON transactions (position);
CREATE INDEX transactions_not_posted ON transactions (status, position) WHERE status <> 'posted';
CREATE INDEX transactions_of_initiator ON transactions (initiator, position) WHERE initiator IS NOT NULL;
CREATE INDEX transactions_of_parent ON transactions (parent, position) WHERE parent IS NOT NULL;
CREATE INDEX transactions_of_subject ON transactions (subject) WHERE subject IS NOT NULL;
CREATE INDEX transactions_posted_later ON transactions (posted) WHERE posted IS NOT NULL;
CREATE INDEX transactions_with_metadata ON transactions USING gin (metadata jsonb_path_ops) WHERE metadata <> '{}';

COMMENT ON TABLE transactions IS 'One row a transaction: what was posted, or waits to be posted, and what became of it.';
COMMENT ON COLUMN transactions.transaction IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN transactions.status IS 'pending, posted, cancelled, rejected, expired, partly_reversed or reversed.';
COMMENT ON COLUMN transactions.kind IS 'What it is, such as deposit, transfer, fee, reversal or journal.';
COMMENT ON COLUMN transactions.value_date IS 'From which day on it counts.';
COMMENT ON COLUMN transactions.reference IS 'Reference of the client''s business.';
COMMENT ON COLUMN transactions.subject IS 'The person whose key seals the description. NULL without a description.';
COMMENT ON COLUMN transactions.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN transactions.description_erased IS 'Whether the description is gone with a person''s key.';
COMMENT ON COLUMN transactions.entries IS '[{account, side, amount, currency}] in their order, minor units.';
COMMENT ON COLUMN transactions.parent IS 'The transaction, recurring payment or transfer order that it belongs to, such as the reversed one.';
COMMENT ON COLUMN transactions.relation IS 'What it is to its parent.';
COMMENT ON COLUMN transactions.template IS 'The template that made its entries.';
COMMENT ON COLUMN transactions.template_version IS 'The version of that template.';
COMMENT ON COLUMN transactions.late_for IS 'The day in a closed period that it is about.';
COMMENT ON COLUMN transactions.metadata IS 'Pairs that the client keeps with it. NULL: none.';
COMMENT ON COLUMN transactions.awaits IS 'What it waits for, or waited for: request, approval or review.';
COMMENT ON COLUMN transactions.initiator IS 'The person who asked for a transaction that waits.';
COMMENT ON COLUMN transactions.decided_by IS 'The person who approved or rejected it.';
COMMENT ON COLUMN transactions.expires_at IS 'Until when it waits, UTC.';
COMMENT ON COLUMN transactions.reason IS 'Why it was cancelled or rejected.';
COMMENT ON COLUMN transactions.reversed_by IS 'The newest transaction that reverses it.';
COMMENT ON COLUMN transactions.reversed IS 'What is reversed of each entry, minor units. NULL: nothing.';
COMMENT ON COLUMN transactions.position IS 'Position in the log.';
COMMENT ON COLUMN transactions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN transactions.changed IS 'Position in the log of its last change. NULL: it did not change.';
COMMENT ON COLUMN transactions.posted IS 'Position in the log of the posting of one that waited. NULL for all others.';
COMMENT ON COLUMN transactions.posted_at IS 'When that was recorded, UTC.';
COMMENT ON COLUMN transactions.erasure IS 'Position in the log at which its text was erased. NULL before.';

CREATE TABLE transactions_that_waited (
    account     text COLLATE "C" NOT NULL,
    transaction text COLLATE "C" NOT NULL,
    PRIMARY KEY (account, transaction)
);

COMMENT ON TABLE transactions_that_waited IS 'One row an account and transaction that waits or waited to be posted: also the accounts that it credits, on which it reserves nothing. Rows are never changed.';
COMMENT ON COLUMN transactions_that_waited.account IS 'An account of one of its entries.';
COMMENT ON COLUMN transactions_that_waited.transaction IS 'The transaction.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.transactions AS
SELECT t.transaction, t.kind, t.value_date, t.reference, t.description, json_array_length(t.entries) AS entries,
       t.position, t.recorded_at, coalesce(greatest(t.erasure, t.changed), t.position) AS last_position, t.status,
       t.parent, t.relation, t.template, t.template_version, t.late_for, t.metadata, t.awaits, t.initiator,
       t.decided_by, t.expires_at, t.reversed_by, t.posted, t.posted_at
  FROM read.transactions t;

COMMENT ON VIEW reporting.transactions IS 'One row a transaction. Its amounts are in reporting.entries, which join by transaction.';
COMMENT ON COLUMN reporting.transactions.transaction IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.transactions.kind IS 'What it is, such as deposit, transfer, fee, reversal or journal.';
COMMENT ON COLUMN reporting.transactions.value_date IS 'From which day on it counts.';
COMMENT ON COLUMN reporting.transactions.reference IS 'Reference of the client''s business.';
COMMENT ON COLUMN reporting.transactions.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN reporting.transactions.entries IS 'How many entries it has.';
COMMENT ON COLUMN reporting.transactions.position IS 'Position in the log.';
COMMENT ON COLUMN reporting.transactions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.transactions.last_position IS 'Position in the log of the last event that changed this row.';
COMMENT ON COLUMN reporting.transactions.status IS 'pending, posted, cancelled, rejected, expired, partly_reversed or reversed.';
COMMENT ON COLUMN reporting.transactions.parent IS 'The transaction, recurring payment or transfer order that it belongs to, such as the reversed one.';
COMMENT ON COLUMN reporting.transactions.relation IS 'What it is to its parent.';
COMMENT ON COLUMN reporting.transactions.template IS 'The template that made its entries.';
COMMENT ON COLUMN reporting.transactions.template_version IS 'The version of that template.';
COMMENT ON COLUMN reporting.transactions.late_for IS 'The day in a closed period that it is about.';
COMMENT ON COLUMN reporting.transactions.metadata IS 'Pairs that the client keeps with it. NULL: none.';
COMMENT ON COLUMN reporting.transactions.awaits IS 'What it waits for, or waited for: request, approval or review.';
COMMENT ON COLUMN reporting.transactions.initiator IS 'The person who asked for a transaction that waits.';
COMMENT ON COLUMN reporting.transactions.decided_by IS 'The person who approved or rejected it.';
COMMENT ON COLUMN reporting.transactions.expires_at IS 'Until when it waits, UTC.';
COMMENT ON COLUMN reporting.transactions.reversed_by IS 'The newest transaction that reverses it.';
COMMENT ON COLUMN reporting.transactions.posted IS 'Position in the log of the posting of one that waited. NULL for all others.';
COMMENT ON COLUMN reporting.transactions.posted_at IS 'When that was recorded, UTC.';
