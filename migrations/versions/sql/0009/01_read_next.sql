-- Where a rebuild makes new tables, and where the old ones are for the moment between their replacement and their end.
-- What is in them: projections/engine/frame.sql and replacement.py. Rights: migrations/rights.
CREATE SCHEMA read_next AUTHORIZATION daybook_read_owner;
CREATE SCHEMA read_old AUTHORIZATION daybook_read_owner;
COMMENT ON SCHEMA read_next IS 'Tables that a rebuild folds, before they take the place of those in read.';
COMMENT ON SCHEMA read_old IS 'Tables that a rebuild has replaced. Empty but within its transaction.';
