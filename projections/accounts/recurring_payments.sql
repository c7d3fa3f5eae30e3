-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE recurring_payments (
    amount             bigint NOT NULL,
    number             bigint NOT NULL,
    version            bigint NOT NULL,
    position           bigint NOT NULL,
    created_at         timestamptz NOT NULL,
    last_position      bigint NOT NULL,
    last_at            timestamptz NOT NULL,
    every              integer NOT NULL,
    first_on           date NOT NULL,
    strikes            integer NOT NULL,
    description_erased boolean NOT NULL,
    day                bigint,
    runs               bigint,
    retry_at           timestamptz,
    last_on            date,
    due_on             date,
    payment            text COLLATE "C" NOT NULL,
    status             text COLLATE "C" NOT NULL,
    payer              text COLLATE "C" NOT NULL,
    payee              text COLLATE "C" NOT NULL,
    currency           text COLLATE "C" NOT NULL,
    unit               text COLLATE "C" NOT NULL,
    day_rule           text COLLATE "C" NOT NULL,
    metadata           json NOT NULL,
    rule               text COLLATE "C",
    transaction        text COLLATE "C",
    reference          text COLLATE "C",
    subject            text COLLATE "C",
    description        text,
    initiator          text COLLATE "C",
    PRIMARY KEY (payment)
);

CREATE INDEX recurring_payments_due ON recurring_payments (due_on, position) WHERE due_on IS NOT NULL;
CREATE UNIQUE INDEX recurring_payments_in_order ON recurring_payments (position);
CREATE INDEX recurring_payments_in_status ON recurring_payments (status, position);
CREATE INDEX recurring_payments_of_payee ON recurring_payments (payee, position);
CREATE INDEX recurring_payments_of_payer ON recurring_payments (payer, position);
CREATE INDEX recurring_payments_of_subject ON recurring_payments (subject) WHERE subject IS NOT NULL;

COMMENT ON TABLE recurring_payments IS 'One row a recurring payment, as it is now. Amounts in minor units.';
COMMENT ON COLUMN recurring_payments.payment IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN recurring_payments.status IS 'active, paused, suspended, completed or cancelled.';
COMMENT ON COLUMN recurring_payments.payer IS 'The account that pays.';
COMMENT ON COLUMN recurring_payments.payee IS 'The account that is paid.';
COMMENT ON COLUMN recurring_payments.amount IS 'The amount of the next runs.';
COMMENT ON COLUMN recurring_payments.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN recurring_payments.unit IS 'The unit of its period: days or months.';
COMMENT ON COLUMN recurring_payments.every IS 'How many days or months its period has.';
COMMENT ON COLUMN recurring_payments.first_on IS 'The first date, before the business calendar moves it.';
COMMENT ON COLUMN recurring_payments.day IS 'The day of the month, if it was given. A shorter month has its last day instead.';
COMMENT ON COLUMN recurring_payments.day_rule IS 'What moves a date that is no business day.';
COMMENT ON COLUMN recurring_payments.last_on IS 'No run has a later date. NULL: no such end.';
COMMENT ON COLUMN recurring_payments.runs IS 'How many runs it has. NULL: no such end.';
COMMENT ON COLUMN recurring_payments.number IS 'The number of its next run, from 1; of the last one once it is completed.';
COMMENT ON COLUMN recurring_payments.due_on IS 'When its next run is due. NULL: it has none, until it is resumed.';
COMMENT ON COLUMN recurring_payments.strikes IS 'How often the next run was refused, or the one that was given up.';
COMMENT ON COLUMN recurring_payments.rule IS 'The rule that refused it last. NULL: none since a run was carried out.';
COMMENT ON COLUMN recurring_payments.retry_at IS 'When the next run is tried again, UTC. NULL: it was not refused.';
COMMENT ON COLUMN recurring_payments.transaction IS 'The transaction of its last run. NULL: it had none.';
COMMENT ON COLUMN recurring_payments.reference IS 'The reference of each of its transactions.';
COMMENT ON COLUMN recurring_payments.metadata IS 'Pairs of codes that each of its transactions gets, as a JSON object.';
COMMENT ON COLUMN recurring_payments.subject IS 'The person whose key seals the description. NULL without a description.';
COMMENT ON COLUMN recurring_payments.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN recurring_payments.description_erased IS 'Whether the description is gone with a person''s key.';
COMMENT ON COLUMN recurring_payments.initiator IS 'The person who set it going last. NULL: a program.';
COMMENT ON COLUMN recurring_payments.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN recurring_payments.position IS 'Position in the log of its creation.';
COMMENT ON COLUMN recurring_payments.created_at IS 'When it was created, UTC.';
COMMENT ON COLUMN recurring_payments.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN recurring_payments.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE recurring_runs (
    version     bigint NOT NULL,
    number      bigint NOT NULL,
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    due_on      date NOT NULL,
    strikes     integer NOT NULL,
    retry_at    timestamptz,
    payment     text COLLATE "C" NOT NULL,
    outcome     text COLLATE "C" NOT NULL,
    transaction text COLLATE "C",
    rule        text COLLATE "C",
    PRIMARY KEY (payment, version)
);

CREATE UNIQUE INDEX recurring_runs_in_order ON recurring_runs (position);
CREATE INDEX recurring_runs_of_payment ON recurring_runs (payment, position);

