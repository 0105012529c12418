-- +goose Up
-- How often rows of ledger_hours of a day (of UTC, since the Unix epoch) have changed; absent is never.
CREATE TABLE ledger_days (
  day     INTEGER PRIMARY KEY,
  changes INTEGER NOT NULL
) STRICT;

-- All rows of ledger_hours of a day in few values, for those who look for the largest of a hundred thousand tokens: part 0 has whose they
-- are, each other part one number of each. The store makes them from the rows; they hold as long as the day's changes are what they were.
CREATE TABLE ledger_packs (
  day     INTEGER NOT NULL,
  part    INTEGER NOT NULL,
  changes INTEGER NOT NULL,
  data    BLOB    NOT NULL,
  PRIMARY KEY (day, part)
) STRICT;
DROP INDEX ledger_hours_sizes;
