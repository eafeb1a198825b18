-- +goose Up
-- The journal: append only.
CREATE TABLE event (
  shop_id         TEXT    NOT NULL,
  seq             INTEGER NOT NULL,
  recorded_at     TEXT    NOT NULL,
  type            TEXT    NOT NULL,
  target_kind     TEXT    NOT NULL,
  target_id       TEXT    NOT NULL,
  target_version  INTEGER NOT NULL,
  target_prev_seq INTEGER,
  leaf_hash       BLOB    NOT NULL,
  body            TEXT    NOT NULL,
  boxes           BLOB    NOT NULL,
  PRIMARY KEY (shop_id, seq)
) STRICT;

CREATE TABLE tree_node (
  shop_id TEXT    NOT NULL,
  level   INTEGER NOT NULL,
  idx     INTEGER NOT NULL,
  hash    BLOB    NOT NULL,
  PRIMARY KEY (shop_id, level, idx)
) STRICT;

CREATE TABLE checkpoint (
  shop_id   TEXT    NOT NULL,
  size      INTEGER NOT NULL,
  root      BLOB    NOT NULL,
  note      TEXT    NOT NULL,
  signed_at TEXT    NOT NULL,
  PRIMARY KEY (shop_id, size)
) STRICT;

-- The head of each shop's journal, and the events of the running batch whose rows are not written yet.
CREATE TABLE head (
  shop_id     TEXT    NOT NULL,
  seq         INTEGER NOT NULL,
  recorded_at TEXT    NOT NULL,
  edge        BLOB    NOT NULL,
  fingerprint TEXT    NOT NULL,
  moved_to    TEXT,
  PRIMARY KEY (shop_id)
) STRICT;

CREATE TABLE pending (
  shop_id TEXT    NOT NULL,
  kind    TEXT    NOT NULL,
  id      TEXT    NOT NULL,
  version INTEGER NOT NULL,
  seq     INTEGER NOT NULL,
  PRIMARY KEY (shop_id, kind, id)
) STRICT, WITHOUT ROWID;

-- Targets that are only observed.
CREATE TABLE target_head (
  shop_id  TEXT    NOT NULL,
  kind     TEXT    NOT NULL,
  id       TEXT    NOT NULL,
  version  INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  PRIMARY KEY (shop_id, kind, id)
) STRICT;

CREATE TABLE secret (
  shop_id    TEXT    NOT NULL,
  owner_kind TEXT    NOT NULL,
  owner_id   TEXT    NOT NULL,
  name       TEXT    NOT NULL,
  version    INTEGER NOT NULL,
  last_seq   INTEGER NOT NULL,
  salt       BLOB    NOT NULL,
  value      BLOB    NOT NULL,
  PRIMARY KEY (shop_id, owner_kind, owner_id, name)
) STRICT;

-- Machinery.
CREATE TABLE data_key (
  shop_id      TEXT NOT NULL,
  id           TEXT NOT NULL,
  class        TEXT NOT NULL,
  wrapped      BLOB,
  created_at   TEXT NOT NULL,
  destroyed_at TEXT,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE reservation (
  shop_id TEXT NOT NULL,
  scope   TEXT NOT NULL,
  hash    BLOB NOT NULL,
  owner   TEXT NOT NULL,
  PRIMARY KEY (shop_id, scope, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
  shop_id      TEXT    NOT NULL,
  caller_key   BLOB    NOT NULL,
  request_hash BLOB    NOT NULL,
  key_id       TEXT    NOT NULL,
  answer       BLOB    NOT NULL,
  created_at   TEXT    NOT NULL,
  PRIMARY KEY (shop_id, caller_key)
) STRICT;

CREATE TABLE link (
  shop_id    TEXT NOT NULL,
  token_hash BLOB NOT NULL,
  sign_in_id TEXT NOT NULL,
  owner_id   TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  used_at    TEXT,
  PRIMARY KEY (shop_id, token_hash)
) STRICT;

-- States: one table for each kind of thing.
CREATE TABLE subscription (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, customer_id TEXT NOT NULL, due_date TEXT, next_billing_date TEXT, product_ids TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX subscription_customer ON subscription (shop_id, customer_id, id);
CREATE INDEX subscription_status ON subscription (shop_id, status, id);
CREATE INDEX subscription_due ON subscription (shop_id, due_date, id) WHERE due_date IS NOT NULL;
CREATE INDEX subscription_next ON subscription (shop_id, next_billing_date, id) WHERE next_billing_date IS NOT NULL;

CREATE TABLE customer (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE address (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, customer_id TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX address_customer ON address (shop_id, customer_id, id);

CREATE TABLE payment_method (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, customer_id TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX payment_method_customer ON payment_method (shop_id, customer_id, id);

CREATE TABLE "order" (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, customer_id TEXT NOT NULL, subscription_id TEXT NOT NULL, open_attempt TEXT, paid INTEGER NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX order_customer ON "order" (shop_id, customer_id, id);
CREATE INDEX order_subscription ON "order" (shop_id, subscription_id, id);
CREATE INDEX order_open ON "order" (shop_id, id) WHERE open_attempt IS NOT NULL;

CREATE TABLE product (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE variant (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, product_id TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX variant_product ON variant (shop_id, product_id, id);

CREATE TABLE selling_plan_group (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE selling_plan (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, group_id TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX selling_plan_group_id ON selling_plan (shop_id, group_id, id);

CREATE TABLE discount (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE settings (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE team (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE team_member (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL, role TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;

CREATE TABLE api_key (
  shop_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL, last_seq INTEGER NOT NULL, schema_version INTEGER NOT NULL,
  status TEXT NOT NULL,
  doc TEXT NOT NULL, box TEXT, sealed BLOB,
  PRIMARY KEY (shop_id, id)
) STRICT;
