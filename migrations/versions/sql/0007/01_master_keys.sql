-- A database knows its master keys by their fingerprints, and each wrapped key of a person names its master key by number
-- (ADR 0014). The first fingerprint is not known here: whoever migrates has no master key. The first process that may
-- append records it as number 1, which is what the keys that are there already name.
SET LOCAL ROLE daybook_owner;

CREATE TABLE log.master_keys (
    number      smallint PRIMARY KEY CHECK (number > 0),
    fingerprint bytea NOT NULL UNIQUE CHECK (octet_length(fingerprint) = 16),
    status      text COLLATE "C" NOT NULL CHECK (status IN ('current', 'superseded', 'retired')),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at  timestamptz,
    CHECK ((status = 'retired') = (retired_at IS NOT NULL))
);
CREATE UNIQUE INDEX one_current_master_key ON log.master_keys (status) WHERE status = 'current';
COMMENT ON TABLE log.master_keys IS 'Fingerprints of the master keys this database was used with. Nothing here helps to guess a key.';
COMMENT ON COLUMN log.master_keys.fingerprint IS 'First 16 bytes of HMAC-SHA256 under the master key of a constant text.';
COMMENT ON COLUMN log.master_keys.status IS 'current: wraps new keys. superseded: daybook rotate-master-key moves keys away from it. retired: no key needs it.';

ALTER TABLE log.subject_keys ADD COLUMN master_key smallint NOT NULL DEFAULT 1;
ALTER TABLE log.subject_keys ALTER COLUMN master_key DROP DEFAULT;
COMMENT ON COLUMN log.subject_keys.master_key IS 'Number of the master key that sealed_key is wrapped with (log.master_keys). Without meaning once the key was erased.';

-- The first fingerprint. Of two processes that start together one records it; both then compare with what is there.
CREATE FUNCTION log.keep_master_key(p_fingerprint bytea) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO log.master_keys (number, fingerprint, status)
    SELECT 1, p_fingerprint, 'current' WHERE NOT EXISTS (SELECT FROM log.master_keys)
    ON CONFLICT DO NOTHING;
$$;

-- Keys of people new to the log; the answer is what holds, whoever was first. An erased key stays erased.
--
-- The lock makes a rotation that begins wait for this call, and this call wait for it: what is current is looked up after
-- the lock is granted. So no key is kept under a master key once a rotation has begun to move keys away from it. A lock of
-- the row would do as well, but write 90 bytes of WAL.
DROP FUNCTION log.keep_subject_keys(integer, text[], bytea[]);
CREATE FUNCTION log.keep_subject_keys(p_log integer, p_master_key smallint, p_subjects text[], p_sealed bytea[])
RETURNS TABLE (subject text, sealed_key bytea, master_key smallint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    v_malformed integer;
BEGIN
    LOCK TABLE log.master_keys IN ROW SHARE MODE;
    IF NOT EXISTS (SELECT FROM log.master_keys m WHERE m.number = p_master_key AND m.status = 'current') THEN
        RAISE EXCEPTION 'master key % is not the current one', p_master_key
              USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF NOT EXISTS (SELECT FROM log.logs l WHERE l.log = p_log) THEN
        RAISE EXCEPTION 'there is no log number %', p_log USING ERRCODE = 'no_data_found';
    END IF;
    -- In unnest the shorter array is filled with NULL.
    SELECT count(*) INTO v_malformed FROM unnest(p_subjects, p_sealed) AS k(subject, sealed)
     WHERE k.subject COLLATE "C" ~ '^[!-~]{1,100}$' IS NOT TRUE OR octet_length(k.sealed) = 60 IS NOT TRUE;
    IF v_malformed > 0 THEN
        RAISE EXCEPTION '% of % keys are not well-formed: a subject has 1 to 100 visible ASCII characters, a wrapped key 60 bytes',
              v_malformed, greatest(cardinality(p_subjects), cardinality(p_sealed))
              USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO log.subject_keys (log, subject, sealed_key, master_key)
    SELECT p_log, k.subject, k.sealed, p_master_key FROM unnest(p_subjects, p_sealed) AS k(subject, sealed) ORDER BY k.subject
    ON CONFLICT DO NOTHING;
    RETURN QUERY SELECT k.subject, k.sealed_key, k.master_key FROM log.subject_keys k
                  WHERE k.log = p_log AND k.subject = ANY (p_subjects);
END
$$;
