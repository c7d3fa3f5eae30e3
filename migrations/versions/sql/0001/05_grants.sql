-- Nobody but the owner writes the log. PUBLIC may not even call the functions.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA log FROM PUBLIC;
GRANT USAGE ON SCHEMA log TO daybook_api, daybook_projector;
GRANT SELECT ON ALL TABLES IN SCHEMA log TO daybook_api;
GRANT SELECT ON log.logs, log.events, log.events_as_json, log.commands, log.subject_keys TO daybook_projector;
GRANT USAGE ON SEQUENCE log.numbers TO daybook_api;
GRANT EXECUTE ON FUNCTION log.append, log.lock_head, log.create_log, log.keep_subject_keys TO daybook_api;
