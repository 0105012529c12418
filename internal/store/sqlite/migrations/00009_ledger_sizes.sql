-- +goose Up
-- The largest tokens are found by what groups are compared by alone, hour by hour: the histograms are most of a row.
CREATE INDEX ledger_hours_sizes ON ledger_hours (hour, token_id, requests, errors, input, output, total, cost_micro, cost_pico);
