-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE processes (
    since         timestamptz NOT NULL,
    timer         bigint NOT NULL,
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    began_at      timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    attempts      integer NOT NULL,
    round         integer NOT NULL,
    work          boolean NOT NULL,
    due_at        timestamptz,
    fired_at      timestamptz,
    process       text COLLATE "C" NOT NULL,
    manager       text COLLATE "C" NOT NULL,
    stream        text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL,
    state         json NOT NULL,
    pending       json NOT NULL,
    open          json NOT NULL,
    step          text COLLATE "C",
    last_answer   text COLLATE "C",
    cause         text COLLATE "C",
    PRIMARY KEY (process)
);

CREATE INDEX processes_due ON processes (due_at, process) WHERE due_at IS NOT NULL;
CREATE INDEX processes_in_order ON processes (position);
CREATE INDEX processes_in_status ON processes (status, position);
CREATE INDEX processes_of_manager ON processes (manager, position);
CREATE INDEX processes_of_stream ON processes (stream, position);
CREATE INDEX processes_to_work ON processes (process) WHERE work;

COMMENT ON TABLE processes IS 'One row a process: work that takes time, as it is now.';
COMMENT ON COLUMN processes.process IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN processes.manager IS 'The process manager.';
COMMENT ON COLUMN processes.stream IS 'What it is about: the stream of the event that began it.';
COMMENT ON COLUMN processes.status IS 'waiting (for an event or a time), working, attention (of an operator), or done.';
COMMENT ON COLUMN processes.step IS 'Where it is, in the words of its manager. NULL once an operator resolved it.';
COMMENT ON COLUMN processes.since IS 'Since when status and step are as they are, UTC.';
COMMENT ON COLUMN processes.due_at IS 'When it wants to be woken, UTC. NULL if it waits for no time.';
COMMENT ON COLUMN processes.last_answer IS 'accepted, or the rule that refused its last command. NULL before.';
COMMENT ON COLUMN processes.cause IS 'Why it needs attention. NULL if it needs none.';
COMMENT ON COLUMN processes.attempts IS 'Commands that were refused since the last that was accepted.';
COMMENT ON COLUMN processes.work IS 'Whether its worker has something to record or to send.';
COMMENT ON COLUMN processes.state IS 'The state of its manager. JSON null once an operator resolved it.';
COMMENT ON COLUMN processes.pending IS 'Reactions that are not on its stream yet, oldest first.';
COMMENT ON COLUMN processes.open IS 'Intents that are on its stream and were not answered, oldest first.';
COMMENT ON COLUMN processes.timer IS 'Position at which due_at was set.';
COMMENT ON COLUMN processes.fired_at IS 'The due time that was recorded last, until it is given another.';
COMMENT ON COLUMN processes.round IS 'How often an operator resolved it.';
COMMENT ON COLUMN processes.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN processes.position IS 'Position in the log of the event that began it.';
COMMENT ON COLUMN processes.began_at IS 'When that event was recorded, UTC.';
COMMENT ON COLUMN processes.last_position IS 'Position in the log of the last event that concerned it.';
COMMENT ON COLUMN processes.last_at IS 'When that event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.processes AS
SELECT t.process, t.manager, t.stream, t.status, t.step, t.since, t.due_at, t.last_answer, t.cause, t.attempts,
       t.state, t.began_at, t.position, t.last_position, t.last_at
  FROM read.processes t;

COMMENT ON VIEW reporting.processes IS 'One row a process: work that takes time, as it is now.';
COMMENT ON COLUMN reporting.processes.process IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.processes.manager IS 'The process manager.';
COMMENT ON COLUMN reporting.processes.stream IS 'What it is about: the stream of the event that began it.';
COMMENT ON COLUMN reporting.processes.status IS 'waiting (for an event or a time), working, attention (of an operator), or done.';
COMMENT ON COLUMN reporting.processes.step IS 'Where it is, in the words of its manager. NULL once an operator resolved it.';
COMMENT ON COLUMN reporting.processes.since IS 'Since when status and step are as they are, UTC.';
COMMENT ON COLUMN reporting.processes.due_at IS 'When it wants to be woken, UTC. NULL if it waits for no time.';
COMMENT ON COLUMN reporting.processes.last_answer IS 'accepted, or the rule that refused its last command. NULL before.';
COMMENT ON COLUMN reporting.processes.cause IS 'Why it needs attention. NULL if it needs none.';
COMMENT ON COLUMN reporting.processes.attempts IS 'Commands that were refused since the last that was accepted.';
COMMENT ON COLUMN reporting.processes.state IS 'The state of its manager. JSON null once an operator resolved it.';
COMMENT ON COLUMN reporting.processes.began_at IS 'When that event was recorded, UTC.';
COMMENT ON COLUMN reporting.processes.position IS 'Position in the log of the event that began it.';
COMMENT ON COLUMN reporting.processes.last_position IS 'Position in the log of the last event that concerned it.';
COMMENT ON COLUMN reporting.processes.last_at IS 'When that event was recorded, UTC.';
