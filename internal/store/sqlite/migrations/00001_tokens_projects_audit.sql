-- +goose Up
-- Ids are the 16 bytes of a UUIDv7, times are milliseconds since the Unix epoch, 0 is "never". Lists are JSON arrays.
CREATE TABLE projects (
  id          BLOB    PRIMARY KEY,
  name        TEXT    NOT NULL,
  description TEXT    NOT NULL,
  metadata    TEXT    NOT NULL, -- JSON object of strings
  provider    TEXT    NOT NULL,
  active      INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  updated_at  INTEGER NOT NULL,
  deleted_at  INTEGER NOT NULL,
  sealed_key  TEXT    NOT NULL,
  key_hint    TEXT    NOT NULL,
  key_ref     TEXT    NOT NULL,
  capture     TEXT    NOT NULL,
  endpoints   TEXT    NOT NULL, -- names joined by commas
  epoch       INTEGER NOT NULL,
  epoch_at    INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  -- What a spend needs of the project, in one value.
  gate        TEXT    GENERATED ALWAYS AS (provider || char(31) || sealed_key || char(31) || key_ref || char(31) || capture || char(31) || endpoints) STORED
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  id                   BLOB    PRIMARY KEY,
  project_id           BLOB    NOT NULL,
  hash                 BLOB    NOT NULL, -- SHA-256 of the secret
  previous_hash        BLOB    NOT NULL, -- of the secret before a rotation; zeros if there is none
  previous_until       INTEGER NOT NULL,
  name                 TEXT    NOT NULL,
  created_at           INTEGER NOT NULL,
  expires_at           INTEGER NOT NULL,
  active               INTEGER NOT NULL,
  revoked_at           INTEGER NOT NULL,
  max_requests         INTEGER NOT NULL, -- 0 is no cap
  requests_per_hour    INTEGER NOT NULL, -- 0 is no cap
  request_count        INTEGER NOT NULL,
  last_used_at         INTEGER NOT NULL,
  window_hour          INTEGER NOT NULL,
  window_count         INTEGER NOT NULL,
  request_headers_drop TEXT    NOT NULL, -- JSON array
  epoch                INTEGER NOT NULL,
  revision             INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_by_project ON tokens (project_id, id);
CREATE INDEX tokens_by_expiry ON tokens (expires_at);

CREATE TABLE audit (
  id          BLOB    PRIMARY KEY,
  time        INTEGER NOT NULL,
  action      TEXT    NOT NULL,
  outcome     TEXT    NOT NULL,
  reason      TEXT    NOT NULL,
  actor       TEXT    NOT NULL,
  client_addr TEXT    NOT NULL,
  forwarded   TEXT    NOT NULL,
  request_id  TEXT    NOT NULL,
  project_id  BLOB    NOT NULL, -- zeros if it concerns none
  token_id    BLOB    NOT NULL,
  before      TEXT    NOT NULL, -- JSON object of strings
  after       TEXT    NOT NULL,
  suppressed  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_by_project ON audit (project_id, id);
