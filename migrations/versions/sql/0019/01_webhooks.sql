-- Where each webhook is, and what became of each attempt to deliver (ADR 0060).
--
-- They are beside the log: an event for each event that was sent would be sent too. Rows have no foreign key to
-- log.logs: its check would lock the head row, which every append updates. No row has a secret, a payload or the text
-- of an answer.
CREATE SCHEMA webhooks AUTHORIZATION daybook_owner;
SET LOCAL ROLE daybook_owner;
COMMENT ON SCHEMA webhooks IS 'How far each webhook is, and its attempts with a time of keeping: see webhooks.forget_deliveries.';

CREATE TABLE webhooks.positions (
    log           integer NOT NULL,
    webhook       text COLLATE "C" NOT NULL CHECK (webhook ~ '^[!-~]{1,100}$'),
    begun         bigint NOT NULL CHECK (begun > 0),
    restarted     bigint NOT NULL CHECK (restarted > 0),
    position      bigint NOT NULL CHECK (position >= 0),
    ahead         bigint[] NOT NULL CHECK (cardinality(ahead) <= 1000),
    failures      integer NOT NULL CHECK (failures >= 0),
    failing_since timestamptz,
    next_at       timestamptz,
    turn          bigint NOT NULL CHECK (turn > 0),
    PRIMARY KEY (log, webhook),
    CHECK ((failures > 0) = (failing_since IS NOT NULL))
);
COMMENT ON TABLE webhooks.positions IS 'A row for each webhook that was ever sent to: what its receiver has taken.';
COMMENT ON COLUMN webhooks.positions.log IS 'Number of the log; the same in webhooks.deliveries.';
COMMENT ON COLUMN webhooks.positions.webhook IS 'The webhook: the name of its stream.';
COMMENT ON COLUMN webhooks.positions.begun IS 'Version on that stream of the event that set where to begin.';
COMMENT ON COLUMN webhooks.positions.restarted IS 'Version on that stream of the event since which failures count.';
COMMENT ON COLUMN webhooks.positions.position IS 'Every event that is wanted up to here was taken.';
COMMENT ON COLUMN webhooks.positions.ahead IS 'Positions after that one of events that were taken: their streams are ahead of others.';
COMMENT ON COLUMN webhooks.positions.failures IS 'Turns in a row in which an attempt failed while the position stayed.';
COMMENT ON COLUMN webhooks.positions.failing_since IS 'When the first of them failed; NULL without one.';
COMMENT ON COLUMN webhooks.positions.next_at IS 'Nothing is sent before; NULL: at once.';
COMMENT ON COLUMN webhooks.positions.turn IS 'Grows with each change: two workers are kept apart by comparing it.';

CREATE TABLE webhooks.deliveries (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log          integer NOT NULL,
    webhook      text COLLATE "C" NOT NULL CHECK (webhook ~ '^[!-~]{1,100}$'),
    position     bigint NOT NULL CHECK (position > 0),
    attempt      integer NOT NULL CHECK (attempt > 0),
    at           timestamptz NOT NULL,
    milliseconds integer NOT NULL CHECK (milliseconds >= 0),
    status       smallint CHECK (status BETWEEN 100 AND 999),
    cause        text COLLATE "C" CHECK (cause ~ '^[a-z_]{1,40}$')
);
CREATE INDEX deliveries_of_webhook ON webhooks.deliveries (log, webhook, id);
CREATE INDEX deliveries_of_event ON webhooks.deliveries (log, webhook, position);
CREATE INDEX deliveries_that_failed ON webhooks.deliveries (log, webhook, id) WHERE cause IS NOT NULL;
CREATE INDEX deliveries_by_time ON webhooks.deliveries USING brin (at);
COMMENT ON TABLE webhooks.deliveries IS 'A row for each attempt to deliver an event to a webhook.';
COMMENT ON COLUMN webhooks.deliveries.id IS 'Grows with each row.';
COMMENT ON COLUMN webhooks.deliveries.webhook IS 'The webhook: the name of its stream.';
COMMENT ON COLUMN webhooks.deliveries.position IS 'Position in the log of the event that was sent.';
COMMENT ON COLUMN webhooks.deliveries.attempt IS 'Number of the attempt, among those of this event that are kept.';
COMMENT ON COLUMN webhooks.deliveries.at IS 'When it began, UTC.';
COMMENT ON COLUMN webhooks.deliveries.milliseconds IS 'How long it took until the answer, or until it failed.';
COMMENT ON COLUMN webhooks.deliveries.status IS 'Status of the receiver''s answer; NULL if there was none.';
COMMENT ON COLUMN webhooks.deliveries.cause IS 'Code of what it failed of; NULL: the receiver has the event.';

-- The time of keeping of attempts. For the owner only. What was tried at `p_before` itself is kept.
CREATE FUNCTION webhooks.forget_deliveries(p_before timestamptz) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
    WITH forgotten AS (
        DELETE FROM webhooks.deliveries WHERE at < p_before RETURNING 1
    ) SELECT count(*) FROM forgotten;
$$;
