-- +goose Up
CREATE TABLE session (
  shop_id    text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  mac        bytea NOT NULL,
  owner_kind text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  created_at text COLLATE "C" NOT NULL,
  seen_at    text COLLATE "C" NOT NULL,
  expires_at text COLLATE "C" NOT NULL,
  ended_at   text COLLATE "C",
  PRIMARY KEY (shop_id, id)
);
CREATE INDEX session_owner ON session (shop_id, owner_kind, owner_id, id);
CREATE INDEX session_expiry ON session (shop_id, expires_at);

CREATE TABLE team_link (
  shop_id    text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  mac        bytea NOT NULL,
  purpose    text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  expires_at text COLLATE "C" NOT NULL,
  used_at    text COLLATE "C",
  PRIMARY KEY (shop_id, id)
);
CREATE INDEX team_link_owner ON team_link (shop_id, owner_id, purpose);

CREATE TABLE spent (
  shop_id    text COLLATE "C" NOT NULL,
  hash       bytea NOT NULL,
  expires_at text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id, hash)
);
