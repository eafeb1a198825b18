-- +goose Up
CREATE TABLE notification_template (
  shop_id text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, version bigint NOT NULL, last_seq bigint NOT NULL, schema_version bigint NOT NULL, kind text COLLATE "C" NOT NULL GENERATED ALWAYS AS ('notification_template') STORED,
  doc text NOT NULL, box text, sealed bytea,
  PRIMARY KEY (shop_id, id),
  CONSTRAINT notification_template_entry FOREIGN KEY (shop_id, last_seq, kind, id, version) REFERENCES event (shop_id, seq, target_kind, target_id, target_version)
);
ALTER TABLE notification_template SET (fillfactor = 50);

CREATE TABLE outbox (
  shop_id  text COLLATE "C" NOT NULL,
  id       text COLLATE "C" NOT NULL,
  cause    text COLLATE "C" NOT NULL,
  state    text COLLATE "C" NOT NULL,
  due_at   text COLLATE "C",
  body     text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id, id)
);
CREATE UNIQUE INDEX outbox_cause ON outbox (shop_id, cause);
CREATE INDEX outbox_due ON outbox (shop_id, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE outbox_followed (
  shop_id text COLLATE "C" NOT NULL PRIMARY KEY,
  next    bigint NOT NULL
);
