-- States of streams as the API folded them: a cache. Emptying it changes nothing but the time of the next load.
SET LOCAL ROLE daybook_owner;

CREATE TABLE log.snapshots (
    log     integer NOT NULL,  -- no foreign key: it would lock the head row, and every append would wait for it
    stream  text COLLATE "C" NOT NULL,
    version bigint NOT NULL CHECK (version > 0),
    shape   bytea NOT NULL,
    state   bytea NOT NULL CHECK (octet_length(state) <= 65536),
    PRIMARY KEY (log, stream)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.1);  -- replaced in place (HOT)
COMMENT ON TABLE log.snapshots IS 'A cache of folded states, the newest of a stream; may be emptied at any time.';
COMMENT ON COLUMN log.snapshots.version IS 'The state is the fold of the stream up to this version.';
COMMENT ON COLUMN log.snapshots.shape IS 'Digest of what the state is made of and of the fold: other code does not see it.';
COMMENT ON COLUMN log.snapshots.state IS 'JSON. Nothing personal: states that hold such are not kept.';

-- Of one shape the newest wins; another shape replaces whatever is there. A stream comes once a call, a state that is
-- too large not at all. In order of their streams, so that two writers never wait for each other in a circle.
CREATE FUNCTION log.keep_snapshots(p_log integer, p_shape bytea, s_stream text[], s_version bigint[], s_state bytea[])
RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    WITH kept AS (
        INSERT INTO log.snapshots AS old (log, stream, version, shape, state)
        SELECT p_log, s.stream, s.version, p_shape, s.state
          FROM unnest(s_stream, s_version, s_state) AS s(stream, version, state)
         WHERE octet_length(s.state) <= 65536
         ORDER BY s.stream
        ON CONFLICT (log, stream) DO UPDATE
           SET version = excluded.version, shape = excluded.shape, state = excluded.state
         WHERE old.shape <> excluded.shape OR old.version < excluded.version
        RETURNING 1
    ) SELECT count(*) FROM kept;
$$;
COMMENT ON FUNCTION log.keep_snapshots IS 'Keeps states of streams; the only way into the cache.';

REVOKE ALL ON FUNCTION log.keep_snapshots FROM PUBLIC;
GRANT EXECUTE ON FUNCTION log.keep_snapshots TO daybook_api;
GRANT SELECT ON log.snapshots TO daybook_api, daybook_projector;

RESET ROLE;
