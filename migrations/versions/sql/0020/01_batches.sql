-- The bodies of long batches until they are carried out (ADR 0067).
--
-- They are beside the log, because they can have text about persons and would stay in the log for ever. A row has one
-- part, sealed with a key that is made from the log's own key, the batch, the part and its digest. The digest is in the
-- key of the table, so that two contents that are sent under one number at once do not replace each other: the event of
-- the part names the one that counts. Rows have no foreign key to log.logs: its check would lock the head row, which
-- every append updates.
CREATE SCHEMA batches AUTHORIZATION daybook_owner;
SET LOCAL ROLE daybook_owner;
COMMENT ON SCHEMA batches IS 'What long batches have yet to carry out.';

CREATE TABLE batches.parts (
    log    integer NOT NULL,
    batch  text COLLATE "C" NOT NULL CHECK (batch ~ '^[!-~]{1,100}$'),
    part   integer NOT NULL CHECK (part > 0),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    sender text COLLATE "C" NOT NULL CHECK (sender ~ '^[ -~]{1,200}$'),
    bytes  integer NOT NULL CHECK (bytes > 0),
    sealed bytea NOT NULL,
    PRIMARY KEY (log, batch, part, digest)
);
ALTER TABLE batches.parts ALTER COLUMN sealed SET STORAGE EXTERNAL;  -- what is sealed does not become smaller
CREATE INDEX parts_of_sender ON batches.parts (log, sender) INCLUDE (batch, bytes);
COMMENT ON TABLE batches.parts IS 'A row for each part of a long batch that was received and not carried out yet.';
COMMENT ON COLUMN batches.parts.log IS 'Number of the log.';
COMMENT ON COLUMN batches.parts.batch IS 'The long batch: the name of its stream.';
COMMENT ON COLUMN batches.parts.part IS 'Number of the part, from 1.';
COMMENT ON COLUMN batches.parts.digest IS 'What the event of the part names: SHA-256 over the keys and requests of its items.';
COMMENT ON COLUMN batches.parts.sender IS 'Whose batch it is: what a sender has here is bounded.';
COMMENT ON COLUMN batches.parts.bytes IS 'Size of the items, in bytes.';
COMMENT ON COLUMN batches.parts.sealed IS 'The items as they were sent: AES-256-GCM.';
