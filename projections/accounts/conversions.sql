-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE conversions (
    source_amount    bigint NOT NULL,
    target_amount    bigint NOT NULL,
    liquidity_amount bigint NOT NULL,
    spread_amount    bigint NOT NULL,
    remainder        bigint NOT NULL,
    rate             bigint NOT NULL,
    rate_number      bigint NOT NULL,
    version          bigint NOT NULL,
    position         bigint NOT NULL,
    made_at          timestamptz NOT NULL,
    last_position    bigint NOT NULL,
    last_at          timestamptz NOT NULL,
    spread           integer NOT NULL,
    conversion       text COLLATE "C" NOT NULL,
    source           text COLLATE "C" NOT NULL,
    target           text COLLATE "C" NOT NULL,
    transaction      text COLLATE "C" NOT NULL,
    source_currency  text COLLATE "C" NOT NULL,
    target_currency  text COLLATE "C" NOT NULL,
    pair             text COLLATE "C" NOT NULL,
    rate_source      text COLLATE "C" NOT NULL,
    quote            text COLLATE "C",
    PRIMARY KEY (conversion)
);

CREATE INDEX conversions_in_order ON conversions (position);
CREATE INDEX conversions_of_pair ON conversions (pair, position);
CREATE INDEX conversions_of_source ON conversions (source, position);
CREATE INDEX conversions_of_target ON conversions (target, position);

COMMENT ON TABLE conversions IS 'One row a conversion. Amounts in minor units. Rows are never changed.';
COMMENT ON COLUMN conversions.conversion IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN conversions.source IS 'The account that paid.';
COMMENT ON COLUMN conversions.target IS 'The account that got it.';
COMMENT ON COLUMN conversions.transaction IS 'The transaction that moved the money.';
COMMENT ON COLUMN conversions.quote IS 'The quote that it used. NULL: the rate in force.';
COMMENT ON COLUMN conversions.source_currency IS 'ISO 4217 code of what is paid.';
COMMENT ON COLUMN conversions.target_currency IS 'ISO 4217 code of what is got.';
COMMENT ON COLUMN conversions.source_amount IS 'What the source account pays, in minor units.';
COMMENT ON COLUMN conversions.target_amount IS 'What the target account gets, in minor units.';
COMMENT ON COLUMN conversions.liquidity_amount IS 'What the liquidity account of the pair gives, in the target currency, in minor units.';
COMMENT ON COLUMN conversions.spread_amount IS 'Income of the ledger, in the target currency, in minor units.';
COMMENT ON COLUMN conversions.remainder IS 'What rounding leaves to the ledger, in the target currency, in minor units.';
COMMENT ON COLUMN conversions.pair IS 'The pair of the rate, such as EUR:USD.';
COMMENT ON COLUMN conversions.rate IS 'How much of the counter currency one unit of the base currency is worth, in millionths.';
COMMENT ON COLUMN conversions.rate_number IS 'Number of the rate on the stream of the pair.';
COMMENT ON COLUMN conversions.rate_source IS 'Where the rate is from.';
COMMENT ON COLUMN conversions.spread IS 'Basis points that the conversion keeps.';
COMMENT ON COLUMN conversions.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN conversions.position IS 'Position in the log of its event.';
COMMENT ON COLUMN conversions.made_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN conversions.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN conversions.last_at IS 'When its last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.conversions AS
SELECT t.conversion, t.source, t.target, t.transaction, t.quote, t.source_currency, t.target_currency,
       t.source_amount * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.source_currency) AS source_amount,
       t.target_amount * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.target_currency) AS target_amount,
       t.liquidity_amount * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.target_currency) AS liquidity_amount,
       t.spread_amount * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.target_currency) AS spread_amount,
       t.remainder * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.target_currency) AS remainder,
       t.pair, t.rate * 0.000001 AS rate, t.rate_number, t.rate_source, t.spread, t.version, t.position, t.made_at,
       t.last_position, t.last_at
  FROM read.conversions t;

COMMENT ON VIEW reporting.conversions IS 'One row a conversion. Amounts in major units.';
COMMENT ON COLUMN reporting.conversions.conversion IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.conversions.source IS 'The account that paid.';
COMMENT ON COLUMN reporting.conversions.target IS 'The account that got it.';
COMMENT ON COLUMN reporting.conversions.transaction IS 'The transaction that moved the money.';
COMMENT ON COLUMN reporting.conversions.quote IS 'The quote that it used. NULL: the rate in force.';
COMMENT ON COLUMN reporting.conversions.source_currency IS 'ISO 4217 code of what is paid.';
COMMENT ON COLUMN reporting.conversions.target_currency IS 'ISO 4217 code of what is got.';
COMMENT ON COLUMN reporting.conversions.source_amount IS 'What the source account pays.';
COMMENT ON COLUMN reporting.conversions.target_amount IS 'What the target account gets.';
COMMENT ON COLUMN reporting.conversions.liquidity_amount IS 'What the liquidity account of the pair gives, in the target currency.';
COMMENT ON COLUMN reporting.conversions.spread_amount IS 'Income of the ledger, in the target currency.';
COMMENT ON COLUMN reporting.conversions.remainder IS 'What rounding leaves to the ledger, in the target currency.';
COMMENT ON COLUMN reporting.conversions.pair IS 'The pair of the rate, such as EUR:USD.';
COMMENT ON COLUMN reporting.conversions.rate IS 'How much of the counter currency one unit of the base currency is worth.';
COMMENT ON COLUMN reporting.conversions.rate_number IS 'Number of the rate on the stream of the pair.';
COMMENT ON COLUMN reporting.conversions.rate_source IS 'Where the rate is from.';
COMMENT ON COLUMN reporting.conversions.spread IS 'Basis points that the conversion keeps.';
COMMENT ON COLUMN reporting.conversions.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.conversions.position IS 'Position in the log of its event.';
COMMENT ON COLUMN reporting.conversions.made_at IS 'When it was recorded, UTC.';
COMMENT ON COLUMN reporting.conversions.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.conversions.last_at IS 'When its last event was recorded, UTC.';
