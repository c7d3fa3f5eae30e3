-- As in 0003, but the version of a stream is looked up from the one it is believed to have: PostgreSQL reads all entries
-- that fit on the page of the index before it gives the first, and of an account in use they are a page full. Appending a
-- transfer between accounts with some 250 entries each took 92 µs of the server before and 63 after, in turn in one run.

-- The one way into the log. Called in autocommit: the head row is locked for this one statement and its flush, never
-- across a client's round trip.
--
-- A call carries a group of commands (c_), the streams they rest on (s_), which command read which stream (r_), and the
-- events they would append (e_); r_ and e_ are in order of their command. What makes it sound:
--
--   * Whoever holds the head row is alone. Versions and keys are looked up after the lock is granted, each statement in
--     its own snapshot (READ COMMITTED), so they are the truth until this call commits.
--   * Positions are head + 1 … head + n and the head moves in the same transaction: no gap can form, a rolled back
--     append leaves none, and order of position is order of commit.
--   * s_base is the version of a stream on which this group was decided. If the stream has moved, what was decided on it
--     is void. If a command fails, so does every later command of the group that was decided in the belief that it had
--     succeeded: its streams are tainted for them. Taint 1: entries only, which a commuting read survives; 2: anything.
--   * A commuting read survives foreign events as long as each of them is of a type in p_commuting: a freeze still wins.
--   * Versions are given here, from the true version of the stream, not taken from the client.
--   * A stream that the caller has just invented (s_new) is not looked up: it would begin at version 1, and if it is there
--     already the unique index refuses the whole call. The caller asks again and has it looked up.
--
-- verdicts is NULL when every command went in; otherwise one a command: 0 in, 1 conflict, 2 its key is there already.
-- actual are the true versions of s_stream before this call, NULL when they were all as believed. head is the head before.
CREATE OR REPLACE FUNCTION log.append(
    p_log integer, p_encoding smallint, p_commuting text[],
    c_actor text[], c_key text[], c_hash bytea[], c_outcome smallint[], c_status smallint[], c_rule text[],
    c_result bytea[], c_origin text[], c_record boolean[], c_events integer[],
    s_stream text[], s_base bigint[], s_new boolean[],
    r_command integer[], r_stream integer[], r_commuting boolean[],
    e_command integer[], e_stream integer[], e_commutes boolean[], e_type text[], e_payload bytea[], e_metadata bytea[],
    OUT head bigint, OUT epoch integer, OUT recorded_at timestamptz, OUT verdicts smallint[], OUT actual bigint[]
)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- Plans must not depend on what the statistics happened to say when the tables were empty: always the index.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_verdicts smallint[];  -- NULL as long as nothing stands in the way
    v_actual   bigint[];
    v_taint    smallint[];
    v_count    integer[] := array_fill(0, ARRAY[cardinality(s_stream)]);  -- events that go in, by stream
    v_seq      integer[] := array_fill(0, ARRAY[cardinality(e_stream)]);  -- place of an event among them; 0: not in
    v_nth      integer[] := v_seq;                                        -- and among those of its stream
    v_last     integer[] := array_fill(0, ARRAY[cardinality(c_key)]);     -- place of a command's last event
    v_failed   boolean := false;
    i integer; s integer; r integer := 1; e integer := 1; n integer := 0;
