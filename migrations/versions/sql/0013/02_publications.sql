-- How far each topic is published. It is what lag shows, and what tells a topic from one that was made anew. It does not
-- decide where publishing goes on: the topic itself does (ADR 0031).
SET LOCAL ROLE daybook_owner;

CREATE TABLE log.publications (
    log          integer NOT NULL REFERENCES log.logs,
    topic        text COLLATE "C" NOT NULL CHECK (length(topic) BETWEEN 1 AND 249),
    cluster_id   text COLLATE "C" NOT NULL,
    topic_id     text COLLATE "C" NOT NULL,
    position     bigint NOT NULL CHECK (position >= 0),
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    waiting      text,
    PRIMARY KEY (log, topic)
) WITH (fillfactor = 50);  -- updated in place (HOT) by every transaction of a publisher
COMMENT ON TABLE log.publications IS 'The topics that a log is published to on Kafka, as far as their publishers have said.';
COMMENT ON COLUMN log.publications.position IS 'Position of the last event that the topic has for certain.';
COMMENT ON COLUMN log.publications.published_at IS 'When the publisher said so.';
COMMENT ON COLUMN log.publications.waiting IS 'Why nothing is published, in one sentence. NULL while it is.';

-- p_cluster_id and p_topic_id are kept from the first call on. A publisher that was replaced may call late, so the
-- position never falls.
CREATE FUNCTION log.keep_publication(
    p_log integer, p_topic text, p_cluster_id text, p_topic_id text, p_position bigint, p_waiting text
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO log.publications AS p (log, topic, cluster_id, topic_id, position, waiting)
    VALUES (p_log, p_topic, p_cluster_id, p_topic_id, p_position, left(p_waiting, 1000))
    ON CONFLICT (log, topic) DO UPDATE
       SET position = greatest(p.position, excluded.position), waiting = excluded.waiting, published_at = excluded.published_at;
$$;

-- Which keys of people are new since a snapshot. A number from a sequence could become visible after a higher one; a
-- transaction that is older than the xmin of a snapshot has ended. Erasing a key is an event, and needs no such mark.
ALTER TABLE log.subject_keys ADD COLUMN made_by xid8 NOT NULL DEFAULT pg_current_xact_id();
COMMENT ON COLUMN log.subject_keys.made_by IS 'The transaction that stored the key first. It has no meaning in another server.';
CREATE INDEX subject_keys_by_transaction ON log.subject_keys (log, made_by);

RESET ROLE;
