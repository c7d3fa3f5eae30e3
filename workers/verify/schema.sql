-- What exists in the schemas of Daybook, one line of text for each object and right. The lines are the same on every
-- supported version of PostgreSQL. Run with search_path = pg_catalog, so that every name is qualified.
-- Left out: storage options and statistics, which a DBA may tune, and whether roles may log in.
WITH ours AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace WHERE nspname IN ('log', 'library', 'credentials', 'access', 'webhooks', 'batches', 'proof', 'read', 'read_next', 'read_old', 'reporting')
), relations AS (
    SELECT c.*, n.nspname,
           CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' WHEN 'm' THEN 'materialized view'
                        WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' ELSE 'relation' END AS kind
      FROM pg_class c JOIN ours n ON n.oid = c.relnamespace WHERE relkind NOT IN ('i', 'I', 'c')
), functions AS (
    SELECT p.*, p.oid::regprocedure::text AS signature FROM pg_proc p JOIN ours n ON n.oid = p.pronamespace
), grants AS (
    SELECT 'schema ' || nspname AS object, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS g FROM ours
    UNION ALL
    SELECT kind || ' ' || nspname || '.' || relname,
           aclexplode(coalesce(relacl, acldefault((CASE relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", relowner))) FROM relations
    UNION ALL
    SELECT 'column ' || r.nspname || '.' || relname || '.' || attname, aclexplode(attacl)
      FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid WHERE attacl IS NOT NULL
    UNION ALL
    SELECT 'function ' || signature, aclexplode(coalesce(proacl, acldefault('f', proowner))) FROM functions
    UNION ALL
    SELECT 'default privileges of ' || defaclrole::regrole || coalesce(' in ' || n.nspname, '') || ' on '
           || CASE defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                                 WHEN 'T' THEN 'types' ELSE 'schemas' END, aclexplode(defaclacl)
      FROM pg_default_acl d LEFT JOIN ours n ON n.oid = d.defaclnamespace
     WHERE n.oid IS NOT NULL OR defaclnamespace = 0 AND defaclrole IN (SELECT nspowner FROM ours)
    UNION ALL
    SELECT 'database', g FROM pg_database CROSS JOIN aclexplode(coalesce(datacl, acldefault('d', datdba))) g
     WHERE datname = current_database() AND g.grantee <> datdba AND g.privilege_type IN ('CREATE', 'TEMPORARY')
    UNION ALL
    SELECT 'schema public', g FROM pg_namespace CROSS JOIN aclexplode(coalesce(nspacl, acldefault('n', nspowner))) g
     WHERE nspname = 'public' AND g.grantee <> nspowner AND g.privilege_type = 'CREATE'
), roles AS (
    SELECT DISTINCT r.oid, r.rolname, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication
      FROM (SELECT nspowner AS role FROM ours UNION SELECT relowner FROM relations UNION SELECT proowner FROM functions
            UNION SELECT (g).grantee FROM grants) AS used JOIN pg_roles r ON r.oid = used.role
), lines AS (
    SELECT 'schema ' || nspname || ': owner ' || nspowner::regrole AS line FROM ours
    UNION ALL
    SELECT kind || ' ' || nspname || '.' || relname || ': owner ' || relowner::regrole
           || CASE relpersistence WHEN 'p' THEN '' ELSE ', not logged' END
           || CASE WHEN relrowsecurity THEN ', row security' ELSE '' END
           || CASE WHEN relforcerowsecurity THEN ', forced' ELSE '' END
           || CASE WHEN relkind IN ('v', 'm') THEN coalesce(', ' || array_to_string(reloptions, ', '), '') ELSE '' END
      FROM relations
    UNION ALL
    -- The order of columns means nothing in the tables of read models: every statement names its columns.
    SELECT 'column ' || nspname || '.' || relname || '.' || attname || ': '
           || CASE WHEN nspname = 'read' AND relkind = 'r' THEN ''
                   ELSE 'number ' || row_number() OVER (PARTITION BY r.oid ORDER BY attnum) || ', ' END
           || format_type(atttypid, atttypmod)
           || CASE WHEN attnotnull THEN ', not null' ELSE '' END
           || CASE WHEN attcollation NOT IN (0, 100) THEN ', collation ' || attcollation::regcollation ELSE '' END
           || CASE attidentity WHEN 'a' THEN ', identity always' WHEN 'd' THEN ', identity by default' ELSE '' END
           || CASE WHEN attgenerated <> '' THEN ', generated' ELSE '' END
           || coalesce(', default ' || pg_get_expr(adbin, adrelid), '')
      FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid LEFT JOIN pg_attrdef ON adrelid = r.oid AND adnum = attnum
     WHERE attnum > 0 AND NOT attisdropped AND relkind <> 'S'
    UNION ALL
    SELECT 'constraint ' || nspname || '.' || relname || '.' || conname || ': ' || pg_get_constraintdef(c.oid)
           || CASE WHEN convalidated THEN '' ELSE ', not validated' END
      FROM relations r JOIN pg_constraint c ON c.conrelid = r.oid
     WHERE contype <> 'n'  -- version 18 has these of its own; the columns tell the same
    UNION ALL
    SELECT 'index ' || nspname || '.' || r.relname || '.' || i.relname || ': ' || pg_get_indexdef(i.oid)
           || CASE WHEN indisvalid AND indisready AND indislive THEN '' ELSE ', invalid' END
      FROM relations r JOIN pg_index x ON x.indrelid = r.oid JOIN pg_class i ON i.oid = x.indexrelid
    UNION ALL
    SELECT 'trigger ' || nspname || '.' || relname || '.' || tgname || ': ' || pg_get_triggerdef(t.oid)
           || CASE tgenabled WHEN 'O' THEN '' ELSE ', enabled ' || tgenabled::text END
      FROM relations r JOIN pg_trigger t ON t.tgrelid = r.oid WHERE NOT tgisinternal OR tgenabled <> 'O'
    UNION ALL
    SELECT 'rule ' || nspname || '.' || relname || '.' || rulename || ': ' || pg_get_ruledef(w.oid)
      FROM relations r JOIN pg_rewrite w ON w.ev_class = r.oid WHERE rulename <> '_RETURN' OR ev_enabled <> 'O'
    UNION ALL
    SELECT 'policy ' || nspname || '.' || relname || '.' || polname || ': exists'
      FROM relations r JOIN pg_policy ON polrelid = r.oid
    UNION ALL
    SELECT 'inheritance ' || inhparent::regclass || ' from ' || inhrelid::regclass || ': exists'
      FROM pg_inherits WHERE inhparent IN (SELECT oid FROM relations) OR inhrelid IN (SELECT oid FROM relations)
    UNION ALL
    -- From version 16 on, columns of a view over one table are written without the alias of that table.
    SELECT 'definition of ' || nspname || '.' || relname || ': '
           || regexp_replace(text, '\m' || coalesce(substring(text FROM 'FROM [a-z_]+\.[a-z_]+ ([a-z]+);$'), '.') || '\.', '', 'g')
      FROM relations r CROSS JOIN regexp_replace(pg_get_viewdef(r.oid), '\s+', ' ', 'g') AS text
     WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT 'sequence values of ' || seqrelid::regclass || ': ' || format_type(seqtypid, NULL) || ', start ' || seqstart
           || ', increment ' || seqincrement || ', ' || seqmin || ' to ' || seqmax
           || CASE WHEN seqcycle THEN ', cycle' ELSE '' END
      FROM pg_sequence JOIN relations r ON r.oid = seqrelid
    UNION ALL
    SELECT 'function ' || signature || ': owner ' || proowner::regrole || ', arguments ('
           || pg_get_function_arguments(p.oid) || '), returns ' || coalesce(pg_get_function_result(p.oid), 'nothing')
           || ', ' || lanname || ', ' || CASE provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' ELSE 'volatile' END
           || ', ' || CASE WHEN prosecdef THEN 'security definer' ELSE 'security invoker' END
           || coalesce(', ' || array_to_string(proconfig, ', '), '') || ', sha256 of its source '
           || encode(sha256(convert_to(coalesce(pg_get_function_sqlbody(p.oid), prosrc), 'UTF8')), 'hex')
      FROM functions p JOIN pg_language l ON l.oid = prolang
    UNION ALL
    SELECT 'grant on ' || object || ' to ' || CASE (g).grantee WHEN 0 THEN 'PUBLIC' ELSE (g).grantee::regrole::text END
           || ': ' || string_agg((g).privilege_type || CASE WHEN (g).is_grantable THEN ' with grant option' ELSE '' END,
                                 ', ' ORDER BY (g).privilege_type COLLATE "C")
      FROM grants WHERE (g).privilege_type <> 'MAINTAIN'  -- of owners, from version 17 on
     GROUP BY object, (g).grantee
    UNION ALL
    SELECT 'role ' || rolname || ': ' || concat_ws(', ', CASE WHEN rolsuper THEN 'superuser' END,
           CASE WHEN rolcreaterole THEN 'createrole' END, CASE WHEN rolcreatedb THEN 'createdb' END,
           CASE WHEN rolbypassrls THEN 'bypassrls' END, CASE WHEN rolreplication THEN 'replication' END,
           (SELECT 'member of ' || string_agg(o.rolname, ', ' ORDER BY o.rolname COLLATE "C")
              FROM pg_auth_members m JOIN roles o ON o.oid = m.roleid WHERE m.member = r.oid), 'no more')
      FROM roles r
    UNION ALL
    SELECT 'event trigger ' || evtname || ': on ' || evtevent || ' calls ' || evtfoid::regproc FROM pg_event_trigger
    UNION ALL
    -- A process has the rights of one role. Whoever may act as the owner, or as several roles, has what they were
    -- separated for; only a superuser and the owner of the database need that.
    SELECT 'login ' || r.rolname || ': may act as ' || string_agg(o.rolname, ', ' ORDER BY o.rolname COLLATE "C")
      FROM pg_roles r JOIN pg_roles o ON pg_has_role(r.oid, o.oid, 'MEMBER') AND o.rolname IN
           ('daybook_owner', 'daybook_read_owner', 'daybook_api', 'daybook_query', 'daybook_projector', 'daybook_audit',
            'daybook_reader', 'daybook_publisher', 'daybook_replica', 'daybook_credentials')
     WHERE r.rolcanlogin AND NOT r.rolsuper AND has_database_privilege(r.oid, current_database(), 'CONNECT')
       AND r.oid <> (SELECT datdba FROM pg_database WHERE datname = current_database())
     GROUP BY r.rolname HAVING count(*) > 1 OR bool_or(o.rolname = 'daybook_owner')
    UNION ALL
    SELECT 'object ' || o.type || ' ' || o.identity || ': exists'
      FROM pg_depend d JOIN ours n ON n.oid = d.refobjid AND d.refclassid = 'pg_namespace'::regclass
           CROSS JOIN pg_identify_object(d.classid, d.objid, d.objsubid) o
     WHERE d.classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_default_acl'::regclass)
)
SELECT line FROM lines ORDER BY line COLLATE "C"
