-- A replica: a database whose log is a copy of another one, made from the topic of that log (ADR 0034). Everything that
-- folds, reads and verifies works on it as on any log; nothing appends to it.
SET LOCAL ROLE daybook_owner;

CREATE TABLE log.copies (
    log         integer PRIMARY KEY REFERENCES log.logs,
    topic       text COLLATE "C" NOT NULL,
    cluster_id  text COLLATE "C" NOT NULL,
    topic_id    text COLLATE "C" NOT NULL,
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    end_offset  bigint NOT NULL CHECK (end_offset >= 0),
    copied_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    waiting     text
) WITH (fillfactor = 50);  -- updated in place (HOT) by every page
COMMENT ON TABLE log.copies IS 'The logs of this database that are copies, and how far each is.';
COMMENT ON COLUMN log.copies.next_offset IS 'Offset of the first record that is not copied. It moves with the rows of log.events.';
COMMENT ON COLUMN log.copies.end_offset IS 'End of the topic when it was last looked at.';
COMMENT ON COLUMN log.copies.waiting IS 'Why nothing is copied, in one sentence. NULL while it is.';

CREATE TABLE log.command_hashes (
    log           integer NOT NULL,
    last_position bigint NOT NULL,
    hashes        bytea NOT NULL,
    PRIMARY KEY (log, last_position)
);
COMMENT ON TABLE log.command_hashes IS 'In a copy: the SHA-256 of the record of each unit''s command, which stays with the original (ADR 0015).';

-- The log of a copy has name, uuid and epoch of the original. A database that has a log of its own cannot hold one.
CREATE FUNCTION log.begin_copy(
    p_name text, p_uuid uuid, p_epoch integer, p_topic text, p_cluster_id text, p_topic_id text, p_offset bigint
) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_log integer;
BEGIN
    LOCK TABLE log.logs IN SHARE ROW EXCLUSIVE MODE;  -- nobody makes a log meanwhile
    IF EXISTS (SELECT FROM log.logs) THEN
        RAISE EXCEPTION 'this database has a log already: a copy needs a database of its own (daybook migrate --replica)'
              USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO log.logs (name, uuid, epoch) VALUES (p_name, p_uuid, p_epoch) RETURNING log INTO v_log;
    INSERT INTO log.copies (log, topic, cluster_id, topic_id, next_offset, end_offset)
    VALUES (v_log, p_topic, p_cluster_id, p_topic_id, p_offset, p_offset);
    -- Nobody appends to a copy. `daybook migrate` repeats this after it has granted rights (migrations/rights).
    REVOKE EXECUTE ON FUNCTION log.append, log.create_log FROM daybook_api;
    REVOKE EXECUTE ON FUNCTION library.insert_events FROM daybook_api;
    RETURN v_log;
END
$$;

