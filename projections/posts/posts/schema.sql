CREATE TABLE posts (
    version       bigint NOT NULL,
    position      bigint NOT NULL,  -- of its draft
    drafted_at    timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    published_at  timestamptz,      -- last
    revision      integer NOT NULL,
    text_erased   boolean NOT NULL, -- of the present revision
    deleted       boolean NOT NULL,
    reason_erased boolean NOT NULL,
    post          text COLLATE "C" PRIMARY KEY,
    author        text COLLATE "C" NOT NULL,
    status        text COLLATE "C" NOT NULL, -- draft, published or archived; of a deleted one what it was and would be
    slug          text COLLATE "C",
    title         text,
    body          text,
    reason        text              -- why it was deleted
);

CREATE INDEX posts_by_author ON posts (author, post);
CREATE INDEX posts_by_status ON posts (status, post) WHERE NOT deleted;
CREATE INDEX posts_deleted ON posts (post) WHERE deleted;
-- Not unique: within a page one post may take the slug that another gives back. That it is unique is a claim's matter.
CREATE INDEX posts_by_slug ON posts (slug) WHERE slug IS NOT NULL;

CREATE TABLE post_revisions (
    position    bigint NOT NULL,
    recorded_at timestamptz NOT NULL,
    revision    integer NOT NULL,
    text_erased boolean NOT NULL,
    post        text COLLATE "C" NOT NULL,
    title       text,
    body        text,
    summary     text,
    PRIMARY KEY (post, revision)
);
