-- From here on owners, customers, authors, references and metadata are codes (ADR 0026). The lock on the heads waits for
-- appends under way, so that the position is the last of the old form.
SET LOCAL ROLE daybook_owner;

WITH heads AS (SELECT log, position FROM log.logs FOR UPDATE)
INSERT INTO log.eras (log, name, position) SELECT log, 'codes', position FROM heads;

COMMENT ON COLUMN log.eras.name IS 'The rule. sealing.2: personal values are sealed by version 2. metadata.key: the metadata of every unit names the key of its command. command.refused: the unit of a refused command ends with the event of the refusal. codes: texts that are matched by are codes.';

RESET ROLE;
