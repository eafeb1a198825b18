-- +goose Up
CREATE TABLE cancel_flow (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE TABLE cancel_reason (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, flow_id TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE TABLE cancel_session (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, customer_id TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX cancel_flow_by_status ON cancel_flow (shop_id, status, id);
CREATE INDEX cancel_reason_by_flow ON cancel_reason (shop_id, flow_id, id);
CREATE INDEX cancel_session_by_customer ON cancel_session (shop_id, customer_id, id);