BEGIN
    SELECT l.position, l.epoch, greatest(clock_timestamp(), l.recorded_at)
      INTO head, epoch, recorded_at
      FROM log.logs l WHERE l.log = p_log FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no log number %', p_log USING ERRCODE = 'no_data_found';
    END IF;

    -- A scalar subquery, because it is never turned into a join: one probe of the primary key each.
    FOR i IN
        SELECT c.i FROM unnest(c_actor, c_key) WITH ORDINALITY AS c(actor, key, i)
         WHERE (SELECT true FROM log.commands k WHERE k.log = p_log AND k.actor = c.actor AND k.key = c.key)
    LOOP
        v_verdicts := coalesce(v_verdicts, array_fill(0::smallint, ARRAY[cardinality(c_key)]));
        v_verdicts[i] := 2;
    END LOOP;

    -- A stream that does not exist is at version 0, or at -1 for one who counts from 0. The second look is for one that is
    -- not there, or not as far as it was believed to be.
    v_actual := ARRAY(
        SELECT CASE WHEN s.new THEN 0 ELSE coalesce((
                   SELECT ev.version FROM log.events ev
                    WHERE ev.log = p_log AND ev.stream = s.stream AND ev.version >= s.base
                    ORDER BY ev.version DESC LIMIT 1
               ), (
                   SELECT ev.version FROM log.events ev
                    WHERE ev.log = p_log AND ev.stream = s.stream ORDER BY ev.version DESC LIMIT 1
               ), least(s.base, 0)) END
          FROM (SELECT unnest(s_stream) AS stream, unnest(s_base) AS base, unnest(s_new) AS new) AS s
    );

    IF v_actual <> s_base THEN
        actual := v_actual;
    END IF;
    IF v_verdicts IS NOT NULL OR actual IS NOT NULL THEN
        v_taint := array_fill(0::smallint, ARRAY[cardinality(s_stream)]);
        FOR i IN 1 .. cardinality(s_stream) LOOP
            CONTINUE WHEN v_actual[i] = s_base[i];
            v_taint[i] := CASE WHEN v_actual[i] < s_base[i] OR EXISTS (
                SELECT FROM log.events ev WHERE ev.log = p_log AND ev.stream = s_stream[i]
                   AND ev.version > s_base[i] AND ev.type <> ALL (p_commuting)
            ) THEN 2 ELSE 1 END;
        END LOOP;
        -- Where all that moved are streams read as commuting, by entries, everything goes in after all.
        IF v_verdicts IS NOT NULL OR EXISTS (
            SELECT FROM unnest(r_stream, r_commuting) AS r(stream, commuting)
             WHERE v_taint[r.stream] > r.commuting::integer
        ) THEN
            v_verdicts := coalesce(v_verdicts, array_fill(0::smallint, ARRAY[cardinality(c_key)]));
        END IF;
    END IF;

    -- Counted here once, in the order of the commands: window functions over the same took a third of the insert.
    FOR i IN 1 .. cardinality(c_key) LOOP
        IF v_verdicts IS NOT NULL THEN
            v_failed := v_verdicts[i] <> 0;
            WHILE r <= cardinality(r_command) AND r_command[r] = i LOOP
                v_failed := v_failed OR v_taint[r_stream[r]] > r_commuting[r]::integer;
                r := r + 1;
            END LOOP;
            IF v_failed AND v_verdicts[i] = 0 THEN
                v_verdicts[i] := 1;
            END IF;
        END IF;
        FOR e IN e .. e + c_events[i] - 1 LOOP
            s := e_stream[e];
            IF v_failed THEN
                v_taint[s] := greatest(v_taint[s], CASE WHEN e_commutes[e] THEN 1 ELSE 2 END);
            ELSE
                n := n + 1;
                v_seq[e] := n;
                v_count[s] := v_count[s] + 1;
                v_nth[e] := v_count[s];
            END IF;
        END LOOP;
        e := e + c_events[i];
        v_last[i] := n;
    END LOOP;
    IF e <> cardinality(e_stream) + 1 THEN
        RAISE EXCEPTION '% events came for commands that have %', cardinality(e_stream), e - 1;
    END IF;
    verdicts := v_verdicts;

    -- unnest in the list of a SELECT, all of them in step: in FROM each array would go through a tuplestore of its own.
    INSERT INTO log.events (log, position, unit_end, stream, version, type, recorded_at, encoding, payload, metadata)
    SELECT p_log, append.head + ev.seq, append.head + v_last[ev.command], s_stream[ev.stream],
           v_actual[ev.stream] + ev.nth, ev.type, append.recorded_at, p_encoding, ev.payload, ev.metadata
      FROM (SELECT unnest(v_seq) AS seq, unnest(v_nth) AS nth, unnest(e_command) AS command, unnest(e_stream) AS stream,
                   unnest(e_type) AS type, unnest(e_payload) AS payload, unnest(e_metadata) AS metadata) AS ev
     WHERE ev.seq > 0;

    INSERT INTO log.commands (log, actor, key, request_hash, outcome, status, rule, result, decided_position,
                              first_position, last_position, recorded_at, origin)
    SELECT p_log, c.actor, c.key, c.hash, c.outcome, c.status, c.rule, c.result, append.head + c.last - c.events,
           CASE WHEN c.events > 0 THEN append.head + c.last - c.events + 1 END,
           CASE WHEN c.events > 0 THEN append.head + c.last END,
           append.recorded_at, c.origin
      FROM (SELECT unnest(c_actor) AS actor, unnest(c_key) AS key, unnest(c_hash) AS hash, unnest(c_outcome) AS outcome,
                   unnest(c_status) AS status, unnest(c_rule) AS rule, unnest(c_result) AS result,
                   unnest(c_origin) AS origin, unnest(c_record) AS record, unnest(c_events) AS events,
                   unnest(v_last) AS last, unnest(v_verdicts) AS verdict) AS c
     WHERE c.record AND coalesce(c.verdict, 0) = 0;

    IF n > 0 THEN
        UPDATE log.logs l SET position = append.head + n, recorded_at = append.recorded_at WHERE l.log = p_log;
    END IF;
END
$$;
