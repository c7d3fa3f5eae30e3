-- Who may do what: all of it, from nothing, so that it can be run again at any time. docs/adr/0013 has the table of what
-- each role can do when it is taken over. The rights on the read tables and the reporting views are granted by who makes
-- them: projections/engine/grants.sql.
SET LOCAL ROLE daybook_owner;

REVOKE ALL ON SCHEMA log, library
  FROM PUBLIC, daybook_read_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader;
REVOKE ALL ON ALL TABLES IN SCHEMA log, library
  FROM PUBLIC, daybook_read_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA log, library
  FROM PUBLIC, daybook_read_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader;
REVOKE ALL ON ALL ROUTINES IN SCHEMA log, library
  FROM PUBLIC, daybook_read_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader;

GRANT USAGE ON SCHEMA log TO daybook_api, daybook_query, daybook_projector, daybook_audit;
GRANT USAGE ON SCHEMA library TO daybook_api, daybook_audit;

-- The log is written through its functions, and by the API alone. log.forget_origins stays with the owner.
GRANT SELECT ON ALL TABLES IN SCHEMA log TO daybook_api, daybook_audit;
GRANT USAGE ON SEQUENCE log.numbers TO daybook_api;
GRANT EXECUTE ON FUNCTION log.append, log.lock_head, log.create_log, log.keep_subject_keys, log.keep_master_key,
                         log.keep_snapshots
   TO daybook_api;
GRANT EXECUTE ON FUNCTION log.leaf_field, log.leaf_time, log.command_record, log.leaf, log.leaf_hashes
   TO daybook_audit;
GRANT SELECT ON log.logs, log.events, log.commands, log.subject_keys, log.master_keys TO daybook_query;
GRANT SELECT ON log.logs, log.events, log.subject_keys, log.master_keys TO daybook_projector;

GRANT SELECT, INSERT ON library.snapshots TO daybook_api;
GRANT SELECT ON library.tracking TO daybook_api;
GRANT EXECUTE ON FUNCTION library.track, library.insert_events TO daybook_api;
GRANT SELECT ON ALL TABLES IN SCHEMA library TO daybook_audit;

SET LOCAL ROLE daybook_read_owner;

REVOKE ALL ON SCHEMA read, read_next, read_old, reporting
  FROM PUBLIC, daybook_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader;
GRANT USAGE ON SCHEMA read TO daybook_query, daybook_projector, daybook_audit;
GRANT USAGE ON SCHEMA read_next TO daybook_projector; -- a rebuild folds there
GRANT USAGE ON SCHEMA reporting TO daybook_reader, daybook_audit;

RESET ROLE;

-- Temporary objects are for verify alone: a reader could fill the disk with them, and nobody else needs any. An object in
-- the schema public could stand in the place of another. Only the owner of the database may change these.
DO $$
BEGIN
    IF pg_has_role(current_user, (SELECT datdba FROM pg_database WHERE datname = current_database()), 'USAGE') THEN
        EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
        EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO daybook_audit', current_database());
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    ELSE
        RAISE WARNING '% does not own the database %: have its owner run REVOKE CREATE, TEMPORARY ON DATABASE % FROM PUBLIC; GRANT TEMPORARY ON DATABASE % TO daybook_audit; REVOKE CREATE ON SCHEMA public FROM PUBLIC',
            current_user, current_database(), current_database(), current_database();
    END IF;

    -- Everybody may write large objects, and in a read-only session too: a reader could fill the disk with them. Daybook
    -- has none. The functions are the superuser's, who is not there with a hosted server.
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        REVOKE EXECUTE ON FUNCTION lo_creat, lo_create, lo_from_bytea, lo_put, lowrite, lo_truncate, lo_truncate64
          FROM PUBLIC;
    END IF;
END
$$;
