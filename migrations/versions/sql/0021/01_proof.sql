-- The transparency log over the event log (ADR 0068): a Merkle tree whose leaves are the canonical leaves of migration
-- 0008, stored as tiles, and its signed checkpoints.
--
-- A tile has up to 256 hashes. Hashes are only added at its end, so that a partial tile of an earlier checkpoint is the
-- beginning of the row. The functions are all that a sealer may call: they add to tiles and never change them. Rows
-- have no foreign key to log.logs: its check would lock the head row, which every append updates.
CREATE SCHEMA proof AUTHORIZATION daybook_owner;
SET LOCAL ROLE daybook_owner;
COMMENT ON SCHEMA proof IS 'The transparency log: what proves to others that the log was not changed.';

CREATE TABLE proof.trees (
    log    integer PRIMARY KEY,
    origin text COLLATE "C" NOT NULL CHECK (length(origin) BETWEEN 1 AND 255),
    size   bigint NOT NULL DEFAULT 0 CHECK (size >= 0)
) WITH (fillfactor = 50);  -- updated in place (HOT) by every window
COMMENT ON TABLE proof.trees IS 'How much of each log is sealed.';
COMMENT ON COLUMN proof.trees.log IS 'Number of the log.';
COMMENT ON COLUMN proof.trees.origin IS 'The first line of its checkpoints, which names the log to verifiers. It never changes.';
COMMENT ON COLUMN proof.trees.size IS 'Leaves of the tree: the events up to this position are sealed.';

CREATE TABLE proof.tiles (
    log    integer NOT NULL,
    level  smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
    number bigint NOT NULL CHECK (number >= 0),
    hashes bytea NOT NULL CHECK (octet_length(hashes) >= 32 AND octet_length(hashes) <= 8192 AND octet_length(hashes) % 32 = 0),
    PRIMARY KEY (log, level, number)
);
ALTER TABLE proof.tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;  -- hashes do not become smaller
COMMENT ON TABLE proof.tiles IS 'The tiles of the tree, as C2SP tlog-tiles defines them.';
COMMENT ON COLUMN proof.tiles.log IS 'Number of the log.';
COMMENT ON COLUMN proof.tiles.level IS '0 for hashes of leaves; above that each hash is of a full tile of the level below.';
COMMENT ON COLUMN proof.tiles.number IS 'Number of the tile within the level, from 0.';
COMMENT ON COLUMN proof.tiles.hashes IS 'Hashes of 32 bytes, joined: 256 in a full tile.';

CREATE TABLE proof.keys (
    log      integer NOT NULL,
    number   integer NOT NULL CHECK (number > 0),
    verifier text COLLATE "C" NOT NULL,
    since    timestamptz NOT NULL,
    size     bigint NOT NULL CHECK (size >= 0),
    PRIMARY KEY (log, number),
    UNIQUE (log, verifier)
);
COMMENT ON TABLE proof.keys IS 'The public keys that checkpoints were signed with. The one with the highest number signs.';
COMMENT ON COLUMN proof.keys.log IS 'Number of the log.';
COMMENT ON COLUMN proof.keys.number IS 'Number of the key, from 1.';
COMMENT ON COLUMN proof.keys.verifier IS 'The public key as text: name, id and base64.';
COMMENT ON COLUMN proof.keys.since IS 'When it was first used.';
COMMENT ON COLUMN proof.keys.size IS 'Leaves of the tree at that moment: later checkpoints are signed by it, until the next key.';

CREATE TABLE proof.checkpoints (
    log       integer NOT NULL,
    size      bigint NOT NULL CHECK (size > 0),
    root      bytea NOT NULL CHECK (octet_length(root) = 32),
    note      text COLLATE "C" NOT NULL CHECK (length(note) BETWEEN 1 AND 65536),
    signed_at timestamptz NOT NULL,
    PRIMARY KEY (log, size)
);
COMMENT ON TABLE proof.checkpoints IS 'The signed heads of the tree.';
COMMENT ON COLUMN proof.checkpoints.log IS 'Number of the log.';
COMMENT ON COLUMN proof.checkpoints.size IS 'Leaves of the tree: the checkpoint covers the events up to this position, which ends a unit.';
COMMENT ON COLUMN proof.checkpoints.root IS 'Root of the tree.';
COMMENT ON COLUMN proof.checkpoints.note IS 'The signed note.';
COMMENT ON COLUMN proof.checkpoints.signed_at IS 'When it was signed.';

