-- +goose Up
CREATE INDEX ledger_requests_by_model ON ledger_requests (model, id) WHERE model <> '';
