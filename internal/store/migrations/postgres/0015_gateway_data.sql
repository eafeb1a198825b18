-- Erased customers whose data at the payment gateway is still to be deleted.
-- +goose Up
ALTER TABLE customer ADD COLUMN gateway_data text COLLATE "C";
CREATE INDEX customer_gateway_data ON customer (shop_id, id) WHERE gateway_data IS NOT NULL;
