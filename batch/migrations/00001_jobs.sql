-- +goose Up
-- Written for SQLite and PostgreSQL alike. Times are microseconds since 1970.
CREATE TABLE batch_jobs (
    id          TEXT PRIMARY KEY,
    account     TEXT NOT NULL,
    model       TEXT NOT NULL,
    spec        TEXT NOT NULL,   -- JSON: all that does not change
    status      TEXT NOT NULL,
    message     TEXT NOT NULL DEFAULT '',
    submitted   BIGINT NOT NULL,
    modified    BIGINT NOT NULL,
    ended       BIGINT NOT NULL DEFAULT 0,
    expires     BIGINT NOT NULL,
    epoch       BIGINT NOT NULL DEFAULT 0, -- of who validates or ends the job
    winding     BIGINT NOT NULL DEFAULT 0, -- 1: its end is queued; 2: nothing is left to do
    total       BIGINT NOT NULL DEFAULT 0,
    succeeded   BIGINT NOT NULL DEFAULT 0,
    failed      BIGINT NOT NULL DEFAULT 0,
    input       BIGINT NOT NULL DEFAULT 0,
    output      BIGINT NOT NULL DEFAULT 0,
    cache_read  BIGINT NOT NULL DEFAULT 0,
    cache_write BIGINT NOT NULL DEFAULT 0,
    cost        BIGINT NOT NULL DEFAULT 0, -- nano-dollars
    unpriced    BIGINT NOT NULL DEFAULT 0, -- tokens that cost does not cover
    rate        DOUBLE PRECISION NOT NULL DEFAULT 0, -- records a second of late
    rated       BIGINT NOT NULL DEFAULT 0,           -- when that was found,
    rated_at    BIGINT NOT NULL DEFAULT 0            -- and after how many records
);
CREATE INDEX batch_jobs_by_status ON batch_jobs (status);

CREATE TABLE batch_files (
    job       TEXT NOT NULL,
    n         BIGINT NOT NULL,
    name      TEXT NOT NULL, -- key
    etag      TEXT NOT NULL,
    size      BIGINT NOT NULL,
    records   BIGINT NOT NULL DEFAULT -1, -- not known yet
    assembled BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (job, n)
);

CREATE TABLE batch_chunks (
    job     TEXT NOT NULL,
    file    BIGINT NOT NULL,
    n       BIGINT NOT NULL,
    starts  BIGINT NOT NULL, -- offsets in the file
    ends    BIGINT NOT NULL,
    first   BIGINT NOT NULL, -- number of the first record in the job
    records BIGINT NOT NULL,
    tokens  BIGINT NOT NULL, -- that the records are thought to take
    state   TEXT NOT NULL,   -- pending, handed, done, cut
    epoch   BIGINT NOT NULL DEFAULT 0,
    holder  TEXT NOT NULL DEFAULT '',
    finished BYTEA,          -- a bit for each record with an answer or an error
    parts   BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (job, file, n)
);
CREATE INDEX batch_chunks_by_state ON batch_chunks (state, job);

CREATE TABLE batch_parts (
    job   TEXT NOT NULL,
    file  BIGINT NOT NULL,
    chunk BIGINT NOT NULL,
    n     BIGINT NOT NULL,
    name  TEXT NOT NULL, -- key
    size  BIGINT NOT NULL,
    PRIMARY KEY (job, file, chunk, n)
);

CREATE TABLE batch_accounts (
    account TEXT PRIMARY KEY,
    served  DOUBLE PRECISION NOT NULL
);

-- +goose Down
DROP TABLE batch_accounts;
DROP TABLE batch_parts;
DROP TABLE batch_chunks;
DROP TABLE batch_files;
DROP TABLE batch_jobs;
