-- +goose Up
ALTER TABLE audit ADD COLUMN relayed INTEGER NOT NULL DEFAULT 1; -- 0: not on the bus yet; entries from before are not told anew
CREATE INDEX audit_to_relay ON audit (id) WHERE relayed = 0;
