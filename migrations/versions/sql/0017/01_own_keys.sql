-- Some keys are not of people. Without the key of hashes, names that are taken would look free; without that of the log,
-- the names of its internal accounts could not be read.
SET LOCAL ROLE daybook_owner;

-- As in 0015, and refuses the keys of the log itself.
CREATE OR REPLACE FUNCTION log.destroy_subject_key(p_log integer, p_subject text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_subject COLLATE "C" ~ '^[!-~]{1,100}$' IS NOT TRUE THEN  -- as log.keep_subject_keys
        RAISE EXCEPTION 'a subject has 1 to 100 visible ASCII characters' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF p_subject LIKE 'system:%' OR EXISTS (SELECT FROM log.logs l WHERE l.log = p_log AND l.name = p_subject) THEN
        RAISE EXCEPTION '% is no person: its key is one of the log itself', p_subject
              USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO log.subject_keys AS k (log, subject, sealed_key, master_key, erased_at)
    VALUES (p_log, p_subject, NULL, 0, clock_timestamp())
    ON CONFLICT (log, subject) DO UPDATE SET sealed_key = NULL, erased_at = excluded.erased_at,
                                             changed_by = excluded.changed_by
     WHERE k.sealed_key IS NOT NULL;
    RETURN FOUND;
END
$$;

RESET ROLE;
