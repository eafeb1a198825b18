-- +goose Up
CREATE INDEX order_pending ON "order" (shop_id, id) WHERE status = 'pending';
