-- Who read what about whom, beside the log and with a time of keeping (ADR 0043).
--
-- A process of the API numbers what it records: 1, 2, 3 and so on. A number that is missing is a read that was lost, or
-- a row that somebody removed. Rows have no foreign key to log.logs: its check would lock the head row, which every
-- append updates. Rows have no text of anybody: only names of principals, ids, and the templates of routes.
CREATE SCHEMA access AUTHORIZATION daybook_owner;
SET LOCAL ROLE daybook_owner;
COMMENT ON SCHEMA access IS 'Who read what about whom, with a time of keeping: see access.forget_reads.';

CREATE TABLE access.reads (
    id        bigint GENERATED ALWAYS AS IDENTITY,
    log       integer NOT NULL,
    recorder  text COLLATE "C" NOT NULL CHECK (recorder ~ '^[!-~]{1,100}$'),
    number    bigint NOT NULL CHECK (number > 0),
    place     smallint NOT NULL CHECK (place BETWEEN 1 AND 10),
    at        timestamptz NOT NULL,
    principal text COLLATE "C" NOT NULL CHECK (length(principal) <= 200),
    person    text COLLATE "C" CHECK (person ~ '^[!-~]{1,200}$'),
    route     text COLLATE "C" NOT NULL CHECK (length(route) <= 200),
    about     text COLLATE "C" CHECK (about ~ '^[!-~]{1,200}$'),
    items     integer CHECK (items >= 0),
    PRIMARY KEY (log, recorder, number, place)
);
CREATE INDEX reads_by_time ON access.reads (log, at, id);
CREATE INDEX reads_of_principal ON access.reads (log, principal, at, id);
CREATE INDEX reads_of_person ON access.reads (log, person, at, id) WHERE person IS NOT NULL;
CREATE INDEX reads_about ON access.reads (log, about, at, id) WHERE about IS NOT NULL;
COMMENT ON TABLE access.reads IS 'Reads of personal data by others than the person themselves: a row for each id that the request names.';
COMMENT ON COLUMN access.reads.id IS 'Tells rows of the same time apart.';
COMMENT ON COLUMN access.reads.log IS 'Number of the log that was read; the same in access.recorders.';
COMMENT ON COLUMN access.reads.recorder IS 'The process of the API that answered.';
COMMENT ON COLUMN access.reads.number IS 'Number of the read among those of its process, from 1 and without a gap.';
COMMENT ON COLUMN access.reads.place IS 'Which of the ids that the request names, from 1.';
COMMENT ON COLUMN access.reads.at IS 'When it was answered.';
COMMENT ON COLUMN access.reads.principal IS 'Who read: the name of the principal.';
COMMENT ON COLUMN access.reads.person IS 'The person behind the principal; NULL for a program.';
COMMENT ON COLUMN access.reads.route IS 'The route, with the names of its parameters and not their values.';
COMMENT ON COLUMN access.reads.about IS 'The id of the person or thing that was asked for; NULL for a list of everybody''s.';
COMMENT ON COLUMN access.reads.items IS 'How many items the answer had; NULL for a stream of events, which has no end.';

CREATE TABLE access.recorders (
    log      integer NOT NULL,
    recorder text COLLATE "C" NOT NULL CHECK (recorder ~ '^[!-~]{1,100}$'),
    kind     text COLLATE "C" NOT NULL CHECK (kind IN ('began', 'lost', 'ended', 'forgot')),
    number   bigint NOT NULL CHECK (number >= 0),
    lost     bigint NOT NULL CHECK (lost >= 0),
    since    timestamptz NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (log, recorder, kind, number),
    CHECK ((kind = 'lost') = (lost > 0))
);
COMMENT ON TABLE access.recorders IS 'When each process of the API began and ended to record reads, what it lost between, and what was forgotten.';
COMMENT ON COLUMN access.recorders.recorder IS 'The process of the API. It gets a new name at each start.';
COMMENT ON COLUMN access.recorders.kind IS 'began; lost: reads that were answered and are not in access.reads; ended: a process that was killed has not; forgot: by access.forget_reads.';
COMMENT ON COLUMN access.recorders.number IS 'The last number that the process had given; for forgot, the highest that was forgotten.';
COMMENT ON COLUMN access.recorders.lost IS 'How many reads were lost since the row before of this process.';
COMMENT ON COLUMN access.recorders.since IS 'When the first of them was answered; the same as at for the other kinds.';
COMMENT ON COLUMN access.recorders.at IS 'When it began or ended, when the last of the lost reads was answered, or the time up to which reads were forgotten.';

