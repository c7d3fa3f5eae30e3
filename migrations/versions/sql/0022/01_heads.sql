-- The heads of streams (ADR 0070): how many events each stream has, as a tree that a checkpoint commits to.
--
-- The heads of a bucket are one row, and so is a tile over the buckets. A later position adds a row. What the last
-- checkpoint with heads commits to stays until the next one was signed, so that a proof is right while the heads of later
-- events are stored in several steps.
SET LOCAL ROLE daybook_owner;

ALTER TABLE proof.trees
    ADD COLUMN heads   bigint NOT NULL DEFAULT 0,
    ADD COLUMN streams bigint NOT NULL DEFAULT 0 CHECK (streams >= 0),
    ADD CHECK (heads BETWEEN 0 AND size);
COMMENT ON COLUMN proof.trees.heads IS 'The heads of streams are stored as they are after this position.';
COMMENT ON COLUMN proof.trees.streams IS 'Streams that the log has up to there.';

ALTER TABLE proof.checkpoints
    ADD COLUMN streams    bigint CHECK (streams > 0),
    ADD COLUMN heads_root bytea CHECK (octet_length(heads_root) = 32),
    ADD CHECK ((streams IS NULL) = (heads_root IS NULL));
COMMENT ON COLUMN proof.checkpoints.streams IS 'Streams at this size, as its extension line has them. NULL if it has no such line.';
COMMENT ON COLUMN proof.checkpoints.heads_root IS 'Root over the heads of streams at this size, as its extension line has it.';
CREATE INDEX checkpoints_with_heads ON proof.checkpoints (log, size) WHERE heads_root IS NOT NULL;

CREATE TABLE proof.heads (
    log    integer NOT NULL,
    bucket integer NOT NULL CHECK (bucket BETWEEN 0 AND 65535),
    size   bigint NOT NULL CHECK (size > 0),
    heads  bytea NOT NULL CHECK (octet_length(heads) > 0 AND octet_length(heads) % 48 = 0),
    PRIMARY KEY (log, bucket, size)
);
ALTER TABLE proof.heads ALTER COLUMN heads SET STORAGE EXTERNAL;  -- hashes do not become smaller
COMMENT ON TABLE proof.heads IS 'The heads of streams by bucket: those of the last commitment, and of later positions while they are stored.';
COMMENT ON COLUMN proof.heads.log IS 'Number of the log.';
COMMENT ON COLUMN proof.heads.bucket IS 'The first two bytes of the keys.';
COMMENT ON COLUMN proof.heads.size IS 'The heads are those after this position, until the row with the next larger size.';
COMMENT ON COLUMN proof.heads.heads IS 'Heads of 48 bytes, joined in ascending order: SHA-256 of the stream''s name, version, position of its last event.';

CREATE TABLE proof.head_tiles (
    log    integer NOT NULL,
    level  smallint NOT NULL CHECK (level IN (0, 1)),
    number smallint NOT NULL CHECK (number BETWEEN 0 AND 255),
    size   bigint NOT NULL CHECK (size > 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (log, level, number, size),
    CHECK (level = 0 OR number = 0)
);
ALTER TABLE proof.head_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE proof.head_tiles IS 'The tiles of the tree over the 65,536 buckets: 256 at level 0, one above.';
COMMENT ON COLUMN proof.head_tiles.log IS 'Number of the log.';
COMMENT ON COLUMN proof.head_tiles.level IS '0: hashes of the roots of buckets. 1: hashes of the tiles of level 0.';
COMMENT ON COLUMN proof.head_tiles.number IS 'Number of the tile within the level, from 0.';
COMMENT ON COLUMN proof.head_tiles.size IS 'The hashes are those after this position, until the row with the next larger size.';
COMMENT ON COLUMN proof.head_tiles.hashes IS '256 hashes of 32 bytes, joined.';

-- The heads of the streams that have events after a position up to another, joined in ascending order. A sealer sees no
-- name of a stream.
CREATE FUNCTION proof.changed_heads(p_log integer, p_after bigint, p_upto bigint) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(h.head, ''::bytea ORDER BY h.head), ''::bytea)
      FROM (SELECT sha256(convert_to(e.stream, 'UTF8')) || int8send(max(e.version)) || int8send(max(e.position)) AS head
              FROM log.events e
             WHERE e.log = p_log AND e.position > p_after AND e.position <= p_upto
             GROUP BY e.stream) AS h
$$;

