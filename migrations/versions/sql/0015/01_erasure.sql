-- Erasing a person (ADR 0032): the key is destroyed and the event subject.erased.v1 is appended, in one transaction.
SET LOCAL ROLE daybook_owner;

-- A process asks which keys were erased since it asked last. Keys that are not erased have no entry.
CREATE INDEX subject_keys_erased ON log.subject_keys (log, erased_at) WHERE erased_at IS NOT NULL;

-- Destroys the key of a person and returns whether it was there, or could still have been made. A person without a key
-- gets an erased one, so that no key is made later. On its own it leaves an erased key without its event, which verify
-- finds. A copy of the log does the same in the transaction that copies the event (log.copy_units).
CREATE FUNCTION log.destroy_subject_key(p_log integer, p_subject text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_subject COLLATE "C" ~ '^[!-~]{1,100}$' IS NOT TRUE THEN  -- as log.keep_subject_keys
        RAISE EXCEPTION 'a subject has 1 to 100 visible ASCII characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO log.subject_keys AS k (log, subject, sealed_key, master_key, erased_at)
    VALUES (p_log, p_subject, NULL, 0, clock_timestamp())
    ON CONFLICT (log, subject) DO UPDATE SET sealed_key = NULL, erased_at = excluded.erased_at,
                                             changed_by = excluded.changed_by
     WHERE k.sealed_key IS NOT NULL;
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION log.destroy_subject_key IS 'Destroys the key of a person, for ever. Whether it was there or could still have been made.';

-- Erases a person. appended: whether the event was new. destroyed: whether the key was. A person who is erased already
-- keeps the first event, and nothing is recorded; a key that came back meanwhile is destroyed again.
--
-- The event goes first: log.append locks the head, and nobody who holds the head may wait for a row of a key. An
-- executor that holds the head stores keys over another connection. With the key first, it would wait for us, and we
-- for its head.
CREATE FUNCTION log.erase_subject(
    p_log integer, p_subject text, p_actor text, p_key text, p_metadata bytea,
    OUT "position" bigint, OUT appended boolean, OUT destroyed boolean
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_stream  text := 'subject:' || p_subject;
    v_hash    bytea := sha256(convert_to('erase subject ' || p_subject, 'UTF8'));
    v_verdict smallint;
BEGIN
    IF EXISTS (SELECT FROM log.copies c WHERE c.log = p_log) THEN
        RAISE EXCEPTION 'this log is a copy: erase the person in the original, and the copy follows'
              USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT coalesce(a.verdicts[1], 0) INTO v_verdict
      FROM log.append(
        p_log => p_log, p_encoding => 0::smallint, p_commuting => '{}',
        c_actor => ARRAY[p_actor], c_key => ARRAY[p_key], c_hash => ARRAY[v_hash], c_outcome => '{1}', c_status => '{200}',
        c_rule => ARRAY[NULL::text],
        c_result => ARRAY[convert_to(format('{"subject":%s,"versions":{%s:1}}', to_jsonb(p_subject), to_jsonb(v_stream)), 'UTF8')],
        c_origin => ARRAY[NULL::text], c_record => '{t}', c_events => '{1}',
        s_stream => ARRAY[v_stream], s_base => '{0}', s_new => '{f}',
        r_command => '{1}', r_stream => '{1}', r_commuting => '{f}',
        e_command => '{1}', e_stream => '{1}', e_commutes => '{f}', e_type => '{subject.erased.v1}',
        e_payload => ARRAY[convert_to(format('{"subject":%s}', to_jsonb(p_subject)), 'UTF8')],
        e_metadata => ARRAY[p_metadata]
      ) a;
    IF v_verdict = 2 AND NOT EXISTS (
        SELECT FROM log.commands c WHERE c.log = p_log AND c.actor = p_actor AND c.key = p_key AND c.request_hash = v_hash
    ) THEN
        RAISE EXCEPTION 'the key % of % belongs to another request', p_key, p_actor
              USING ERRCODE = 'invalid_parameter_value';
    END IF;
    appended := v_verdict = 0;
    destroyed := log.destroy_subject_key(p_log, p_subject);
    SELECT e.position INTO STRICT "position" FROM log.events e
     WHERE e.log = p_log AND e.stream = v_stream AND e.version = 1;
END
$$;
COMMENT ON FUNCTION log.erase_subject IS 'Destroys the key of a person and appends subject.erased.v1, both or neither. For the owner only.';

REVOKE ALL ON FUNCTION log.destroy_subject_key, log.erase_subject FROM PUBLIC;

-- Whose key was destroyed before there was an event gets it now, so that the two stand together from the first event on.
-- A copy gets it with the units of its original.
SELECT log.erase_subject(
         k.log, k.subject, 'system:migrate', 'erase ' || k.subject,
         convert_to(format('{"actor":{"how":"system","id":"system:migrate","roles":["operator"]},"command":"EraseSubject","correlation":%s,"decided_at":"%s","key":%s,"rules":1}',
                           to_jsonb('erase ' || k.subject),
                           to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                           to_jsonb('erase ' || k.subject)), 'UTF8'))
  FROM log.subject_keys k
 WHERE k.sealed_key IS NULL AND NOT EXISTS (SELECT FROM log.copies c WHERE c.log = k.log)
 ORDER BY k.log, k.erased_at, k.subject;

RESET ROLE;
