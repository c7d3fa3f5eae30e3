-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE payroll_runs (
    items          bigint NOT NULL,
    paid_items     bigint NOT NULL,
    parked_items   bigint NOT NULL,
    given_up_items bigint NOT NULL,
    submitted_at   timestamptz NOT NULL,
    version        bigint NOT NULL,
    position       bigint NOT NULL,
    last_position  bigint NOT NULL,
    last_at        timestamptz NOT NULL,
    value_date     date NOT NULL,
    finished_at    timestamptz,
    payroll        text COLLATE "C" NOT NULL,
    account        text COLLATE "C" NOT NULL,
    currency       text COLLATE "C" NOT NULL,
    period         text COLLATE "C" NOT NULL,
    mode           text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL,
    total          numeric NOT NULL,
    paid           numeric NOT NULL,
    parked         numeric NOT NULL,
    given_up       numeric NOT NULL,
    PRIMARY KEY (payroll)
);

CREATE UNIQUE INDEX payroll_runs_in_order ON payroll_runs (position);
CREATE INDEX payroll_runs_of_account ON payroll_runs (account, position);
CREATE INDEX payroll_runs_with_status ON payroll_runs (status, position);

COMMENT ON TABLE payroll_runs IS 'One row a payroll run, as it is now. Amounts in minor units.';
COMMENT ON COLUMN payroll_runs.payroll IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN payroll_runs.account IS 'The account of the company that pays.';
COMMENT ON COLUMN payroll_runs.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN payroll_runs.period IS 'The month that it pays for, such as 2026-11.';
COMMENT ON COLUMN payroll_runs.value_date IS 'The value date of its transactions.';
COMMENT ON COLUMN payroll_runs.mode IS 'at_once: by one transaction. in_parts: from a hold.';
COMMENT ON COLUMN payroll_runs.status IS 'running, finished, or stopped by an operator.';
COMMENT ON COLUMN payroll_runs.items IS 'How many employees it pays.';
COMMENT ON COLUMN payroll_runs.total IS 'The sum of its items.';
COMMENT ON COLUMN payroll_runs.paid_items IS 'How many are paid.';
COMMENT ON COLUMN payroll_runs.paid IS 'The sum of those.';
COMMENT ON COLUMN payroll_runs.parked_items IS 'How many could not be paid, and wait for an operator.';
COMMENT ON COLUMN payroll_runs.parked IS 'The sum of those.';
COMMENT ON COLUMN payroll_runs.given_up_items IS 'How many an operator gave up.';
COMMENT ON COLUMN payroll_runs.given_up IS 'The sum of those.';
COMMENT ON COLUMN payroll_runs.submitted_at IS 'When it was submitted, UTC.';
COMMENT ON COLUMN payroll_runs.finished_at IS 'When each item had been paid or parked, UTC. NULL while it runs.';
COMMENT ON COLUMN payroll_runs.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN payroll_runs.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN payroll_runs.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN payroll_runs.last_at IS 'When that event was recorded, UTC.';

CREATE TABLE payroll_items (
    number        bigint NOT NULL,
    amount        bigint NOT NULL,
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    payroll       text COLLATE "C" NOT NULL,
    employee      text COLLATE "C" NOT NULL,
    account       text COLLATE "C" NOT NULL,
    currency      text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    transaction   text COLLATE "C",
    rule          text COLLATE "C",
    figures       json,
    PRIMARY KEY (payroll, number)
);

CREATE INDEX payroll_items_of_account ON payroll_items (account, position);
CREATE INDEX payroll_items_with_status ON payroll_items (payroll, status, number);

