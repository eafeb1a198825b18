-- The figures of a shop are in a file of their own (analytics.db); in PostgreSQL they have tables of the same number.
-- +goose Up
SELECT 1;
