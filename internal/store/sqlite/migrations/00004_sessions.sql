-- +goose Up
-- Operators who have signed in. The session's secret cannot be read from its hash.
CREATE TABLE sessions (
  hash       BLOB    PRIMARY KEY, -- SHA-256
  user       TEXT    NOT NULL,
  created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Attempts to sign in that failed, or whose end is not known yet.
CREATE TABLE sign_ins (
  key   BLOB    NOT NULL, -- SHA-256 of who tries, or from where
  at    INTEGER NOT NULL,
  until INTEGER NOT NULL  -- when it no longer counts
) STRICT;
CREATE INDEX sign_ins_by_key ON sign_ins (key);
CREATE INDEX sign_ins_by_until ON sign_ins (until);