COMMENT ON TABLE payroll_items IS 'One row an item of a payroll run, as it is now. Amounts in minor units.';
COMMENT ON COLUMN payroll_items.payroll IS 'The run.';
COMMENT ON COLUMN payroll_items.number IS 'Its number in the run, from 1.';
COMMENT ON COLUMN payroll_items.employee IS 'The code of the employee.';
COMMENT ON COLUMN payroll_items.account IS 'The account of the employee.';
COMMENT ON COLUMN payroll_items.amount IS 'What the employee gets.';
COMMENT ON COLUMN payroll_items.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN payroll_items.status IS 'waiting, paid, parked or given_up.';
COMMENT ON COLUMN payroll_items.transaction IS 'The transaction that paid it. NULL while it is not paid.';
COMMENT ON COLUMN payroll_items.rule IS 'The rule by which it was parked. NULL if it was not.';
COMMENT ON COLUMN payroll_items.figures IS 'What explains that. NULL if it was not parked.';
COMMENT ON COLUMN payroll_items.position IS 'Position in the log of the event that listed it.';
COMMENT ON COLUMN payroll_items.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN payroll_items.last_at IS 'When that event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.payroll_runs AS
SELECT t.payroll, t.account, t.currency, t.period, t.value_date, t.mode, t.status, t.items,
       t.total * c.minor_unit AS total, t.paid_items, t.paid * c.minor_unit AS paid, t.parked_items,
       t.parked * c.minor_unit AS parked, t.given_up_items, t.given_up * c.minor_unit AS given_up, t.submitted_at,
       t.finished_at, t.version, t.position, t.last_position, t.last_at
  FROM read.payroll_runs t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.payroll_runs IS 'One row a payroll run, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.payroll_runs.payroll IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.payroll_runs.account IS 'The account of the company that pays.';
COMMENT ON COLUMN reporting.payroll_runs.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.payroll_runs.period IS 'The month that it pays for, such as 2026-11.';
COMMENT ON COLUMN reporting.payroll_runs.value_date IS 'The value date of its transactions.';
COMMENT ON COLUMN reporting.payroll_runs.mode IS 'at_once: by one transaction. in_parts: from a hold.';
COMMENT ON COLUMN reporting.payroll_runs.status IS 'running, finished, or stopped by an operator.';
COMMENT ON COLUMN reporting.payroll_runs.items IS 'How many employees it pays.';
COMMENT ON COLUMN reporting.payroll_runs.total IS 'The sum of its items.';
COMMENT ON COLUMN reporting.payroll_runs.paid_items IS 'How many are paid.';
COMMENT ON COLUMN reporting.payroll_runs.paid IS 'The sum of those.';
COMMENT ON COLUMN reporting.payroll_runs.parked_items IS 'How many could not be paid, and wait for an operator.';
COMMENT ON COLUMN reporting.payroll_runs.parked IS 'The sum of those.';
COMMENT ON COLUMN reporting.payroll_runs.given_up_items IS 'How many an operator gave up.';
COMMENT ON COLUMN reporting.payroll_runs.given_up IS 'The sum of those.';
COMMENT ON COLUMN reporting.payroll_runs.submitted_at IS 'When it was submitted, UTC.';
COMMENT ON COLUMN reporting.payroll_runs.finished_at IS 'When each item had been paid or parked, UTC. NULL while it runs.';
COMMENT ON COLUMN reporting.payroll_runs.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.payroll_runs.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.payroll_runs.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN reporting.payroll_runs.last_at IS 'When that event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.payroll_items AS
SELECT t.payroll, t.number, t.employee, t.account, t.amount * c.minor_unit AS amount, t.currency, t.status,
       t.transaction, t.rule, t.figures, t.position, t.last_position, t.last_at
  FROM read.payroll_items t JOIN read.currencies c USING (currency);

COMMENT ON VIEW reporting.payroll_items IS 'One row an item of a payroll run, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.payroll_items.payroll IS 'The run.';
COMMENT ON COLUMN reporting.payroll_items.number IS 'Its number in the run, from 1.';
COMMENT ON COLUMN reporting.payroll_items.employee IS 'The code of the employee.';
COMMENT ON COLUMN reporting.payroll_items.account IS 'The account of the employee.';
COMMENT ON COLUMN reporting.payroll_items.amount IS 'What the employee gets.';
COMMENT ON COLUMN reporting.payroll_items.currency IS 'ISO 4217 code.';
COMMENT ON COLUMN reporting.payroll_items.status IS 'waiting, paid, parked or given_up.';
COMMENT ON COLUMN reporting.payroll_items.transaction IS 'The transaction that paid it. NULL while it is not paid.';
COMMENT ON COLUMN reporting.payroll_items.rule IS 'The rule by which it was parked. NULL if it was not.';
COMMENT ON COLUMN reporting.payroll_items.figures IS 'What explains that. NULL if it was not parked.';
COMMENT ON COLUMN reporting.payroll_items.position IS 'Position in the log of the event that listed it.';
COMMENT ON COLUMN reporting.payroll_items.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN reporting.payroll_items.last_at IS 'When that event was recorded, UTC.';
