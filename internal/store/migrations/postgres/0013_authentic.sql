-- Each row of the machinery that holds power is authenticated as a whole (store.authentic). Sessions and links of the builds before were
-- not: whoever has one signs in, or asks for a link, once more. Of messages and kept answers there is no MAC until they are written anew.
-- +goose Up
DROP TABLE team_link;
DROP TABLE link;
DROP TABLE session;

CREATE TABLE session (
  shop_id    text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  mac        bytea NOT NULL,
  opens      bytea NOT NULL,
  owner_kind text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  viewer     text COLLATE "C" NOT NULL,
  cause      text COLLATE "C" NOT NULL,
  basis      text COLLATE "C" NOT NULL,
  created_at text COLLATE "C" NOT NULL,
  seen_at    text COLLATE "C" NOT NULL,
  expires_at text COLLATE "C" NOT NULL,
  ended_at   text COLLATE "C",
  PRIMARY KEY (shop_id, id)
);
CREATE INDEX session_owner ON session (shop_id, owner_kind, owner_id, id);
CREATE INDEX session_expiry ON session (shop_id, expires_at);

CREATE TABLE link (
  shop_id    text COLLATE "C" NOT NULL,
  id         text COLLATE "C" NOT NULL,
  mac        bytea NOT NULL,
  opens      bytea NOT NULL,
  purpose    text COLLATE "C" NOT NULL,
  owner_kind text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  basis      text COLLATE "C" NOT NULL,
  expires_at text COLLATE "C" NOT NULL,
  used_at    text COLLATE "C",
  PRIMARY KEY (shop_id, id)
);
CREATE INDEX link_owner ON link (shop_id, owner_kind, owner_id, purpose);
CREATE INDEX link_expiry ON link (shop_id, expires_at);

ALTER TABLE idempotency ADD COLUMN mac bytea;
ALTER TABLE outbox ADD COLUMN mac bytea;
ALTER TABLE outbox_followed ADD COLUMN since bigint NOT NULL DEFAULT 0;
ALTER TABLE outbox_followed ADD COLUMN since_at text COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE outbox_followed ADD COLUMN mac bytea;
