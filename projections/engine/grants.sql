-- Who may do what with the read tables and the reporting views; run by whoever makes them, again and again. What somebody
-- else put into these schemas is left out: it is not ours to grant (daybook migrate takes it over, daybook verify names it).
DO $$
DECLARE
    relation record;
BEGIN
    FOR relation IN
        SELECT n.nspname AS schema, c.oid::regclass AS name, n.nspname <> 'reporting' AND c.relname NOT IN ('projections', 'reports', 'currencies')
                   AS folded
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('read', 'read_next', 'reporting') AND c.relkind IN ('r', 'p', 'v', 'm')
           AND c.relowner = current_user::regrole
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, daybook_owner, daybook_api, daybook_query, daybook_projector,'
                       ' daybook_audit, daybook_reader', relation.name);
        IF relation.schema = 'reporting' THEN
            EXECUTE format('GRANT SELECT ON %s TO daybook_reader, daybook_audit', relation.name);
        ELSE
            EXECUTE format('GRANT SELECT ON %s TO daybook_query, daybook_projector, daybook_audit', relation.name);
        END IF;
        IF relation.folded THEN
            EXECUTE format('GRANT INSERT, UPDATE, DELETE ON %s TO daybook_projector', relation.name);
        END IF;
    END LOOP;
END
$$;
