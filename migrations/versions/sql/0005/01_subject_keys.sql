-- The keys of people are kept over a connection of their own, also while the executor holds the head of the log to decide
-- (log.lock_head). The check of a foreign key to log.logs would wait for that row, and so for its own executor, until a
-- timeout ends it; and at any time it would wait for the append under way, and the next append for its flush. The number
-- of a log comes from log.create_log, and logs are never removed: as with snapshots, there is nothing to check.
ALTER TABLE log.subject_keys DROP CONSTRAINT subject_keys_log_fkey;
