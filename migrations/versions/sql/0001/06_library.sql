-- The persistence module of the eventsourcing library: what its applications keep beside their logs. An application is
-- a row of log.logs like any other; nobody needs CREATE, and here too the way in is a function.
CREATE SCHEMA library AUTHORIZATION daybook_owner;
SET LOCAL ROLE daybook_owner;

-- No foreign keys to log.logs: each would lock the head row, FOR KEY SHARE, until the end of its transaction, and every
-- append would wait for it. The numbers come from log.create_log, and logs are never removed.
CREATE TABLE library.snapshots (
    log      integer NOT NULL,
    stream   text COLLATE "C" NOT NULL,
    version  bigint NOT NULL,
    type     text COLLATE "C" NOT NULL,
    payload  bytea NOT NULL,
    metadata bytea NOT NULL,
    PRIMARY KEY (log, stream, version)
);
COMMENT ON TABLE library.snapshots IS 'Aggregates as they were at a version: shortcuts, folded from the log. Columns as in log.events.';

CREATE TABLE library.tracking (
    log              integer NOT NULL,
    application_name text COLLATE "C" NOT NULL,
    notification_id  bigint NOT NULL,
    PRIMARY KEY (log, application_name)
) WITH (fillfactor = 50);  -- updated in place (HOT)
COMMENT ON TABLE library.tracking IS 'How far the application or view of a log has processed another application.';
COMMENT ON COLUMN library.tracking.notification_id IS 'Position in the log of that application; only ever rises.';

-- Moves a tracking position forward, in the transaction of what was made of the notification. The row stays locked
-- until then: of two runners with the same notification one waits here, and then fails, having written nothing.
CREATE FUNCTION library.track(p_log integer, p_application text, p_notification bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO library.tracking AS t (log, application_name, notification_id)
    VALUES (p_log, p_application, p_notification)
    ON CONFLICT (log, application_name) DO UPDATE SET notification_id = excluded.notification_id
     WHERE t.notification_id < excluded.notification_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'notification % of % is processed already, or a later one is', p_notification, p_application
              USING ERRCODE = 'unique_violation';
    END IF;
END
$$;
COMMENT ON FUNCTION library.track IS 'Moves a tracking position forward; the only way to.';

-- One insert of the library: one command, one unit, all of it or nothing; returns the head of the log before it.
-- Events and tracking must go in together, yet the head of the log is never locked across a client's round trip. So
-- both are in this one statement, called in autocommit. The head is locked last: log.append is the last call.
CREATE FUNCTION library.insert_events(
    p_log integer, p_application text, p_notification bigint,  -- the last two NULL where nothing is tracked
    s_stream text[], s_base bigint[],
    e_stream integer[], e_name text[], e_type text[], e_payload bytea[], e_metadata bytea[]
) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_head   bigint;
    v_actual bigint[];
BEGIN
    IF p_application IS NOT NULL THEN
        PERFORM library.track(p_log, p_application, p_notification);
    END IF;
    SELECT a.head, a.actual INTO v_head, v_actual
      FROM log.append(
        p_log => p_log, p_encoding => 1::smallint, p_commuting => '{}',
        c_actor => '{""}', c_key => '{""}', c_hash => '{""}', c_outcome => '{1}', c_status => '{0}',
        c_rule => ARRAY[NULL::text], c_result => '{""}', c_origin => ARRAY[NULL::text], c_record => '{f}',
        c_events => ARRAY[cardinality(e_stream)],
        s_stream => s_stream, s_base => s_base,
        r_command => array_fill(1, ARRAY[cardinality(s_stream)]),
        r_stream => ARRAY(SELECT generate_series(1, cardinality(s_stream))),
        r_commuting => array_fill(false, ARRAY[cardinality(s_stream)]),
        e_command => array_fill(1, ARRAY[cardinality(e_stream)]),
        e_stream => e_stream, e_commutes => array_fill(false, ARRAY[cardinality(e_stream)]),
        e_name => e_name, e_type => e_type, e_payload => e_payload, e_metadata => e_metadata
      ) a;
    IF v_actual IS NOT NULL THEN  -- somebody was first; the log is untouched, and the exception undoes the tracking
        RAISE EXCEPTION 'the streams have moved: %', (
            SELECT string_agg(format('%s is at version %s and the event is number %s',
                                     s.stream, s.actual, s.base + 1), ', ')
              FROM unnest(s_stream, s_base, v_actual) AS s(stream, base, actual) WHERE s.base <> s.actual
        ) USING ERRCODE = 'unique_violation';
    END IF;
    RETURN v_head;
END
$$;
COMMENT ON FUNCTION library.insert_events IS 'Appends the events of one call of the library, and tracks, atomically.';

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA library FROM PUBLIC;
GRANT USAGE ON SCHEMA library TO daybook_api;
GRANT SELECT, INSERT ON library.snapshots TO daybook_api;
GRANT SELECT ON library.tracking TO daybook_api;
GRANT EXECUTE ON FUNCTION library.track, library.insert_events TO daybook_api;

RESET ROLE;
