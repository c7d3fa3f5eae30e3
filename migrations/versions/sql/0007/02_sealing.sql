-- Some rules hold only from a position on, because older events were written before the rule. `daybook verify` must know
-- that position: what is older is not covered, what is younger and breaks the rule is a finding.
CREATE TABLE log.eras (
    log      integer NOT NULL,
    name     text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (log, name)
);
COMMENT ON TABLE log.eras IS 'After which position of a log a rule holds. A log without a row has kept the rule from its first event.';
COMMENT ON COLUMN log.eras.name IS 'The rule. sealing.2: personal values are sealed by version 2. metadata.key: the metadata of every unit names the key of its command.';
COMMENT ON COLUMN log.eras.position IS 'Head of the log when the rule came into force.';

-- From here on values are sealed by version 2 (ADR 0014). A younger value of version 1 was put there by somebody, or by an
-- older program that was not stopped. The lock on the heads waits for appends under way.
WITH heads AS (SELECT log, position FROM log.logs FOR UPDATE)
INSERT INTO log.eras (log, name, position) SELECT log, 'sealing.2', position FROM heads;
