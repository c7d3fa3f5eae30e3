-- Written by `make sql` from the declarations in Python; do not edit.

-- Tables, in the schema read.

CREATE TABLE rates (
    number        bigint NOT NULL,
    rate          bigint NOT NULL,
    valid_from    timestamptz NOT NULL,
    position      bigint NOT NULL,
    set_at        timestamptz NOT NULL,
    last_position bigint NOT NULL,
    last_at       timestamptz NOT NULL,
    spread        integer NOT NULL,
    valid_until   timestamptz,
    withdrawn_at  timestamptz,
    pair          text COLLATE "C" NOT NULL,
    base          text COLLATE "C" NOT NULL,
    counter       text COLLATE "C" NOT NULL,
    source        text COLLATE "C" NOT NULL,
    PRIMARY KEY (pair, number)
);

CREATE UNIQUE INDEX rates_in_order ON rates (position);
CREATE INDEX rates_of_pair ON rates (pair, position);

COMMENT ON TABLE rates IS 'One row a rate of a pair of currencies, with the time for which it is valid.';
COMMENT ON COLUMN rates.pair IS 'The pair, such as EUR:USD.';
COMMENT ON COLUMN rates.number IS 'Number of the rate: the version of its event on the stream of the pair.';
COMMENT ON COLUMN rates.base IS 'ISO 4217 code of the base currency.';
COMMENT ON COLUMN rates.counter IS 'ISO 4217 code of the counter currency.';
COMMENT ON COLUMN rates.rate IS 'How much of the counter currency one unit of the base currency is worth, in millionths.';
COMMENT ON COLUMN rates.spread IS 'Basis points that a conversion keeps.';
COMMENT ON COLUMN rates.source IS 'Where the rate is from.';
COMMENT ON COLUMN rates.valid_from IS 'The first instant with it, UTC.';
COMMENT ON COLUMN rates.valid_until IS 'The first instant without it, UTC. NULL: until another one begins.';
COMMENT ON COLUMN rates.withdrawn_at IS 'When it was withdrawn, UTC. NULL if it was not.';
COMMENT ON COLUMN rates.position IS 'Position in the log of its setting.';
COMMENT ON COLUMN rates.set_at IS 'When it was set, UTC.';
COMMENT ON COLUMN rates.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN rates.last_at IS 'When that event was recorded, UTC.';

-- Reporting views.

CREATE OR REPLACE VIEW reporting.rates AS
SELECT t.pair, t.number, t.base, t.counter, t.rate * 0.000001 AS rate, t.spread, t.source, t.valid_from,
       t.valid_until, t.withdrawn_at, t.position, t.set_at, t.last_position, t.last_at
  FROM read.rates t;

COMMENT ON VIEW reporting.rates IS 'One row a rate of a pair of currencies, with the time for which it is valid.';
COMMENT ON COLUMN reporting.rates.pair IS 'The pair, such as EUR:USD.';
COMMENT ON COLUMN reporting.rates.number IS 'Number of the rate: the version of its event on the stream of the pair.';
COMMENT ON COLUMN reporting.rates.base IS 'ISO 4217 code of the base currency.';
COMMENT ON COLUMN reporting.rates.counter IS 'ISO 4217 code of the counter currency.';
COMMENT ON COLUMN reporting.rates.rate IS 'How much of the counter currency one unit of the base currency is worth.';
COMMENT ON COLUMN reporting.rates.spread IS 'Basis points that a conversion keeps.';
COMMENT ON COLUMN reporting.rates.source IS 'Where the rate is from.';
COMMENT ON COLUMN reporting.rates.valid_from IS 'The first instant with it, UTC.';
COMMENT ON COLUMN reporting.rates.valid_until IS 'The first instant without it, UTC. NULL: until another one begins.';
COMMENT ON COLUMN reporting.rates.withdrawn_at IS 'When it was withdrawn, UTC. NULL if it was not.';
COMMENT ON COLUMN reporting.rates.position IS 'Position in the log of its setting.';
COMMENT ON COLUMN reporting.rates.set_at IS 'When it was set, UTC.';
COMMENT ON COLUMN reporting.rates.last_position IS 'Position in the log of the last event that changed it.';
COMMENT ON COLUMN reporting.rates.last_at IS 'When that event was recorded, UTC.';
