-- From here on values are sealed by version 2 (ADR 0014). A value of version 1 behind the position recorded here was put
-- there by somebody, or by an older program that was not stopped: daybook verify finds it. A log that is made later has no
-- row and no value of version 1.
CREATE TABLE log.sealing_versions (
    log            integer NOT NULL,
    version        smallint NOT NULL,
    after_position bigint NOT NULL,
    PRIMARY KEY (log, version)
);
COMMENT ON TABLE log.sealing_versions IS 'Since when personal values are sealed by a version: all events after this position.';

INSERT INTO log.sealing_versions (log, version, after_position) SELECT log, 2, position FROM log.logs;
