-- The read tables get an owner of their own, daybook_read_owner, who has no right on the log; the projector only folds
-- rows into them. Ownership and grants themselves are in migrations/rights, which runs after this.

-- Of databases made before: the projector was the owner, and what it made was granted by default. From now on the grants
-- of the read tables are made with them (projections/grants.sql).
DO $$
BEGIN
    IF pg_has_role(current_user, 'daybook_projector', 'MEMBER') THEN
        ALTER DEFAULT PRIVILEGES FOR ROLE daybook_projector IN SCHEMA read REVOKE SELECT ON TABLES FROM daybook_api;
        ALTER DEFAULT PRIVILEGES FOR ROLE daybook_projector IN SCHEMA reporting
            REVOKE SELECT ON TABLES FROM daybook_api, daybook_reader;
    END IF;
END
$$;

ALTER TABLE read.checkpoints
    ADD COLUMN rebuild_until bigint,
    ADD COLUMN rebuilds integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN read.checkpoints.rebuild_until IS 'While the projection is rebuilt: the position from which on its tables are whole again. NULL otherwise.';
COMMENT ON COLUMN read.checkpoints.rebuilds IS 'How often the projection was rebuilt: a reader compares it before and after.';
