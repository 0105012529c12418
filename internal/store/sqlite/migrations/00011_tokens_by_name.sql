-- +goose Up
-- The order of names. Orders by use have none: each spend would have to write it.
CREATE INDEX tokens_by_name ON tokens (lower(name), id);
