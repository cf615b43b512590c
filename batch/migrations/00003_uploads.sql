-- +goose Up
ALTER TABLE batch_files ADD COLUMN upload TEXT NOT NULL DEFAULT '';  -- of the output, which is gone on with
ALTER TABLE batch_files ADD COLUMN etags TEXT NOT NULL DEFAULT '[]'; -- JSON: of its parts that are written

-- +goose Down
ALTER TABLE batch_files DROP COLUMN etags;
ALTER TABLE batch_files DROP COLUMN upload;
