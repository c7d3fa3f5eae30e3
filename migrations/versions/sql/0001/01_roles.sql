-- Least privilege, one role a task. They are group roles without a login: whoever connects is made a member of one and
-- takes it on (`options=-c role=daybook_api`). A cluster is shared by several databases, so they may exist already.
DO $$
DECLARE
    name   text;
    server integer := current_setting('server_version_num');
BEGIN
    FOREACH name IN ARRAY ARRAY['daybook_owner', 'daybook_api', 'daybook_projector', 'daybook_reader'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- another database of this cluster made it, perhaps in this moment
        END;
        -- From version 16 on who creates a role may grant it, and is a member, but may not act as it yet.
        IF NOT pg_has_role(current_user, name, CASE WHEN server >= 160000 THEN 'SET' ELSE 'MEMBER' END) THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', name);
        END IF;
    END LOOP;
END
$$;