COMMENT ON TABLE recurring_runs IS 'One row each time that a run of a recurring payment was carried out or refused. Rows are never changed.';
COMMENT ON COLUMN recurring_runs.payment IS 'The recurring payment.';
COMMENT ON COLUMN recurring_runs.version IS 'Version of its stream.';
COMMENT ON COLUMN recurring_runs.number IS 'The number of the run, from 1. A run that was refused is tried again.';
COMMENT ON COLUMN recurring_runs.due_on IS 'When it was due.';
COMMENT ON COLUMN recurring_runs.outcome IS 'done or refused.';
COMMENT ON COLUMN recurring_runs.transaction IS 'Its transaction. NULL: it was refused.';
COMMENT ON COLUMN recurring_runs.rule IS 'The rule that refused it. NULL: it was carried out.';
COMMENT ON COLUMN recurring_runs.strikes IS 'How often it was refused by then, one after the other.';
COMMENT ON COLUMN recurring_runs.retry_at IS 'When it is tried again, UTC. NULL: it is not.';
COMMENT ON COLUMN recurring_runs.position IS 'Position in the log of this event.';
COMMENT ON COLUMN recurring_runs.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.recurring_payments AS
SELECT t.payment, t.status, t.payer, t.payee, t.amount * c.minor_unit AS amount, t.currency, t.unit, t.every,
       t.first_on, t.day, t.day_rule, t.last_on, t.runs, t.number, t.due_on, t.strikes, t.rule, t.retry_at,
       t.transaction, t.reference, t.metadata, t.description, t.initiator, t.version, t.position, t.created_at,
       t.last_position, t.last_at
  FROM read.recurring_payments t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.recurring_payments IS 'One row a recurring payment, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.recurring_payments.payment IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.recurring_payments.status IS 'active, paused, suspended, completed or cancelled.';
COMMENT ON COLUMN reporting.recurring_payments.payer IS 'The account that pays.';
COMMENT ON COLUMN reporting.recurring_payments.payee IS 'The account that is paid.';
COMMENT ON COLUMN reporting.recurring_payments.amount IS 'The amount of the next runs.';
COMMENT ON COLUMN reporting.recurring_payments.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.recurring_payments.unit IS 'The unit of its period: days or months.';
COMMENT ON COLUMN reporting.recurring_payments.every IS 'How many days or months its period has.';
COMMENT ON COLUMN reporting.recurring_payments.first_on IS 'The first date, before the business calendar moves it.';
COMMENT ON COLUMN reporting.recurring_payments.day IS 'The day of the month, if it was given. A shorter month has its last day instead.';
COMMENT ON COLUMN reporting.recurring_payments.day_rule IS 'What moves a date that is no business day.';
COMMENT ON COLUMN reporting.recurring_payments.last_on IS 'No run has a later date. NULL: no such end.';
COMMENT ON COLUMN reporting.recurring_payments.runs IS 'How many runs it has. NULL: no such end.';
COMMENT ON COLUMN reporting.recurring_payments.number IS 'The number of its next run, from 1; of the last one once it is completed.';
COMMENT ON COLUMN reporting.recurring_payments.due_on IS 'When its next run is due. NULL: it has none, until it is resumed.';
COMMENT ON COLUMN reporting.recurring_payments.strikes IS 'How often the next run was refused, or the one that was given up.';
COMMENT ON COLUMN reporting.recurring_payments.rule IS 'The rule that refused it last. NULL: none since a run was carried out.';
COMMENT ON COLUMN reporting.recurring_payments.retry_at IS 'When the next run is tried again, UTC. NULL: it was not refused.';
COMMENT ON COLUMN reporting.recurring_payments.transaction IS 'The transaction of its last run. NULL: it had none.';
COMMENT ON COLUMN reporting.recurring_payments.reference IS 'The reference of each of its transactions.';
COMMENT ON COLUMN reporting.recurring_payments.metadata IS 'Pairs of codes that each of its transactions gets, as a JSON object.';
COMMENT ON COLUMN reporting.recurring_payments.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN reporting.recurring_payments.initiator IS 'The person who set it going last. NULL: a program.';
COMMENT ON COLUMN reporting.recurring_payments.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.recurring_payments.position IS 'Position in the log of its creation.';
COMMENT ON COLUMN reporting.recurring_payments.created_at IS 'When it was created, UTC.';
COMMENT ON COLUMN reporting.recurring_payments.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.recurring_payments.last_at IS 'When its last event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.recurring_runs AS
SELECT t.payment, t.version, t.number, t.due_on, t.outcome, t.transaction, t.rule, t.strikes, t.retry_at, t.position,
       t.recorded_at, t.position AS last_position
  FROM read.recurring_runs t;

COMMENT ON VIEW reporting.recurring_runs IS 'One row each time that a run of a recurring payment was carried out or refused.';
COMMENT ON COLUMN reporting.recurring_runs.payment IS 'The recurring payment.';
COMMENT ON COLUMN reporting.recurring_runs.version IS 'Version of its stream.';
COMMENT ON COLUMN reporting.recurring_runs.number IS 'The number of the run, from 1. A run that was refused is tried again.';
COMMENT ON COLUMN reporting.recurring_runs.due_on IS 'When it was due.';
COMMENT ON COLUMN reporting.recurring_runs.outcome IS 'done or refused.';
COMMENT ON COLUMN reporting.recurring_runs.transaction IS 'Its transaction. NULL: it was refused.';
COMMENT ON COLUMN reporting.recurring_runs.rule IS 'The rule that refused it. NULL: it was carried out.';
COMMENT ON COLUMN reporting.recurring_runs.strikes IS 'How often it was refused by then, one after the other.';
COMMENT ON COLUMN reporting.recurring_runs.retry_at IS 'When it is tried again, UTC. NULL: it is not.';
COMMENT ON COLUMN reporting.recurring_runs.position IS 'Position in the log of this event.';
COMMENT ON COLUMN reporting.recurring_runs.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.recurring_runs.last_position IS 'Position in the log of the last event that changed this row.';
