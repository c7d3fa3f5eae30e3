-- The canonical leaf: one encoding of an event and of its command's record, for the digest that auditors keep and for
-- every later proof. eventstore/leaf.py is the same in Python; a test holds the two equal. ADR 0015 has the format.
SET LOCAL ROLE daybook_owner;

-- Commands by position. Rows come in order of their positions, so a few bytes for 32 pages tell where a position is.
-- A b-tree would cost every append one more entry a command.
CREATE INDEX commands_by_position ON log.commands USING brin (last_position) WITH (pages_per_range = 32, autosummarize = on);

-- A field: four bytes of length and the bytes; the length -1 stands for NULL.
CREATE FUNCTION log.leaf_field(p_value bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN p_value IS NULL THEN '\xffffffff'::bytea ELSE int4send(octet_length(p_value)) || p_value END;

-- Microseconds since 1970-01-01 UTC. extract() gives an exact numeric. An infinite time is the largest or least integer.
CREATE FUNCTION log.leaf_time(p_at timestamptz) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE p_at WHEN 'infinity'::timestamptz THEN '\x7fffffffffffffff'::bytea
                 WHEN '-infinity'::timestamptz THEN '\x8000000000000000'::bytea
                 ELSE int8send((extract(epoch FROM p_at) * 1000000)::bigint) END;

-- The record of a command: all columns of log.commands but origin, which is forgotten by age.
CREATE FUNCTION log.command_record(p_log uuid, p_command log.commands) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN '\x01'::bytea
    || log.leaf_field(uuid_send(p_log))
    || log.leaf_field(convert_to((p_command).actor, 'UTF8'))
    || log.leaf_field(convert_to((p_command).key, 'UTF8'))
    || log.leaf_field((p_command).request_hash)
    || log.leaf_field(int2send((p_command).outcome))
    || log.leaf_field(int2send((p_command).status))
    || log.leaf_field(convert_to((p_command).rule, 'UTF8'))
    || log.leaf_field((p_command).result)
    || log.leaf_field(int8send((p_command).decided_position))
    || log.leaf_field(int8send((p_command).first_position))
    || log.leaf_field(int8send((p_command).last_position))
    || log.leaf_field(log.leaf_time((p_command).recorded_at));
COMMENT ON FUNCTION log.command_record IS 'The bytes of a command that leaves have the SHA-256 of. Version 1.';

-- p_commands: the SHA-256 of the record of each command whose last position is the event's unit_end. A sound log has one,
-- or none where the eventsourcing library appended.
CREATE FUNCTION log.leaf(p_log uuid, p_event log.events, p_commands bytea) RETURNS bytea
LANGUAGE sql STABLE PARALLEL SAFE
RETURN '\x01'::bytea
    || log.leaf_field(uuid_send(p_log))
    || log.leaf_field(int8send((p_event).position))
    || log.leaf_field(int8send((p_event).unit_end))
    || log.leaf_field(convert_to((p_event).stream, 'UTF8'))
    || log.leaf_field(int8send((p_event).version))
    || log.leaf_field(convert_to((p_event).type, 'UTF8'))
    || log.leaf_field(log.leaf_time((p_event).recorded_at))
    || log.leaf_field(int2send((p_event).encoding))
    || log.leaf_field((p_event).payload)
    || log.leaf_field((p_event).metadata)
    || log.leaf_field(p_commands);
COMMENT ON FUNCTION log.leaf IS 'The canonical bytes of an event and of its command. Version 1.';

-- The leaf hashes of RFC 6962, SHA-256 over a zero byte and the leaf, of the events after one position up to another.
-- Each command is encoded and hashed once, whatever the number of its events. Without nested loops it is linear
-- whatever the statistics say.
CREATE FUNCTION log.leaf_hashes(p_log integer, p_after bigint, p_upto bigint)
RETURNS TABLE ("position" bigint, hash bytea)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp SET enable_nestloop = off SET enable_mergejoin = off
AS $$
    WITH recorded AS MATERIALIZED (
        SELECT c.last_position,
               string_agg(sha256(log.command_record((SELECT uuid FROM log.logs l WHERE l.log = p_log), c)), ''::bytea
                          ORDER BY c.actor, c.key) AS hashes
          FROM log.commands c
         WHERE c.log = p_log
           AND c.last_position >= (SELECT min(e.unit_end) FROM log.events e
                                    WHERE e.log = p_log AND e.position > p_after AND e.position <= p_upto)
           AND c.last_position <= (SELECT max(e.unit_end) FROM log.events e
                                    WHERE e.log = p_log AND e.position > p_after AND e.position <= p_upto)
         GROUP BY c.last_position
    )
    SELECT e.position,
           sha256('\x00'::bytea || log.leaf((SELECT uuid FROM log.logs l WHERE l.log = p_log), e, coalesce(r.hashes, '')))
      FROM log.events e LEFT JOIN recorded r ON r.last_position = e.unit_end
     WHERE e.log = p_log AND e.position > p_after AND e.position <= p_upto
$$;
COMMENT ON FUNCTION log.leaf_hashes IS 'Position and leaf hash (RFC 6962) of events, in no order.';

RESET ROLE;
