-- The trigger of the table head refuses a second head: a database has one shop. Triggers are made by the program (store.Triggers).
-- +goose Up
SELECT 1;
