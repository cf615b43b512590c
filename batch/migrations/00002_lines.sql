-- +goose Up
ALTER TABLE batch_files ADD COLUMN lines BIGINT NOT NULL DEFAULT 0; -- before what was not looked at yet

-- +goose Down
ALTER TABLE batch_files DROP COLUMN lines;
