-- Who may do what with the read tables and the reporting views; run by whoever makes them, again and again. What somebody
-- else put into these schemas is left out: it is not ours to grant (daybook migrate takes it over, daybook verify names it).
-- A relation that has its rights already is left alone: each swap of a rebuild runs this over all of them.
DO $$
DECLARE
    relation record;
BEGIN
    FOR relation IN
        WITH relations AS (
            SELECT c.oid::regclass AS name, coalesce(c.relacl, acldefault('r', c.relowner)) AS acl, c.relowner,
                   CASE WHEN n.nspname = 'reporting' THEN '{daybook_audit=SELECT,daybook_reader=SELECT}'::text[]
                        WHEN n.nspname <> 'reporting' AND c.relname IN ('projections', 'reports', 'currencies')
                        THEN '{daybook_audit=SELECT,daybook_projector=SELECT,daybook_query=SELECT}'
                        ELSE '{daybook_audit=SELECT,daybook_projector=DELETE,daybook_projector=INSERT,'
                             'daybook_projector=SELECT,daybook_projector=UPDATE,daybook_query=SELECT}'
                   END AS rights
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname IN ('read', 'read_next', 'reporting') AND c.relkind IN ('r', 'p', 'v', 'm')
               AND c.relowner = current_user::regrole
        )
        SELECT name, rights FROM relations
         WHERE rights IS DISTINCT FROM ARRAY(
            SELECT t.held
              FROM aclexplode(acl) a LEFT JOIN pg_roles r ON r.oid = a.grantee,
                   format('%s=%s%s', coalesce(r.rolname, 'public'), a.privilege_type, CASE WHEN a.is_grantable THEN '*' END) AS t (held)
             WHERE a.grantee <> relowner AND (a.grantee = 0 OR r.rolname IN ('daybook_owner', 'daybook_api', 'daybook_query',
                   'daybook_projector', 'daybook_audit', 'daybook_reader'))
             ORDER BY t.held COLLATE "C")
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, daybook_owner, daybook_api, daybook_query, daybook_projector,'
                       ' daybook_audit, daybook_reader', relation.name);
        EXECUTE (SELECT string_agg(format('GRANT %s ON %s TO %s', split_part(granted, '=', 2), relation.name,
                                          split_part(granted, '=', 1)), '; ') FROM unnest(relation.rights) AS g (granted));
    END LOOP;
END
$$;
