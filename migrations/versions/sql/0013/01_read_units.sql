-- Units as they are published: one row a unit, with the bytes of its record (docs/reference/published-log.md). The server
-- puts the records together: the publisher only passes them on, and it needs no right on the records of commands.
SET LOCAL ROLE daybook_owner;

-- base64 as a JSON string: encode() breaks lines.
CREATE FUNCTION log.base64_json(p_bytes bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN convert_to(concat('"', translate(encode(p_bytes, 'base64'), E'\n', ''), '"'), 'UTF8');

-- Whole units after p_after, about p_most events of them, and at least one unit. `record` depends on nothing but the
-- unit, the log and its epoch, so that a record that was published can be compared with the log to the byte.
--
-- Payload and metadata are embedded as they are stored. Opaque bytes (encoding 1) are base64. An event without metadata
-- has that of the event before it. `commands` is the SHA-256 of the command's record, as in the canonical leaf.
CREATE FUNCTION log.read_units(p_log integer, p_after bigint, p_most integer)
RETURNS TABLE (first bigint, last bigint, record bytea)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET enable_mergejoin = off SET jit = off
SET timezone = 'UTC'
AS $$
    WITH page AS MATERIALIZED (
        SELECT coalesce((SELECT e.unit_end FROM log.events e
                          WHERE e.log = p_log AND e.position > p_after AND e.position <= p_after + p_most
                          ORDER BY e.position DESC LIMIT 1), p_after) AS upto
    ), recorded AS MATERIALIZED (
        SELECT c.last_position,
               string_agg(sha256(log.command_record((SELECT l.uuid FROM log.logs l WHERE l.log = p_log), c)), ''::bytea
                          ORDER BY c.actor, c.key) AS hashes
          FROM log.commands c
         WHERE c.log = p_log AND c.last_position > p_after AND c.last_position <= (SELECT upto FROM page)
         GROUP BY c.last_position
    ), units AS (
        SELECT e.unit_end, min(e.position) AS first, min(e.recorded_at) AS recorded_at,
               string_agg(e.json, ','::bytea ORDER BY e.position) AS events
          FROM (
            SELECT e.position, e.unit_end, e.recorded_at,
                   convert_to(concat('{"stream":', to_json(e.stream), ',"version":', e.version, ',"type":', to_json(e.type),
                                     CASE e.encoding WHEN 0 THEN ',"payload":' ELSE concat(',"encoding":', e.encoding, ',"payload":') END),
                              'UTF8')
                   || CASE e.encoding WHEN 0 THEN e.payload ELSE log.base64_json(e.payload) END
                   || CASE WHEN e.metadata IS NOT DISTINCT FROM lag(e.metadata) OVER w
                            AND e.unit_end IS NOT DISTINCT FROM lag(e.unit_end) OVER w THEN ''::bytea
                           ELSE ',"metadata":'::bytea || CASE e.encoding WHEN 0 THEN e.metadata ELSE log.base64_json(e.metadata) END END
                   || '}'::bytea AS json
              FROM log.events e
             WHERE e.log = p_log AND e.position > p_after AND e.position <= (SELECT upto FROM page)
            WINDOW w AS (ORDER BY e.position)
          ) AS e
         GROUP BY e.unit_end
    )
    SELECT u.first, u.unit_end,
           convert_to(concat('{"log":"', l.uuid, '","epoch":', l.epoch, ',"first":', u.first, ',"last":', u.unit_end,
                             ',"recorded_at":"', to_char(u.recorded_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '","commands":"',
                             encode(r.hashes, 'hex'), '","events":['), 'UTF8')
           || u.events || ']}'::bytea
      FROM units u LEFT JOIN recorded r ON r.last_position = u.unit_end, log.logs l
     WHERE l.log = p_log
     ORDER BY u.unit_end
$$;
COMMENT ON FUNCTION log.read_units IS 'Units as records of the topic of the log, in order. Version 1.';

RESET ROLE;