-- A process holds an advisory lock on its name while it is connected. Anybody may take such a lock, so `running` is a
-- hint for people, and nothing rests on it.
CREATE VIEW access.completeness AS
WITH marks AS (
    SELECT m.*, max(number) FILTER (WHERE kind = 'forgot') OVER (PARTITION BY log, recorder) AS forgotten
      FROM access.recorders m
), told AS (
    SELECT log, recorder, min(at) FILTER (WHERE kind = 'began') AS began_at, max(at) FILTER (WHERE kind = 'ended') AS ended_at,
           coalesce(max(forgotten), 0) AS forgotten, max(number) AS given,
           coalesce(sum(lost) FILTER (WHERE number > coalesce(forgotten, 0)), 0)::bigint AS lost
      FROM marks GROUP BY log, recorder
), kept AS (
    SELECT r.log, r.recorder, max(r.number) AS given, count(*) FILTER (WHERE r.place = 1) AS kept
      FROM access.reads r LEFT JOIN told t ON t.log = r.log AND t.recorder = r.recorder
     WHERE r.number > coalesce(t.forgotten, 0)
     GROUP BY r.log, r.recorder
)
SELECT log, recorder, t.began_at, t.ended_at,
       EXISTS (SELECT FROM pg_locks l
                WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(recorder, 0)) AS running,
       coalesce(t.forgotten, 0) AS forgotten, coalesce(k.kept, 0) AS kept,
       greatest(k.given, t.given) - coalesce(t.forgotten, 0) - coalesce(k.kept, 0) AS missing, coalesce(t.lost, 0) AS lost
  FROM told t FULL JOIN kept k USING (log, recorder);
COMMENT ON VIEW access.completeness IS 'For auditors, a row for each process: reads that are kept, that are missing, and that the process says it lost.';

-- The time of keeping of reads. For the owner only. What was read at `p_before` itself is kept. The rows of a process go
-- once it has ended and nothing else of it is left; those of one that was killed stay, which name nobody.
CREATE FUNCTION access.forget_reads(p_before timestamptz) RETURNS bigint
LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM access.recorders m
     WHERE (m.kind = 'forgot' AND EXISTS (SELECT FROM access.recorders n
                                           WHERE n.log = m.log AND n.recorder = m.recorder AND n.kind = 'forgot'
                                             AND n.number > m.number))
        OR (EXISTS (SELECT FROM access.recorders e
                     WHERE e.log = m.log AND e.recorder = m.recorder AND e.kind = 'ended' AND e.at < p_before)
            AND NOT EXISTS (SELECT FROM access.reads r WHERE r.log = m.log AND r.recorder = m.recorder));
    WITH forgotten AS (
        DELETE FROM access.reads WHERE at < p_before RETURNING log, recorder, number
    ), said AS (
        INSERT INTO access.recorders (log, recorder, kind, number, lost, since, at)
        SELECT log, recorder, 'forgot', max(number), 0, p_before, p_before FROM forgotten GROUP BY log, recorder
        ON CONFLICT DO NOTHING
    ) SELECT count(*) FROM forgotten;
$$;

-- What a person sent, newest first. Programs send nearly all commands, and their rows are not in it.
CREATE INDEX commands_of_persons ON log.commands (log, actor, recorded_at, key) WHERE starts_with(actor, 'prsn_');
