CREATE OR REPLACE VIEW reporting.posts AS
SELECT p.post, p.author, CASE WHEN p.deleted THEN 'deleted' ELSE p.status END AS status, p.slug, p.title, p.body,
       p.revision, p.text_erased, p.deleted, p.reason AS delete_reason, p.published_at, p.version, p.position,
       p.drafted_at, p.last_position, p.last_at
  FROM read.posts p;
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
COMMENT ON COLUMN reporting.posts.last_at IS 'When that was recorded, UTC.';

CREATE OR REPLACE VIEW reporting.post_revisions AS
SELECT r.post, r.revision, r.title, r.body, r.summary, r.text_erased, r.position, r.recorded_at
  FROM read.post_revisions r;
COMMENT ON VIEW reporting.post_revisions IS 'One row a revision of a post.';
COMMENT ON COLUMN reporting.post_revisions.post IS 'The post.';
COMMENT ON COLUMN reporting.post_revisions.revision IS 'Its number; the draft is 1.';
COMMENT ON COLUMN reporting.post_revisions.title IS 'NULL once the author was erased.';
COMMENT ON COLUMN reporting.post_revisions.body IS 'NULL once the author was erased.';
COMMENT ON COLUMN reporting.post_revisions.summary IS 'What was changed. NULL if not stated, and once the author was erased.';
COMMENT ON COLUMN reporting.post_revisions.text_erased IS 'Whether its texts are gone with their author''s key.';
COMMENT ON COLUMN reporting.post_revisions.position IS 'Position in the log.';
COMMENT ON COLUMN reporting.post_revisions.recorded_at IS 'When it was recorded, UTC.';
