-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE quotes (
    source_amount    bigint NOT NULL,
    target_amount    bigint NOT NULL,
    liquidity_amount bigint NOT NULL,
    spread_amount    bigint NOT NULL,
    remainder        bigint NOT NULL,
    rate             bigint NOT NULL,
    rate_number      bigint NOT NULL,
    expires_at       timestamptz NOT NULL,
    version          bigint NOT NULL,
    position         bigint NOT NULL,
    given_at         timestamptz NOT NULL,
    last_position    bigint NOT NULL,
    last_at          timestamptz NOT NULL,
    spread           integer NOT NULL,
    quote            text COLLATE "C" NOT NULL,
    source_currency  text COLLATE "C" NOT NULL,
    target_currency  text COLLATE "C" NOT NULL,
    pair             text COLLATE "C" NOT NULL,
    rate_source      text COLLATE "C" NOT NULL,
    person           text COLLATE "C",
    conversion       text COLLATE "C",
    PRIMARY KEY (quote)
);

CREATE INDEX quotes_in_order ON quotes (position);

COMMENT ON TABLE quotes IS 'One row a quote of a conversion, as it is now. Amounts in minor units.';
COMMENT ON COLUMN quotes.quote IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN quotes.person IS 'The person for whom it is. NULL for programs and staff.';
COMMENT ON COLUMN quotes.source_currency IS 'ISO 4217 code of what is paid.';
COMMENT ON COLUMN quotes.target_currency IS 'ISO 4217 code of what is got.';
COMMENT ON COLUMN quotes.source_amount IS 'What the source account pays, in minor units.';
COMMENT ON COLUMN quotes.target_amount IS 'What the target account gets, in minor units.';
COMMENT ON COLUMN quotes.liquidity_amount IS 'What the liquidity account of the pair gives, in the target currency, in minor units.';
COMMENT ON COLUMN quotes.spread_amount IS 'Income of the ledger, in the target currency, in minor units.';
COMMENT ON COLUMN quotes.remainder IS 'What rounding leaves to the ledger, in the target currency, in minor units.';
COMMENT ON COLUMN quotes.pair IS 'The pair of the rate, such as EUR:USD.';
COMMENT ON COLUMN quotes.rate IS 'How much of the counter currency one unit of the base currency is worth, in millionths.';
COMMENT ON COLUMN quotes.rate_number IS 'Number of the rate on the stream of the pair.';
COMMENT ON COLUMN quotes.rate_source IS 'Where the rate is from.';
COMMENT ON COLUMN quotes.spread IS 'Basis points that the conversion keeps.';
COMMENT ON COLUMN quotes.expires_at IS 'The first instant at which it cannot be used, UTC.';
COMMENT ON COLUMN quotes.conversion IS 'The conversion that used it. NULL if none has.';
COMMENT ON COLUMN quotes.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN quotes.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN quotes.given_at IS 'When it was given, UTC.';
COMMENT ON COLUMN quotes.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN quotes.last_at IS 'When its last event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.quotes AS
SELECT t.quote, t.person, t.source_currency, t.target_currency,
       t.source_amount * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.source_currency) AS source_amount,
       t.target_amount * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.target_currency) AS target_amount,
       t.liquidity_amount * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.target_currency) AS liquidity_amount,
       t.spread_amount * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.target_currency) AS spread_amount,
       t.remainder * (SELECT m.minor_unit FROM read.currencies m WHERE m.currency = t.target_currency) AS remainder,
       t.pair, t.rate * 0.000001 AS rate, t.rate_number, t.rate_source, t.spread, t.expires_at, t.conversion,
       t.version, t.position, t.given_at, t.last_position, t.last_at
  FROM read.quotes t;

COMMENT ON VIEW reporting.quotes IS 'One row a quote of a conversion, as it is now. Amounts in major units.';
COMMENT ON COLUMN reporting.quotes.quote IS 'Public id; also the name of its stream in the log.';
COMMENT ON COLUMN reporting.quotes.person IS 'The person for whom it is. NULL for programs and staff.';
COMMENT ON COLUMN reporting.quotes.source_currency IS 'ISO 4217 code of what is paid.';
COMMENT ON COLUMN reporting.quotes.target_currency IS 'ISO 4217 code of what is got.';
COMMENT ON COLUMN reporting.quotes.source_amount IS 'What the source account pays.';
COMMENT ON COLUMN reporting.quotes.target_amount IS 'What the target account gets.';
COMMENT ON COLUMN reporting.quotes.liquidity_amount IS 'What the liquidity account of the pair gives, in the target currency.';
COMMENT ON COLUMN reporting.quotes.spread_amount IS 'Income of the ledger, in the target currency.';
COMMENT ON COLUMN reporting.quotes.remainder IS 'What rounding leaves to the ledger, in the target currency.';
COMMENT ON COLUMN reporting.quotes.pair IS 'The pair of the rate, such as EUR:USD.';
COMMENT ON COLUMN reporting.quotes.rate IS 'How much of the counter currency one unit of the base currency is worth.';
COMMENT ON COLUMN reporting.quotes.rate_number IS 'Number of the rate on the stream of the pair.';
COMMENT ON COLUMN reporting.quotes.rate_source IS 'Where the rate is from.';
COMMENT ON COLUMN reporting.quotes.spread IS 'Basis points that the conversion keeps.';
COMMENT ON COLUMN reporting.quotes.expires_at IS 'The first instant at which it cannot be used, UTC.';
COMMENT ON COLUMN reporting.quotes.conversion IS 'The conversion that used it. NULL if none has.';
COMMENT ON COLUMN reporting.quotes.version IS 'Version of its stream: the number of its events.';
COMMENT ON COLUMN reporting.quotes.position IS 'Position in the log of its first event.';
COMMENT ON COLUMN reporting.quotes.given_at IS 'When it was given, UTC.';
COMMENT ON COLUMN reporting.quotes.last_position IS 'Position in the log of its last event.';
COMMENT ON COLUMN reporting.quotes.last_at IS 'When its last event was recorded, UTC.';
