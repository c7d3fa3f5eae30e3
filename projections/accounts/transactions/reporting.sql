CREATE OR REPLACE VIEW reporting.transactions AS
SELECT t.transaction, t.kind, t.value_date, t.reference, t.description, json_array_length(t.entries) AS entries,
       t.position, t.recorded_at
  FROM read.transactions t;
COMMENT ON VIEW reporting.transactions IS 'One row a transaction. Its amounts are in reporting.entries, which join by transaction.';
COMMENT ON COLUMN reporting.transactions.transaction IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.transactions.kind IS 'deposit, withdrawal, transfer, fee, interest, penalty, payment, capture or journal.';
COMMENT ON COLUMN reporting.transactions.value_date IS 'From which day on it counts.';
COMMENT ON COLUMN reporting.transactions.reference IS 'Reference of the client''s business.';
COMMENT ON COLUMN reporting.transactions.description IS 'Free text. NULL once the person it is about was erased.';
COMMENT ON COLUMN reporting.transactions.entries IS 'How many entries it has.';
COMMENT ON COLUMN reporting.transactions.position IS 'Position in the log.';
COMMENT ON COLUMN reporting.transactions.recorded_at IS 'When it was recorded, UTC.';
