-- Erased customers whose data at the payment gateway is still to be deleted; what forms came to, which is deleted after a while.
-- +goose Up
ALTER TABLE customer ADD COLUMN gateway_data TEXT;
CREATE INDEX customer_gateway_data ON customer (shop_id, id) WHERE gateway_data IS NOT NULL;
CREATE INDEX idempotency_form ON idempotency (shop_id, created_at) WHERE length(request_hash) = 12;
