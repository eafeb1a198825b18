-- +goose Up
-- What the facts of a day add up to. Of the figure due it is a day to come.
CREATE TABLE rollup (
  shop_id  text COLLATE "C" NOT NULL,
  product  text COLLATE "C" NOT NULL,
  figure   text COLLATE "C" NOT NULL,
  day      text COLLATE "C" NOT NULL,
  currency text COLLATE "C" NOT NULL,
  count    bigint NOT NULL,
  amount   bigint NOT NULL,
  PRIMARY KEY (shop_id, product, figure, day, currency)
);

-- The facts themselves, for whoever asks what is behind a figure.
CREATE TABLE rollup_entry (
  shop_id         text COLLATE "C" NOT NULL,
  product         text COLLATE "C" NOT NULL,
  figure          text COLLATE "C" NOT NULL,
  day             text COLLATE "C" NOT NULL,
  seq             bigint NOT NULL,
  subscription_id text COLLATE "C" NOT NULL,
  currency        text COLLATE "C" NOT NULL,
  count           bigint NOT NULL,
  amount          bigint NOT NULL,
  PRIMARY KEY (shop_id, product, figure, day, seq, subscription_id)
);

-- What is known of a subscription (body, and due: its orders to come until covered) or of a plan (body).
CREATE TABLE rollup_state (
  shop_id text COLLATE "C" NOT NULL,
  id      text COLLATE "C" NOT NULL,
  plan_id text COLLATE "C" NOT NULL,
  covered text COLLATE "C" NOT NULL,
  body    text COLLATE "C" NOT NULL,
  due     text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id, id)
);
CREATE INDEX rollup_state_covered ON rollup_state (shop_id, covered, id);
CREATE INDEX rollup_state_plan ON rollup_state (shop_id, plan_id, id);

CREATE TABLE rollup_reason (
  shop_id         text COLLATE "C" NOT NULL,
  seq             bigint NOT NULL,
  subscription_id text COLLATE "C" NOT NULL,
  mac             bytea NOT NULL,
  PRIMARY KEY (shop_id, seq)
);
CREATE INDEX rollup_reason_subscription ON rollup_reason (shop_id, subscription_id);

CREATE TABLE rollup_followed (
  shop_id   text COLLATE "C" NOT NULL,
  next      bigint NOT NULL,
  leaf_hash bytea NOT NULL,
  version   bigint NOT NULL,
  day       text COLLATE "C" NOT NULL,
  zone      text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id)
);

ALTER TABLE rollup SET (fillfactor = 50);
ALTER TABLE rollup_state SET (fillfactor = 50);
ALTER TABLE rollup_followed SET (fillfactor = 50);
