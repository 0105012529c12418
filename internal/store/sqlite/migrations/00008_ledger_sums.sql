-- +goose Up
-- What hours and days add up to without their tokens, of each project and of all of them (sixteen bytes FF): what most screens ask for
-- is in few rows, however many tokens there are. The store fills it from ledger_hours when it first opens the database.
CREATE TABLE ledger_sums (
  project_id         BLOB    NOT NULL,
  hours              INTEGER NOT NULL, -- 1 or 24
  start              INTEGER NOT NULL, -- first hour, since the Unix epoch
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
  cost_micro         INTEGER NOT NULL,
  cost_pico          INTEGER NOT NULL,
  latency            BLOB    NOT NULL,
  first_byte         BLOB    NOT NULL,
  PRIMARY KEY (project_id, hours, start, model)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_sums_by_start ON ledger_sums (hours, start);
CREATE INDEX ledger_hours_by_token ON ledger_hours (token_id, hour);

-- Filters of listings that leave few of many.
CREATE INDEX ledger_requests_by_any_status ON ledger_requests (status, id);
DROP INDEX ledger_requests_by_status;
CREATE INDEX audit_by_token ON audit (token_id, id) WHERE token_id <> zeroblob(16);
CREATE INDEX audit_by_action ON audit (action, id);
CREATE INDEX audit_by_actor ON audit (actor, id);
CREATE INDEX audit_by_refusal ON audit (id) WHERE outcome = 'refused';
CREATE INDEX audit_by_request ON audit (request_id);
CREATE INDEX audit_by_time ON audit (time);
