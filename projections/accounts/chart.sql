-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE chart_nodes (
    position      bigint NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    accounts      integer NOT NULL,
    level         smallint NOT NULL,
    removed       boolean NOT NULL,
    node          text COLLATE "C" NOT NULL,
    title         text COLLATE "C" NOT NULL,
    type          text COLLATE "C" NOT NULL,
    side          text COLLATE "C" NOT NULL,
    path          text COLLATE "C" NOT NULL,
    parent        text COLLATE "C",
    kinds         json,
    allowed       json,
    PRIMARY KEY (node)
);

COMMENT ON TABLE chart_nodes IS 'One row a node of the chart of accounts, as it is now or was when it was removed.';
COMMENT ON COLUMN chart_nodes.node IS 'The code of the node.';
COMMENT ON COLUMN chart_nodes.title IS 'What it is called. It names no person.';
COMMENT ON COLUMN chart_nodes.type IS 'asset, liability, equity, income or expense: that of its root.';
COMMENT ON COLUMN chart_nodes.side IS 'debit or credit: on which its balance usually is. A contra node has not that of its type.';
COMMENT ON COLUMN chart_nodes.parent IS 'The node above it. NULL for a root.';
COMMENT ON COLUMN chart_nodes.path IS 'The codes of the nodes from its root to itself, with / between them.';
COMMENT ON COLUMN chart_nodes.level IS 'Its level: 1 for a root.';
COMMENT ON COLUMN chart_nodes.kinds IS 'The kinds of transactions that it takes by its own rule. NULL: those of its parent.';
COMMENT ON COLUMN chart_nodes.allowed IS 'The kinds that it takes by its own rule or that of a node above it. NULL: all.';
COMMENT ON COLUMN chart_nodes.accounts IS 'How many accounts are attached to it, without those of the nodes below it.';
COMMENT ON COLUMN chart_nodes.removed IS 'Whether it was removed. A node can be added again under its code.';
COMMENT ON COLUMN chart_nodes.position IS 'Position in the log of its adding.';
COMMENT ON COLUMN chart_nodes.last_position IS 'Position in the log of the last event that changed this row.';
COMMENT ON COLUMN chart_nodes.last_at IS 'When that event was recorded, UTC.';

CREATE TABLE chart_accounts (
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    account     text COLLATE "C" NOT NULL,
    node        text COLLATE "C",
    PRIMARY KEY (account)
);

CREATE INDEX chart_accounts_of_node ON chart_accounts (node, position);

COMMENT ON TABLE chart_accounts IS 'One row an account that is or was attached to a node of the chart of accounts.';
COMMENT ON COLUMN chart_accounts.account IS 'The account.';
COMMENT ON COLUMN chart_accounts.node IS 'The node that it is attached to. NULL: it was detached.';
COMMENT ON COLUMN chart_accounts.position IS 'Position in the log of its last attachment or detachment.';
COMMENT ON COLUMN chart_accounts.recorded_at IS 'When that was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.chart_nodes AS
SELECT t.node, t.title, t.type, t.side, t.parent, t.path, t.level, t.kinds, t.allowed, t.accounts, t.removed,
       t.position, t.last_position, t.last_at
  FROM read.chart_nodes t;

COMMENT ON VIEW reporting.chart_nodes IS 'One row a node of the chart of accounts, as it is now or was when it was removed.';
COMMENT ON COLUMN reporting.chart_nodes.node IS 'The code of the node.';
COMMENT ON COLUMN reporting.chart_nodes.title IS 'What it is called. It names no person.';
COMMENT ON COLUMN reporting.chart_nodes.type IS 'asset, liability, equity, income or expense: that of its root.';
COMMENT ON COLUMN reporting.chart_nodes.side IS 'debit or credit: on which its balance usually is. A contra node has not that of its type.';
COMMENT ON COLUMN reporting.chart_nodes.parent IS 'The node above it. NULL for a root.';
COMMENT ON COLUMN reporting.chart_nodes.path IS 'The codes of the nodes from its root to itself, with / between them.';
COMMENT ON COLUMN reporting.chart_nodes.level IS 'Its level: 1 for a root.';
COMMENT ON COLUMN reporting.chart_nodes.kinds IS 'The kinds of transactions that it takes by its own rule. NULL: those of its parent.';
COMMENT ON COLUMN reporting.chart_nodes.allowed IS 'The kinds that it takes by its own rule or that of a node above it. NULL: all.';
COMMENT ON COLUMN reporting.chart_nodes.accounts IS 'How many accounts are attached to it, without those of the nodes below it.';
COMMENT ON COLUMN reporting.chart_nodes.removed IS 'Whether it was removed. A node can be added again under its code.';
COMMENT ON COLUMN reporting.chart_nodes.position IS 'Position in the log of its adding.';
COMMENT ON COLUMN reporting.chart_nodes.last_position IS 'Position in the log of the last event that changed this row.';
COMMENT ON COLUMN reporting.chart_nodes.last_at IS 'When that event was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.chart_accounts AS
SELECT t.account, t.node, t.position, t.recorded_at, t.position AS last_position
  FROM read.chart_accounts t;

COMMENT ON VIEW reporting.chart_accounts IS 'One row an account that is or was attached to a node of the chart of accounts.';
COMMENT ON COLUMN reporting.chart_accounts.account IS 'The account.';
COMMENT ON COLUMN reporting.chart_accounts.node IS 'The node that it is attached to. NULL: it was detached.';
COMMENT ON COLUMN reporting.chart_accounts.position IS 'Position in the log of its last attachment or detachment.';
COMMENT ON COLUMN reporting.chart_accounts.recorded_at IS 'When that was recorded, UTC.';
COMMENT ON COLUMN reporting.chart_accounts.last_position IS 'Position in the log of the last event that changed this row.';
