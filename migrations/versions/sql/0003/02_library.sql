SET LOCAL ROLE daybook_owner;

-- One insert of the library: one command, one unit, all of it or nothing; returns the head of the log before it.
-- Events and tracking must go in together, yet the head of the log is never locked across a client's round trip. So
-- both are in this one statement, called in autocommit. The head is locked last: log.append is the last call.
CREATE FUNCTION library.insert_events(
    p_log integer, p_application text, p_notification bigint,  -- the last two NULL where nothing is tracked
    s_stream text[], s_base bigint[],
    e_stream integer[], e_type text[], e_payload bytea[], e_metadata bytea[]
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
        s_stream => s_stream, s_base => s_base, s_new => array_fill(false, ARRAY[cardinality(s_stream)]),
        r_command => array_fill(1, ARRAY[cardinality(s_stream)]),
        r_stream => ARRAY(SELECT generate_series(1, cardinality(s_stream))),
        r_commuting => array_fill(false, ARRAY[cardinality(s_stream)]),
        e_command => array_fill(1, ARRAY[cardinality(e_stream)]),
        e_stream => e_stream, e_commutes => array_fill(false, ARRAY[cardinality(e_stream)]),
        e_type => e_type, e_payload => e_payload, e_metadata => e_metadata
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

REVOKE ALL ON FUNCTION library.insert_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION library.insert_events TO daybook_api;

RESET ROLE;
