-- The shape of a snapshot is that of its aggregate: one that changes hides only its own snapshots.
SET LOCAL ROLE daybook_owner;

COMMENT ON COLUMN log.snapshots.shape IS 'Digest of what the state of the aggregate is made of and of its fold: other code does not see it.';

-- Of one shape the newest wins; another shape replaces whatever is there. A stream comes once a call, a state that is
-- too large not at all. In order of their streams, so that two writers never wait for each other in a circle.
CREATE FUNCTION log.keep_snapshots_by_shape(
    p_log integer, s_stream text[], s_version bigint[], s_shape bytea[], s_state bytea[]
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH kept AS (
        INSERT INTO log.snapshots AS old (log, stream, version, shape, state)
        SELECT p_log, s.stream, s.version, s.shape, s.state
          FROM unnest(s_stream, s_version, s_shape, s_state) AS s(stream, version, shape, state)
         WHERE octet_length(s.state) <= 65536
         ORDER BY s.stream
        ON CONFLICT (log, stream) DO UPDATE
           SET version = excluded.version, shape = excluded.shape, state = excluded.state
         WHERE old.shape <> excluded.shape OR old.version < excluded.version
        RETURNING 1
    ) SELECT count(*) FROM kept;
$$;
COMMENT ON FUNCTION log.keep_snapshots_by_shape IS 'Keeps states of streams; the only way into the cache.';

-- A program of before this revision may still run: its snapshots of a call have one shape.
CREATE OR REPLACE FUNCTION log.keep_snapshots(
    p_log integer, p_shape bytea, s_stream text[], s_version bigint[], s_state bytea[]
) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT log.keep_snapshots_by_shape(
        p_log, s_stream, s_version, array_fill(p_shape, ARRAY[cardinality(s_stream)]), s_state
    );
$$;
COMMENT ON FUNCTION log.keep_snapshots IS 'For programs of before revision 0011: snapshots of one shape.';

REVOKE ALL ON FUNCTION log.keep_snapshots_by_shape FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.keep_snapshots_by_shape TO daybook_api;

RESET ROLE;
