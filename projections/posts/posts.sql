-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE posts (
    version        bigint NOT NULL,
    position       bigint NOT NULL,
    drafted_at     timestamptz NOT NULL,
    last_position  bigint NOT NULL,
    last_at        timestamptz NOT NULL,
    revision       integer NOT NULL,
    text_erased    boolean NOT NULL,
    deleted        boolean NOT NULL,
    reason_erased  boolean NOT NULL,
    published_at   timestamptz,
    publish_at     timestamptz,
    post           text COLLATE "C" NOT NULL,
    author         text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL,
    slug           text COLLATE "C",
    title          text,
    body           text,
    reason         text,
    scheduled_slug text COLLATE "C",
    PRIMARY KEY (post)
);

CREATE INDEX posts_by_slug ON posts (slug) WHERE slug IS NOT NULL;
CREATE INDEX posts_deleted_in_order ON posts (position) WHERE deleted;
CREATE INDEX posts_in_order ON posts (position) WHERE NOT deleted;
CREATE INDEX posts_in_status ON posts (status, position) WHERE NOT deleted;
CREATE INDEX posts_of_author ON posts (author, position);

COMMENT ON TABLE posts IS 'One row a post, as it is now; deleted ones too.';
COMMENT ON COLUMN posts.post IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN posts.author IS 'Who wrote it.';
COMMENT ON COLUMN posts.status IS 'draft, published or archived; of a deleted post what it would be if it were restored.';
COMMENT ON COLUMN posts.slug IS 'Its address since it was last published.';
COMMENT ON COLUMN posts.title IS 'Title of the present revision. NULL once the author was erased.';
COMMENT ON COLUMN posts.body IS 'Text of the present revision. NULL once the author was erased.';
COMMENT ON COLUMN posts.revision IS 'Number of the present revision; the draft is 1.';
COMMENT ON COLUMN posts.text_erased IS 'Whether title and text are gone with their author''s key.';
COMMENT ON COLUMN posts.deleted IS 'Whether it is deleted; it can be restored.';
COMMENT ON COLUMN posts.reason IS 'Why it was deleted. NULL if it is not, and once the author was erased.';
COMMENT ON COLUMN posts.reason_erased IS 'Whether the reason is gone with the author''s key.';
COMMENT ON COLUMN posts.published_at IS 'When it was last published, UTC.';
COMMENT ON COLUMN posts.publish_at IS 'When it will be published, UTC. NULL if it is not scheduled.';
COMMENT ON COLUMN posts.scheduled_slug IS 'Under which slug it will be published. NULL if it is not scheduled.';
COMMENT ON COLUMN posts.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN posts.position IS 'Position in the log of its draft.';
COMMENT ON COLUMN posts.drafted_at IS 'When it was drafted, UTC.';
COMMENT ON COLUMN posts.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN posts.last_at IS 'When its last event was recorded, UTC.';

CREATE TABLE post_revisions (
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    revision    integer NOT NULL,
    text_erased boolean NOT NULL,
    erasure     bigint,
    post        text COLLATE "C" NOT NULL,
    title       text,
    body        text,
    summary     text,
    PRIMARY KEY (post, revision)
);

COMMENT ON TABLE post_revisions IS 'One row a revision of a post. A row only loses its text, once the author was erased.';
COMMENT ON COLUMN post_revisions.post IS 'The post.';
COMMENT ON COLUMN post_revisions.revision IS 'Its number; the draft is 1.';
COMMENT ON COLUMN post_revisions.title IS 'NULL once the author was erased.';
COMMENT ON COLUMN post_revisions.body IS 'NULL once the author was erased.';
COMMENT ON COLUMN post_revisions.summary IS 'What was changed. NULL if the author did not say, and once the author was erased.';
COMMENT ON COLUMN post_revisions.text_erased IS 'Whether its texts are gone with their author''s key.';
COMMENT ON COLUMN post_revisions.position IS 'Position in the log.';
COMMENT ON COLUMN post_revisions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN post_revisions.erasure IS 'Position in the log at which its text was erased. NULL before.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.posts AS
SELECT t.post, t.author, CASE WHEN t.deleted THEN 'deleted' ELSE t.status END AS status, t.slug, t.title, t.body,
       t.revision, t.text_erased, t.deleted, t.reason AS delete_reason, t.published_at, t.version, t.position,
       t.drafted_at, t.last_position, t.last_at, t.publish_at, t.scheduled_slug
  FROM read.posts t;

COMMENT ON VIEW reporting.posts IS 'One row a post, as it is now; deleted ones too.';
COMMENT ON COLUMN reporting.posts.post IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.posts.author IS 'Who wrote it.';
COMMENT ON COLUMN reporting.posts.status IS 'draft, published, archived or deleted.';
COMMENT ON COLUMN reporting.posts.slug IS 'Its address since it was last published.';
COMMENT ON COLUMN reporting.posts.title IS 'Title of the present revision. NULL once the author was erased.';
COMMENT ON COLUMN reporting.posts.body IS 'Text of the present revision. NULL once the author was erased.';
COMMENT ON COLUMN reporting.posts.revision IS 'Number of the present revision; the draft is 1.';
COMMENT ON COLUMN reporting.posts.text_erased IS 'Whether title and text are gone with their author''s key.';
COMMENT ON COLUMN reporting.posts.deleted IS 'Whether it is deleted; it can be restored.';
COMMENT ON COLUMN reporting.posts.delete_reason IS 'Why it was deleted. NULL if it is not, and once the author was erased.';
COMMENT ON COLUMN reporting.posts.published_at IS 'When it was last published, UTC.';
COMMENT ON COLUMN reporting.posts.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.posts.position IS 'Position in the log of its draft.';
COMMENT ON COLUMN reporting.posts.drafted_at IS 'When it was drafted, UTC.';
COMMENT ON COLUMN reporting.posts.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.posts.last_at IS 'When its last event was recorded, UTC.';
COMMENT ON COLUMN reporting.posts.publish_at IS 'When it will be published, UTC. NULL if it is not scheduled.';
COMMENT ON COLUMN reporting.posts.scheduled_slug IS 'Under which slug it will be published. NULL if it is not scheduled.';

CREATE OR REPLACE VIEW reporting.post_revisions AS
SELECT t.post, t.revision, t.title, t.body, t.summary, t.text_erased, t.position, t.recorded_at,
       coalesce(t.erasure, t.position) AS last_position
  FROM read.post_revisions t;

COMMENT ON VIEW reporting.post_revisions IS 'One row a revision of a post.';
COMMENT ON COLUMN reporting.post_revisions.post IS 'The post.';
COMMENT ON COLUMN reporting.post_revisions.revision IS 'Its number; the draft is 1.';
COMMENT ON COLUMN reporting.post_revisions.title IS 'NULL once the author was erased.';
COMMENT ON COLUMN reporting.post_revisions.body IS 'NULL once the author was erased.';
COMMENT ON COLUMN reporting.post_revisions.summary IS 'What was changed. NULL if the author did not say, and once the author was erased.';
COMMENT ON COLUMN reporting.post_revisions.text_erased IS 'Whether its texts are gone with their author''s key.';
COMMENT ON COLUMN reporting.post_revisions.position IS 'Position in the log.';
COMMENT ON COLUMN reporting.post_revisions.recorded_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.post_revisions.last_position IS 'Position in the log of the last event that changed this row.';
