-- Owner and access list of each object of Daybook. `daybook migrate` compares them before and after.
SELECT format('schema %I', n.nspname) AS object, concat(n.nspowner::regrole, ' ', n.nspacl::text) AS rights
  FROM pg_namespace n WHERE n.nspname IN ('log', 'library', 'credentials', 'access', 'webhooks', 'batches', 'proof', 'read', 'read_next', 'read_old', 'reporting')
UNION ALL
SELECT format('%s %s', CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END, c.oid::regclass),
       concat(c.relowner::regrole, ' ', c.relacl::text)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ('log', 'library', 'credentials', 'access', 'webhooks', 'batches', 'proof', 'read', 'read_next', 'read_old', 'reporting') AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
UNION ALL
SELECT format('function %s', p.oid::regproc), concat(p.proowner::regrole, ' ', p.proacl::text)
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname IN ('log', 'library', 'credentials', 'access', 'webhooks', 'batches', 'proof', 'read', 'read_next', 'read_old', 'reporting')
UNION ALL
SELECT 'database', concat(d.datdba::regrole, ' ', d.datacl::text) FROM pg_database d WHERE d.datname = current_database()