-- Whole units (u_) and their events (e_), in order. They are inserted, and head and offset are moved, only if both are
-- where the caller believes them to be; false if they are not. So every unit is copied once, also by several workers.
--
-- An event that erases a person destroys the key in the same transaction. A key that comes later finds the row, and is
-- not kept (log.keep_subject_keys).
CREATE FUNCTION log.copy_units(
    p_log integer, p_head bigint, p_offset bigint, p_next_offset bigint, p_end_offset bigint,
    u_last bigint[], u_events integer[], u_recorded_at timestamptz[], u_commands bytea[],
    e_stream text[], e_version bigint[], e_type text[], e_encoding smallint[], e_payload bytea[], e_metadata bytea[]
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_last  bigint;
    v_units integer[] := ARRAY(SELECT i FROM generate_subscripts(u_events, 1) AS i, generate_series(1, u_events[i]) AS n
                                ORDER BY i, n);  -- the unit of each event
BEGIN
    PERFORM FROM log.copies c JOIN log.logs l USING (log)
      WHERE c.log = p_log AND c.next_offset = p_offset AND l.position = p_head FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT p_head + sum(n) INTO v_last FROM unnest(u_events) AS n;
    IF v_last <> u_last[cardinality(u_last)] OR v_last - p_head <> cardinality(e_stream) THEN
        RAISE EXCEPTION '% events after position % cannot end at %', cardinality(e_stream), p_head, u_last[cardinality(u_last)]
              USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO log.events (log, position, unit_end, stream, version, type, recorded_at, encoding, payload, metadata)
    SELECT p_log, p_head + e.n, u_last[e.unit], e.stream, e.version, e.type, u_recorded_at[e.unit], e.encoding, e.payload,
           e.metadata
      FROM (SELECT unnest(e_stream) AS stream, unnest(e_version) AS version, unnest(e_type) AS type,
                   unnest(e_encoding) AS encoding, unnest(e_payload) AS payload, unnest(e_metadata) AS metadata,
                   generate_series(1, cardinality(e_stream)) AS n, unnest(v_units) AS unit) AS e;
    INSERT INTO log.command_hashes (log, last_position, hashes)
    SELECT p_log, u.last, u.commands FROM unnest(u_last, u_commands) AS u(last, commands) WHERE u.commands <> '';
    INSERT INTO log.subject_keys (log, subject, sealed_key, erased_at, master_key)
    SELECT DISTINCT ON (subject) p_log, subject, NULL::bytea, clock_timestamp(), 1
      FROM (SELECT convert_from(e.payload, 'UTF8')::jsonb ->> 'subject' AS subject
              FROM unnest(e_type, e_payload) AS e(type, payload) WHERE e.type = 'subject.erased.v1') AS erased
    ON CONFLICT (log, subject) DO UPDATE SET sealed_key = NULL, erased_at = excluded.erased_at
     WHERE subject_keys.erased_at IS NULL;
    UPDATE log.logs l SET position = v_last, recorded_at = greatest(l.recorded_at, u_recorded_at[cardinality(u_recorded_at)])
     WHERE l.log = p_log;
    UPDATE log.copies c SET next_offset = p_next_offset, end_offset = greatest(p_end_offset, p_next_offset),
                            copied_at = clock_timestamp(), waiting = NULL
     WHERE c.log = p_log;
    PERFORM pg_notify('daybook', p_log || ':' || v_last);
    RETURN true;
END
$$;

-- Why nothing is copied, and where the topic ends.
CREATE FUNCTION log.keep_copy(p_log integer, p_end_offset bigint, p_waiting text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE log.copies SET end_offset = coalesce(p_end_offset, end_offset), waiting = left(p_waiting, 1000)
     WHERE log = p_log AND (end_offset, waiting) IS DISTINCT FROM (coalesce(p_end_offset, end_offset), left(p_waiting, 1000));
$$;

-- As in 0008, with the hashes that a copy has instead of records of commands.
CREATE OR REPLACE FUNCTION log.leaf_hashes(p_log integer, p_after bigint, p_upto bigint)
RETURNS TABLE ("position" bigint, hash bytea)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET enable_mergejoin = off
AS $$
    WITH ends AS MATERIALIZED (
        SELECT min(e.unit_end) AS first, max(e.unit_end) AS last FROM log.events e
         WHERE e.log = p_log AND e.position > p_after AND e.position <= p_upto
    ), recorded AS MATERIALIZED (
        SELECT c.last_position,
               string_agg(sha256(log.command_record((SELECT uuid FROM log.logs l WHERE l.log = p_log), c)), ''::bytea
                          ORDER BY c.actor, c.key) AS hashes
          FROM log.commands c
         WHERE c.log = p_log AND c.last_position >= (SELECT first FROM ends) AND c.last_position <= (SELECT last FROM ends)
         GROUP BY c.last_position
        UNION ALL
        SELECT h.last_position, h.hashes FROM log.command_hashes h
         WHERE h.log = p_log AND h.last_position >= (SELECT first FROM ends) AND h.last_position <= (SELECT last FROM ends)
    )
    SELECT e.position,
           sha256('\x00'::bytea || log.leaf((SELECT uuid FROM log.logs l WHERE l.log = p_log), e, coalesce(r.hashes, '')))
      FROM log.events e LEFT JOIN recorded r ON r.last_position = e.unit_end
     WHERE e.log = p_log AND e.position > p_after AND e.position <= p_upto
$$;
COMMENT ON FUNCTION log.leaf_hashes IS 'Position and leaf hash (RFC 6962) of events, in no order.';

RESET ROLE;
