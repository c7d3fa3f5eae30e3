-- From here on each recorded refusal is on the log as an event (ADR 0021). The lock on the heads waits for appends under
-- way, so that the position is the last one before it.
SET LOCAL ROLE daybook_owner;

COMMENT ON COLUMN log.eras.name IS 'The rule. sealing.2: personal values are sealed by version 2. metadata.key: the metadata of every unit names the key of its command. command.refused: the unit of a refused command ends with the event of the refusal.';
COMMENT ON COLUMN log.commands.first_position IS 'Position of its first event. NULL for a refusal from before refusals were on the log.';

WITH heads AS (SELECT log, position FROM log.logs FOR UPDATE)
INSERT INTO log.eras (log, name, position) SELECT log, 'command.refused', position FROM heads;

RESET ROLE;