-- The hashes of leaves after a position up to another, joined in order. A sealer sees no more of the log.
CREATE FUNCTION proof.leaf_hashes(p_log integer, p_after bigint, p_upto bigint) RETURNS bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(h.hash, ''::bytea ORDER BY h.position), ''::bytea)
      FROM log.leaf_hashes(p_log, p_after, p_upto) AS h
$$;

-- Begin a tree unless there is one. Returns its origin.
CREATE FUNCTION proof.begin_tree(p_log integer, p_origin text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO proof.trees (log, origin) SELECT l.log, p_origin FROM log.logs l WHERE l.log = p_log
        ON CONFLICT DO NOTHING;
    RETURN (SELECT t.origin FROM proof.trees t WHERE t.log = p_log);
END
$$;

-- Add hashes at the end of tiles. False if the tree does not have the size that the sealer believed: another one was
-- there first. The row of the tree is locked from here to the end of the transaction, so sealers come one after another.
CREATE FUNCTION proof.grow(
    p_log integer, p_after bigint, p_upto bigint, p_levels smallint[], p_numbers bigint[], p_hashes bytea[]
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF p_upto > (SELECT l.position FROM log.logs l WHERE l.log = p_log) THEN
        RAISE EXCEPTION 'the tree would have more leaves (%) than the log has events', p_upto;
    END IF;
    UPDATE proof.trees SET size = p_upto WHERE log = p_log AND size = p_after AND p_after < p_upto;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO proof.tiles AS t (log, level, number, hashes)
    SELECT p_log, g.level, g.number, g.hashes FROM unnest(p_levels, p_numbers, p_hashes) AS g(level, number, hashes)
        ON CONFLICT (log, level, number) DO UPDATE SET hashes = t.hashes || excluded.hashes;
    -- Each level has got as many hashes as the tree has more of, and each tile up to where it should be.
    IF EXISTS (
        SELECT FROM generate_series(0, 7) AS l(level)
          LEFT JOIN (SELECT g.level, sum(octet_length(g.hashes)) / 32 AS added
                       FROM unnest(p_levels, p_numbers, p_hashes) AS g(level, number, hashes) GROUP BY g.level) AS a
            ON a.level = l.level
         WHERE coalesce(a.added, 0) <> (p_upto >> 8 * l.level) - (p_after >> 8 * l.level)
    ) OR EXISTS (
        SELECT FROM unnest(p_levels, p_numbers) AS g(level, number)
          JOIN proof.tiles t ON t.log = p_log AND t.level = g.level AND t.number = g.number
         WHERE octet_length(t.hashes) / 32 <> least(256, (p_upto >> 8 * g.level) - g.number * 256)
    ) THEN
        RAISE EXCEPTION 'these are not the hashes that a tree of % leaves needs after one of %', p_upto, p_after;
    END IF;
    RETURN true;
END
$$;

-- Note a key that signs from now on, unless it is known. Returns the number of the key.
CREATE FUNCTION proof.keep_key(p_log integer, p_verifier text, p_since timestamptz) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sealed bigint := (SELECT t.size FROM proof.trees t WHERE t.log = p_log FOR UPDATE);
BEGIN
    INSERT INTO proof.keys (log, number, verifier, since, size)
    SELECT p_log, coalesce(max(k.number), 0) + 1, p_verifier, p_since, sealed FROM proof.keys k WHERE k.log = p_log
        ON CONFLICT (log, verifier) DO NOTHING;
    RETURN (SELECT k.number FROM proof.keys k WHERE k.log = p_log AND k.verifier = p_verifier);
END
$$;

-- Keep a checkpoint of what is sealed. False if there is one of this size or of a larger one.
CREATE FUNCTION proof.keep_checkpoint(p_log integer, p_size bigint, p_root bytea, p_note text, p_signed_at timestamptz)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM proof.trees t WHERE t.log = p_log AND t.size >= p_size FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tree has fewer leaves than this checkpoint (%)', p_size;
    END IF;
    IF EXISTS (SELECT FROM proof.checkpoints c WHERE c.log = p_log AND c.size >= p_size) THEN
        RETURN false;
    END IF;
    INSERT INTO proof.checkpoints (log, size, root, note, signed_at) VALUES (p_log, p_size, p_root, p_note, p_signed_at);
    RETURN true;
END
$$;

RESET ROLE;
