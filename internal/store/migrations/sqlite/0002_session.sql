-- +goose Up
CREATE TABLE session (
  shop_id    TEXT NOT NULL,
  id         TEXT NOT NULL,
  mac        BLOB NOT NULL,
  owner_kind TEXT NOT NULL,
  owner_id   TEXT NOT NULL,
  created_at TEXT NOT NULL,
  seen_at    TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  ended_at   TEXT,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX session_owner ON session (shop_id, owner_kind, owner_id, id);
CREATE INDEX session_expiry ON session (shop_id, expires_at);

CREATE TABLE team_link (
  shop_id    TEXT NOT NULL,
  id         TEXT NOT NULL,
  mac        BLOB NOT NULL,
  purpose    TEXT NOT NULL,
  owner_id   TEXT NOT NULL,
  expires_at TEXT NOT NULL,
  used_at    TEXT,
  PRIMARY KEY (shop_id, id)
) STRICT;
CREATE INDEX team_link_owner ON team_link (shop_id, owner_id, purpose);

CREATE TABLE spent (
  shop_id    TEXT NOT NULL,
  hash       BLOB NOT NULL,
  expires_at TEXT NOT NULL,
  PRIMARY KEY (shop_id, hash)
) STRICT;
