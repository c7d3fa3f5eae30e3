-- Gives each object of Daybook to its owner. This file runs before and after the versions, at each migration. After a
-- dump was restored into a server without these roles, everything belongs to the role that restored it.
DO $$
DECLARE
    stranger  text;
    statement text;
BEGIN
    -- Daybook has no function in these schemas. Code there would run with the rights of the reader.
    SELECT p.oid::regprocedure INTO stranger FROM pg_proc p
     WHERE p.pronamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('read', 'read_next', 'read_old', 'reporting')) LIMIT 1;
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'there is a function %, and Daybook makes none there: find out who did, and drop it', stranger;
    END IF;

    FOR statement IN
        WITH owners (schema, owner) AS (
            SELECT n.oid, r.oid
              FROM (VALUES ('log', 'daybook_owner'), ('library', 'daybook_owner'), ('credentials', 'daybook_owner'),
                           ('access', 'daybook_owner'), ('webhooks', 'daybook_owner'),
                           ('batches', 'daybook_owner'), ('proof', 'daybook_owner'),
                           ('read', 'daybook_read_owner'), ('reporting', 'daybook_read_owner'),
                           ('read_next', 'daybook_read_owner'), ('read_old', 'daybook_read_owner')) AS o(schema, owner)
              JOIN pg_namespace n ON n.nspname = o.schema JOIN pg_roles r ON r.rolname = o.owner
        )
        SELECT format('ALTER SCHEMA %I OWNER TO %s', n.nspname, o.owner::regrole)
          FROM owners o JOIN pg_namespace n ON n.oid = o.schema WHERE n.nspowner <> o.owner
        UNION ALL
        SELECT format('ALTER %s %s OWNER TO %s',
                      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                     WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, c.oid::regclass, o.owner::regrole)
          FROM owners o JOIN pg_class c ON c.relnamespace = o.schema
         WHERE c.relowner <> o.owner AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
           AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                            AND c.relkind = 'S' AND d.deptype IN ('i', 'a'))  -- a sequence of a column has the owner of its table
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO %s', p.oid::regprocedure, o.owner::regrole)
          FROM owners o JOIN pg_proc p ON p.pronamespace = o.schema WHERE p.proowner <> o.owner
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
