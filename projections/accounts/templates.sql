-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE templates (
    version       bigint NOT NULL,
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    last          integer NOT NULL,
    newest        integer,
    template      text COLLATE "C" NOT NULL,
    name          text COLLATE "C" NOT NULL UNIQUE,
    PRIMARY KEY (template)
);

CREATE INDEX templates_in_order ON templates (position);

COMMENT ON TABLE templates IS 'One row a template, with the version that postings use.';
COMMENT ON COLUMN templates.template IS 'The name of its stream in the log.';
COMMENT ON COLUMN templates.name IS 'The name by which it is posted.';
COMMENT ON COLUMN templates.newest IS 'The newest version that can be posted. NULL if all are retired.';
COMMENT ON COLUMN templates.last IS 'The number of the last version that was defined.';
COMMENT ON COLUMN templates.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN templates.position IS 'Position in the log of its first version.';
COMMENT ON COLUMN templates.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN templates.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE template_versions (
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    number      integer NOT NULL,
    template    text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    definition  json NOT NULL,
    PRIMARY KEY (template, number)
);

COMMENT ON TABLE template_versions IS 'One row a version of a template. Rows are never changed.';
COMMENT ON COLUMN template_versions.template IS 'The name of its stream in the log.';
COMMENT ON COLUMN template_versions.number IS 'The number of the version, from 1.';
COMMENT ON COLUMN template_versions.name IS 'The name of the template.';
COMMENT ON COLUMN template_versions.kind IS 'The kind of the transactions.';
COMMENT ON COLUMN template_versions.definition IS 'Parameters, amounts and entries as a JSON object, with decimal strings.';
COMMENT ON COLUMN template_versions.position IS 'Position in the log of its definition.';
COMMENT ON COLUMN template_versions.recorded_at IS 'When it was recorded, UTC.';

CREATE TABLE template_retirements (
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    number      integer NOT NULL,
    template    text COLLATE "C" NOT NULL,
    PRIMARY KEY (template, number)
);

COMMENT ON TABLE template_retirements IS 'One row a version of a template that was retired. Rows are never changed.';
COMMENT ON COLUMN template_retirements.template IS 'The name of its stream in the log.';
COMMENT ON COLUMN template_retirements.number IS 'The number of the version that cannot be posted any more.';
COMMENT ON COLUMN template_retirements.position IS 'Position in the log of its retirement.';
COMMENT ON COLUMN template_retirements.recorded_at IS 'When it was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.templates AS
SELECT t.template, t.name, t.newest, t.last, t.version, t.position, t.last_position, t.last_at
  FROM read.templates t;

COMMENT ON VIEW reporting.templates IS 'One row a template, with the version that postings use.';
COMMENT ON COLUMN reporting.templates.template IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.templates.name IS 'The name by which it is posted.';
COMMENT ON COLUMN reporting.templates.newest IS 'The newest version that can be posted. NULL if all are retired.';
COMMENT ON COLUMN reporting.templates.last IS 'The number of the last version that was defined.';
COMMENT ON COLUMN reporting.templates.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.templates.position IS 'Position in the log of its first version.';
COMMENT ON COLUMN reporting.templates.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.templates.last_at IS 'When its last event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.template_versions AS
SELECT t.template, t.number, t.name, t.kind, t.definition, t.position, t.recorded_at, t.position AS last_position
  FROM read.template_versions t;

COMMENT ON VIEW reporting.template_versions IS 'One row a version of a template.';
COMMENT ON COLUMN reporting.template_versions.template IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.template_versions.number IS 'The number of the version, from 1.';
COMMENT ON COLUMN reporting.template_versions.name IS 'The name of the template.';
COMMENT ON COLUMN reporting.template_versions.kind IS 'The kind of the transactions.';
COMMENT ON COLUMN reporting.template_versions.definition IS 'Parameters, amounts and entries as a JSON object, with decimal strings.';
COMMENT ON COLUMN reporting.template_versions.position IS 'Position in the log of its definition.';
COMMENT ON COLUMN reporting.template_versions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.template_versions.last_position IS 'Position in the log of the last event that changed this row.';

CREATE OR REPLACE VIEW reporting.template_retirements AS
SELECT t.template, t.number, t.position, t.recorded_at, t.position AS last_position
  FROM read.template_retirements t;

COMMENT ON VIEW reporting.template_retirements IS 'One row a version of a template that was retired.';
COMMENT ON COLUMN reporting.template_retirements.template IS 'The name of its stream in the log.';
COMMENT ON COLUMN reporting.template_retirements.number IS 'The number of the version that cannot be posted any more.';
COMMENT ON COLUMN reporting.template_retirements.position IS 'Position in the log of its retirement.';
COMMENT ON COLUMN reporting.template_retirements.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.template_retirements.last_position IS 'Position in the log of the last event that changed this row.';
