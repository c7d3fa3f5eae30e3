-- Who may do what with the read tables and the reporting views; run by whoever makes them, again and again.
REVOKE ALL ON ALL TABLES IN SCHEMA read, reporting
  FROM PUBLIC, daybook_owner, daybook_api, daybook_query, daybook_projector, daybook_audit, daybook_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA read TO daybook_query, daybook_projector, daybook_audit;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA read TO daybook_projector;
REVOKE INSERT, UPDATE, DELETE ON read.rooms, read.reports, read.currencies FROM daybook_projector;
GRANT SELECT ON ALL TABLES IN SCHEMA reporting TO daybook_reader, daybook_audit;
