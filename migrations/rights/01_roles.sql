-- Least privilege, one role a task. They are group roles without a login: whoever connects is made a member of one and
-- acts as it. A server has several databases, so the roles may exist already; a DBA may have made them, too. Run before
-- the versions, at each migration.
DO $$
DECLARE
    name   text;
    server integer := current_setting('server_version_num');
BEGIN
    FOREACH name IN ARRAY ARRAY['daybook_owner', 'daybook_read_owner', 'daybook_api', 'daybook_query',
                                'daybook_projector', 'daybook_audit', 'daybook_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;  -- the migration of another database made it in this moment
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'the server has no role %, and % may not create it: have it made (CREATE ROLE % NOLOGIN), or migrate as a login with CREATEROLE',
                        name, current_user, name USING ERRCODE = 'insufficient_privilege';
            END;
        END IF;
        -- From version 16 on who creates a role may grant it, and is a member, but may not act as it yet.
        IF NOT pg_has_role(current_user, name, CASE WHEN server >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
            BEGIN
                EXECUTE format('GRANT %I TO CURRENT_USER', name);
            EXCEPTION WHEN insufficient_privilege THEN
                IF name IN ('daybook_owner', 'daybook_read_owner') THEN
                    RAISE EXCEPTION '% makes what belongs to %, so it must be a member: GRANT % TO %',
                        current_user, name, name, current_user USING ERRCODE = 'insufficient_privilege';
                END IF;  -- of the others it need not be one: they only get rights
            END;
        END IF;
    END LOOP;
END
$$;