-- Store the heads of some buckets, and the tiles over them, as they are after a later position. False if the heads have
-- another position by now than the sealer believed: another one was there first, and may have removed what this one read.
-- So each row is true, also if the position is never reached, and what one sealer stores does another one no harm.
CREATE FUNCTION proof.keep_heads(
    p_log integer, p_after bigint, p_upto bigint,
    p_buckets integer[], p_heads bytea[], p_numbers smallint[], p_hashes bytea[]
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    committed bigint;  -- what a reader may ask for
BEGIN
    PERFORM FROM proof.trees t
      WHERE t.log = p_log AND t.heads = p_after AND p_after < p_upto AND p_upto <= t.size FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    committed := coalesce((SELECT max(c.size) FROM proof.checkpoints c
                            WHERE c.log = p_log AND c.heads_root IS NOT NULL), 0);

    -- Two rows stay: the newest one that the last commitment covers, and the newest one up to the position of the heads.
    DELETE FROM proof.heads h
     USING unnest(p_buckets) AS b(bucket)
     WHERE h.log = p_log AND h.bucket = b.bucket
       AND EXISTS (SELECT FROM proof.heads o
                    WHERE o.log = h.log AND o.bucket = h.bucket AND o.size > h.size
                      AND o.size <= CASE WHEN h.size > committed THEN p_after ELSE committed END);
    INSERT INTO proof.heads (log, bucket, size, heads)
    SELECT p_log, b.bucket, p_upto, b.heads FROM unnest(p_buckets, p_heads) AS b(bucket, heads)
        ON CONFLICT (log, bucket, size) DO UPDATE SET heads = excluded.heads;

    DELETE FROM proof.head_tiles t
     USING unnest(p_numbers) AS n(number)
     WHERE t.log = p_log AND t.level = 0 AND t.number = n.number
       AND EXISTS (SELECT FROM proof.head_tiles o
                    WHERE o.log = t.log AND o.level = 0 AND o.number = t.number AND o.size > t.size
                      AND o.size <= CASE WHEN t.size > committed THEN p_after ELSE committed END);
    INSERT INTO proof.head_tiles (log, level, number, size, hashes)
    SELECT p_log, 0, n.number, p_upto, n.hashes FROM unnest(p_numbers, p_hashes) AS n(number, hashes)
        ON CONFLICT (log, level, number, size) DO UPDATE SET hashes = excluded.hashes;
    RETURN true;
END
$$;

-- Note that all heads are stored as they are after a later position, with the tile over all others and the number of
-- streams that came. False if another sealer was there first.
CREATE FUNCTION proof.reach_heads(p_log integer, p_after bigint, p_upto bigint, p_added bigint, p_top bytea)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    committed bigint;
BEGIN
    IF p_added NOT BETWEEN 0 AND p_upto - p_after THEN
        RAISE EXCEPTION 'between the positions % and % cannot come % streams', p_after, p_upto, p_added;
    END IF;
    UPDATE proof.trees SET heads = p_upto, streams = streams + p_added
     WHERE log = p_log AND heads = p_after AND p_after < p_upto AND p_upto <= size;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    committed := coalesce((SELECT max(c.size) FROM proof.checkpoints c
                            WHERE c.log = p_log AND c.heads_root IS NOT NULL), 0);
    DELETE FROM proof.head_tiles t
     WHERE t.log = p_log AND t.level = 1
       AND (t.size > committed
            OR EXISTS (SELECT FROM proof.head_tiles o
                        WHERE o.log = p_log AND o.level = 1 AND o.size > t.size AND o.size <= committed));
    INSERT INTO proof.head_tiles (log, level, number, size, hashes) VALUES (p_log, 1, 0, p_upto, p_top);
    RETURN true;
END
$$;

-- Keep a checkpoint of what is sealed. False if there is one of this size or of a larger one. With the root over the heads
-- of streams also if the stored heads are not those of this size: another sealer went further.
DROP FUNCTION proof.keep_checkpoint(integer, bigint, bytea, text, timestamptz);
CREATE FUNCTION proof.keep_checkpoint(
    p_log integer, p_size bigint, p_root bytea, p_note text, p_signed_at timestamptz, p_heads_root bytea DEFAULT NULL
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tree proof.trees;
BEGIN
    SELECT * INTO tree FROM proof.trees t WHERE t.log = p_log AND t.size >= p_size FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tree has fewer leaves than this checkpoint (%)', p_size;
    END IF;
    IF p_heads_root IS NOT NULL AND tree.heads <> p_size THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM proof.checkpoints c WHERE c.log = p_log AND c.size >= p_size) THEN
        RETURN false;
    END IF;
    INSERT INTO proof.checkpoints (log, size, root, note, signed_at, streams, heads_root)
    VALUES (p_log, p_size, p_root, p_note, p_signed_at,
            CASE WHEN p_heads_root IS NOT NULL THEN tree.streams END, p_heads_root);
    RETURN true;
END
$$;

RESET ROLE;
