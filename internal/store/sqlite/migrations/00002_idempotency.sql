-- +goose Up
-- What was made under an Idempotency-Key. Neither the key nor the request can be read from it.
CREATE TABLE idempotency (
  key         BLOB    PRIMARY KEY, -- SHA-256
  fingerprint BLOB    NOT NULL,
  project_id  BLOB    NOT NULL,
  until       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_until ON idempotency (until);
