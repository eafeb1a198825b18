-- +goose Up
CREATE TABLE saved_view (
  shop_id    text COLLATE "C" NOT NULL,
  owner_id   text COLLATE "C" NOT NULL,
  page       text COLLATE "C" NOT NULL,
  name       text COLLATE "C" NOT NULL,
  query      text COLLATE "C" NOT NULL,
  created_at text COLLATE "C" NOT NULL,
  PRIMARY KEY (shop_id, owner_id, page, name)
);
