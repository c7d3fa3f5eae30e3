-- The cosignatures of witnesses (ADR 71): who else has seen a checkpoint, and when.
SET LOCAL ROLE daybook_owner;

CREATE TABLE proof.cosignatures (
    log       integer NOT NULL,
    witness   text COLLATE "C" NOT NULL CHECK (length(witness) BETWEEN 1 AND 400),
    size      bigint NOT NULL CHECK (size > 0),
    line      text COLLATE "C" NOT NULL CHECK (length(line) <= 1000 AND line ~ '^— [^ \n]+ [A-Za-z0-9+/]+={0,2}$'),
    signed_at timestamptz NOT NULL,
    PRIMARY KEY (log, witness, size)
);
CREATE INDEX cosignatures_size ON proof.cosignatures (log, size);
COMMENT ON TABLE proof.cosignatures IS 'The signatures of witnesses over checkpoints.';
COMMENT ON COLUMN proof.cosignatures.log IS 'Number of the log.';
COMMENT ON COLUMN proof.cosignatures.witness IS 'The public key of the witness as text: name, id and base64.';
COMMENT ON COLUMN proof.cosignatures.size IS 'Leaves of the tree whose checkpoint was signed.';
COMMENT ON COLUMN proof.cosignatures.line IS 'The line of the signature in the signed note, without its newline.';
COMMENT ON COLUMN proof.cosignatures.signed_at IS 'When the witness signed, by its clock.';

-- Keep the cosignature of a checkpoint. False if the witness has one of this checkpoint already.
CREATE FUNCTION proof.keep_cosignature(
    p_log integer, p_witness text, p_size bigint, p_line text, p_signed_at timestamptz
) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM proof.checkpoints c WHERE c.log = p_log AND c.size = p_size) THEN
        RAISE EXCEPTION 'there is no checkpoint of % leaves', p_size;
    END IF;
    INSERT INTO proof.cosignatures (log, witness, size, line, signed_at)
    VALUES (p_log, p_witness, p_size, p_line, p_signed_at) ON CONFLICT DO NOTHING;
    RETURN FOUND;
END
$$;

RESET ROLE;
