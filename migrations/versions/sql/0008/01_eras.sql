-- From here on the metadata of every unit names the key of its command (ADR 0015). The lock on the heads waits for appends
-- under way, so that the position is the last of the old form.
SET LOCAL ROLE daybook_owner;

WITH heads AS (SELECT log, position FROM log.logs FOR UPDATE)
INSERT INTO log.eras (log, name, position) SELECT log, 'metadata.key', position FROM heads;

RESET ROLE;
