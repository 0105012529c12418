-- +goose Up
-- All that filters of a listing and a bulk revoke's count look at, so that neither reads the rows of a whole project. A spend changes none
-- of it.
CREATE INDEX tokens_listing ON tokens (project_id, id, active, epoch, expires_at);
DROP INDEX tokens_by_project;
