-- +goose Up
-- What became of requests. A row for each event; the id tells when.
CREATE TABLE ledger_requests (
  id         BLOB    PRIMARY KEY,
  project_id BLOB    NOT NULL, -- zeros if unknown
  token_id   BLOB    NOT NULL, -- zeros if unknown
  model      TEXT    NOT NULL,
  status     INTEGER NOT NULL, -- 0 is unknown
  outcome    TEXT    NOT NULL,
  record     TEXT    NOT NULL  -- the event without its bodies, as JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_requests_by_project ON ledger_requests (project_id, id);
CREATE INDEX ledger_requests_by_token ON ledger_requests (token_id, id);
CREATE INDEX ledger_requests_by_outcome ON ledger_requests (outcome, id) WHERE outcome <> 'complete';
CREATE INDEX ledger_requests_by_status ON ledger_requests (status, id) WHERE status >= 400;

-- What the rows of an hour add up to. A sum that no event tells of is unknown: its count is 0.
CREATE TABLE ledger_hours (
  hour               INTEGER NOT NULL, -- since the Unix epoch
  project_id         BLOB    NOT NULL,
  token_id           BLOB    NOT NULL,
  model              TEXT    NOT NULL, -- '' if unknown
  requests           INTEGER NOT NULL,
  errors             INTEGER NOT NULL,
  metered            INTEGER NOT NULL,
  estimated          INTEGER NOT NULL,
  priced             INTEGER NOT NULL,
  input              INTEGER NOT NULL,
  input_events       INTEGER NOT NULL,
  output             INTEGER NOT NULL,
  output_events      INTEGER NOT NULL,
  total              INTEGER NOT NULL,
  total_events       INTEGER NOT NULL,
  cached             INTEGER NOT NULL,
  cached_events      INTEGER NOT NULL,
  cache_write        INTEGER NOT NULL,
  cache_write_events INTEGER NOT NULL,
  reasoning          INTEGER NOT NULL,
  reasoning_events   INTEGER NOT NULL,
  cost_micro         INTEGER NOT NULL, -- millionths of a dollar
  cost_pico          INTEGER NOT NULL, -- millionths of those, besides
  latency            BLOB    NOT NULL, -- histogram of milliseconds
  first_byte         BLOB    NOT NULL,
  PRIMARY KEY (hour, project_id, token_id, model)
) STRICT, WITHOUT ROWID;
