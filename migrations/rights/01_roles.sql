-- One role with least privilege for each task. They are group roles without a login: each login is a member of one and
-- acts as it. The roles may exist already, because another database of the server uses them or a DBA made them. This
-- file runs before the versions, at each migration.
DO $$
DECLARE
    name   text;
    server integer := current_setting('server_version_num');
BEGIN
    FOREACH name IN ARRAY ARRAY['daybook_owner', 'daybook_read_owner', 'daybook_api', 'daybook_query',
                                'daybook_projector', 'daybook_audit', 'daybook_reader', 'daybook_publisher',
                                'daybook_replica', 'daybook_credentials', 'daybook_sealer'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- the migration of another database created it at the same time
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'the server has no role %, and % may not create it: have it made (CREATE ROLE % NOLOGIN), or migrate as a login with CREATEROLE',
                        name, current_user, name USING ERRCODE = 'insufficient_privilege';
            END;
        END IF;
        -- Since version 16 the creator of a role is a member and may grant it, but may not act as it yet.
        IF NOT pg_has_role(current_user, name, CASE WHEN server >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
            BEGIN
                EXECUTE format('GRANT %I TO CURRENT_USER', name);
            EXCEPTION WHEN insufficient_privilege THEN
                IF name IN ('daybook_owner', 'daybook_read_owner') THEN
                    RAISE EXCEPTION '% makes what belongs to %, so it must be a member: GRANT % TO %',
                        current_user, name, name, current_user USING ERRCODE = 'insufficient_privilege';
                END IF;  -- membership of the other roles is not needed: they only get rights
            END;
        END IF;
    END LOOP;
END
$$;
