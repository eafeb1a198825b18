-- +goose Up
CREATE TABLE saved_view (
  shop_id    TEXT NOT NULL,
  owner_id   TEXT NOT NULL,
  page       TEXT NOT NULL,
  name       TEXT NOT NULL,
  query      TEXT NOT NULL,
  created_at TEXT NOT NULL,
  PRIMARY KEY (shop_id, owner_id, page, name)
) STRICT;
