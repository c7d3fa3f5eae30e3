-- The rights of all roles. The file revokes everything and grants it again, so it can be run at any time. docs/adr/0013
-- has the table of what an attacker with each role can do. The rights on read tables and reporting views are granted
-- when these are made: projections/engine/grants.sql.
SET LOCAL ROLE daybook_owner;

REVOKE ALL ON SCHEMA log, library, credentials, access, webhooks, batches, proof
  FROM PUBLIC, daybook_read_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader,
       daybook_publisher, daybook_replica, daybook_credentials, daybook_sealer;
REVOKE ALL ON ALL TABLES IN SCHEMA log, library, credentials, access, webhooks, batches, proof
  FROM PUBLIC, daybook_read_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader,
       daybook_publisher, daybook_replica, daybook_credentials, daybook_sealer;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA log, library, credentials, access, webhooks, batches, proof
  FROM PUBLIC, daybook_read_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader,
       daybook_publisher, daybook_replica, daybook_credentials, daybook_sealer;
REVOKE ALL ON ALL ROUTINES IN SCHEMA log, library, credentials, access, webhooks, batches, proof
  FROM PUBLIC, daybook_read_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader,
       daybook_publisher, daybook_replica, daybook_credentials, daybook_sealer;

GRANT USAGE ON SCHEMA log TO daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_publisher,
                             daybook_replica, daybook_sealer;
GRANT USAGE ON SCHEMA library TO daybook_api, daybook_audit;

-- Only the API writes the log, through its functions. Only the owner may call log.forget_origins, log.erase_subject and
-- log.destroy_subject_key.
GRANT SELECT ON ALL TABLES IN SCHEMA log TO daybook_api, daybook_audit;
GRANT USAGE ON SEQUENCE log.numbers TO daybook_api;
GRANT EXECUTE ON FUNCTION log.append, log.lock_head, log.create_log, log.keep_subject_keys, log.keep_master_key,
                         log.keep_snapshots, log.keep_snapshots_by_shape
   TO daybook_api;
GRANT EXECUTE ON FUNCTION log.leaf_field, log.leaf_time, log.command_record, log.leaf, log.leaf_hashes
   TO daybook_audit;
GRANT EXECUTE ON FUNCTION log.leaf_field, log.leaf_time, log.command_record, log.leaf TO daybook_query;
GRANT SELECT ON log.logs TO daybook_sealer;
GRANT SELECT ON log.logs, log.events, log.commands, log.subject_keys, log.master_keys, log.publications,
                log.copies, log.command_hashes
   TO daybook_query;
GRANT SELECT ON log.logs, log.events, log.subject_keys, log.master_keys, log.publications TO daybook_publisher;
GRANT EXECUTE ON FUNCTION log.read_units, log.keep_publication TO daybook_publisher;
GRANT SELECT ON log.logs, log.copies, log.subject_keys, log.master_keys TO daybook_replica;
GRANT EXECUTE ON FUNCTION log.begin_copy, log.copy_units, log.keep_copy, log.keep_subject_keys, log.keep_master_key
   TO daybook_replica;
GRANT SELECT ON log.logs, log.events, log.copies, log.publications, log.subject_keys, log.master_keys
   TO daybook_projector;


GRANT SELECT, INSERT ON library.snapshots TO daybook_api;
GRANT SELECT ON library.tracking TO daybook_api;
GRANT EXECUTE ON FUNCTION library.track, library.insert_events TO daybook_api;
GRANT SELECT ON ALL TABLES IN SCHEMA library TO daybook_audit;

-- One role has the credentials, and nothing else. Auditors see who has which, and no hash.
GRANT USAGE ON SCHEMA credentials TO daybook_credentials, daybook_audit;
GRANT SELECT, INSERT, UPDATE, DELETE ON credentials.passwords, credentials.sessions, credentials.refresh_tokens,
      credentials.mail_tokens, credentials.totp, credentials.recovery_codes, credentials.api_keys, credentials.attempts
   TO daybook_credentials;
GRANT SELECT ON credentials.held TO daybook_audit;

-- The API's login that writes adds reads, and can neither see nor change them. Auditors see them, and the API's login that
-- reads, for the answers of the API. Only the owner may call access.forget_reads, and nobody updates.
GRANT USAGE ON SCHEMA access TO daybook_api, daybook_query, daybook_audit;
GRANT INSERT ON access.reads, access.recorders TO daybook_api;
GRANT SELECT ON access.reads, access.recorders TO daybook_query;
GRANT SELECT ON access.reads, access.recorders, access.completeness TO daybook_audit;

-- The worker of webhooks has the API's login that writes, because it appends too. It adds attempts and changes none.
-- Only the owner may call webhooks.forget_deliveries.
GRANT USAGE ON SCHEMA webhooks TO daybook_api, daybook_query, daybook_audit;
GRANT SELECT, INSERT, UPDATE ON webhooks.positions TO daybook_api;
GRANT SELECT, INSERT ON webhooks.deliveries TO daybook_api;
GRANT SELECT ON webhooks.positions, webhooks.deliveries TO daybook_query, daybook_audit;

-- The bodies of long batches: the API's login that writes adds them, and its worker removes them. Nobody changes one, and
-- auditors see which there are.
GRANT USAGE ON SCHEMA batches TO daybook_api, daybook_audit;
GRANT SELECT, INSERT, DELETE ON batches.parts TO daybook_api;
GRANT SELECT (log, batch, part, digest, sender, bytes) ON batches.parts TO daybook_audit;

-- The transparency log: a sealer sees hashes of leaves and heads of streams, and no events. It adds to tiles and heads by
-- functions.
GRANT USAGE ON SCHEMA proof TO daybook_sealer, daybook_query, daybook_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA proof TO daybook_sealer, daybook_query, daybook_audit;
GRANT EXECUTE ON FUNCTION proof.leaf_hashes, proof.begin_tree, proof.grow, proof.keep_key, proof.keep_checkpoint,
                         proof.changed_heads, proof.keep_heads, proof.reach_heads, proof.keep_cosignature
   TO daybook_sealer;

-- Nobody appends to a copy. Here all appends of its database are refused; log.begin_copy wants it to have no other log.
DO $$
BEGIN
    IF EXISTS (SELECT FROM log.copies) THEN
        REVOKE EXECUTE ON FUNCTION log.append, log.create_log FROM daybook_api;
        REVOKE EXECUTE ON FUNCTION library.insert_events FROM daybook_api;
    END IF;
END
$$;

SET LOCAL ROLE daybook_read_owner;

REVOKE ALL ON SCHEMA read, read_next, read_old, reporting
  FROM PUBLIC, daybook_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader,
       daybook_publisher, daybook_replica, daybook_credentials, daybook_sealer;
GRANT USAGE ON SCHEMA read TO daybook_query, daybook_projector, daybook_audit;
GRANT USAGE ON SCHEMA read_next TO daybook_projector; -- a rebuild folds there
GRANT USAGE ON SCHEMA reporting TO daybook_reader, daybook_audit;

RESET ROLE;

-- Only verify may make temporary objects. A reader could fill the disk with them, and no other role needs them. An
-- object in the schema public could replace another one. Only the owner of the database may change these rights.
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

    -- By default every role may write large objects, even in a read-only session, and could fill the disk with them.
    -- Daybook has none. The functions belong to the superuser, which a hosted server does not provide.
    IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        REVOKE EXECUTE ON FUNCTION lo_creat, lo_create, lo_from_bytea, lo_put, lowrite, lo_truncate, lo_truncate64
          FROM PUBLIC;
    END IF;
END
$$;
