-- Some things hold only from a position on, because older events were written before the rule. `daybook verify` must
-- know that position: what is older is not covered, what is younger and breaks the rule is a finding.
SET LOCAL ROLE daybook_owner;

CREATE TABLE IF NOT EXISTS log.eras (
    log      integer,
    name     text COLLATE "C",
    position bigint,
    PRIMARY KEY (log, name)
);
ALTER TABLE log.eras ALTER COLUMN position SET NOT NULL;
COMMENT ON TABLE log.eras IS 'After which position of a log a rule holds. A log without a row has kept the rule from its first event.';
COMMENT ON COLUMN log.eras.name IS 'The rule: metadata.key: the metadata of every unit names the key of its command.';
COMMENT ON COLUMN log.eras.position IS 'Head of the log when the rule came into force.';

-- The lock on the heads waits for appends under way, so that the position is the last of the old form.
WITH heads AS (SELECT log, position FROM log.logs FOR UPDATE)
INSERT INTO log.eras (log, name, position) SELECT log, 'metadata.key', position FROM heads;

GRANT SELECT ON log.eras TO daybook_api, daybook_projector;

RESET ROLE;
