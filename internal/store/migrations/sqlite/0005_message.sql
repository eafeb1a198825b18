-- +goose Up
CREATE TABLE notification_template (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE outbox (
  shop_id  TEXT NOT NULL,
  id       TEXT NOT NULL,
  cause    TEXT NOT NULL,
  state    TEXT NOT NULL,
  due_at   TEXT,
  body     TEXT NOT NULL,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE UNIQUE INDEX outbox_cause ON outbox (shop_id, cause);
CREATE INDEX outbox_due ON outbox (shop_id, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE outbox_followed (
  shop_id TEXT NOT NULL PRIMARY KEY,
  next    INTEGER NOT NULL
) STRICT;
