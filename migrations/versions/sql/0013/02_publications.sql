-- How far each topic is published. Lag shows it, and a topic that was made anew is recognised by it. It does not decide
-- where a publisher resumes: the topic itself does (ADR 0031).
SET LOCAL ROLE daybook_owner;

CREATE TABLE log.publications (
    log          integer NOT NULL REFERENCES log.logs,
    topic        text COLLATE "C" NOT NULL CHECK (length(topic) BETWEEN 1 AND 249),
    cluster_id   text COLLATE "C",
    topic_id     text COLLATE "C",
    position     bigint NOT NULL CHECK (position >= 0),
    published_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    waiting      text,
    PRIMARY KEY (log, topic)
) WITH (fillfactor = 50);  -- updated in place (HOT) by every transaction of a publisher
COMMENT ON TABLE log.publications IS 'The topics on Kafka that a log is published to. Publishers record how far each topic is.';
COMMENT ON COLUMN log.publications.cluster_id IS 'Cluster of the topic. NULL as long as no publisher has reached it.';
COMMENT ON COLUMN log.publications.topic_id IS 'Id that Kafka gave the topic: one that is made anew has another.';
COMMENT ON COLUMN log.publications.position IS 'Position of the last event that the topic has for certain.';
COMMENT ON COLUMN log.publications.published_at IS 'When the publisher recorded the position.';
COMMENT ON COLUMN log.publications.waiting IS 'Why nothing is published, in one sentence. NULL while it is.';

-- Which topic it is, is kept from the first call on that names it. A publisher that was replaced may call late, so the
-- position never falls.
CREATE FUNCTION log.keep_publication(
    p_log integer, p_topic text, p_cluster_id text, p_topic_id text, p_position bigint, p_waiting text
) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO log.publications AS p (log, topic, cluster_id, topic_id, position, waiting)
    VALUES (p_log, p_topic, p_cluster_id, p_topic_id, p_position, left(p_waiting, 1000))
    ON CONFLICT (log, topic) DO UPDATE
       SET cluster_id = coalesce(p.cluster_id, excluded.cluster_id), topic_id = coalesce(p.topic_id, excluded.topic_id),
           position = greatest(p.position, excluded.position), waiting = excluded.waiting,
           published_at = CASE WHEN excluded.waiting IS NULL THEN excluded.published_at ELSE p.published_at END;
$$;

-- Which keys of people have changed since a snapshot. A number from a sequence could become visible after a higher one; a
-- transaction that is older than the xmin of a snapshot has ended. Whoever destroys a key sets it too.
ALTER TABLE log.subject_keys ADD COLUMN changed_by bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
COMMENT ON COLUMN log.subject_keys.changed_by IS 'The transaction that stored or destroyed the key. Without meaning in another server.';
-- Rows come in the order of their transactions, so a few bytes for some pages tell where the youngest are.
CREATE INDEX subject_keys_by_change ON log.subject_keys USING brin (changed_by)
    WITH (pages_per_range = 16, autosummarize = on);

RESET ROLE;
