-- +goose Up
-- Every resource of the control plane, whatever its kind: what lists are
-- filtered and sorted by stands in columns, all else in the body.
CREATE TABLE resources (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT, -- order of creation; never used again
    arn      TEXT NOT NULL UNIQUE,
    kind     TEXT NOT NULL CHECK (kind <> ''), -- the type in the ARN
    region   TEXT NOT NULL CHECK (region <> ''),
    account  TEXT NOT NULL CHECK (length(account) = 12),
    name     TEXT NOT NULL CHECK (name <> ''),
    status   TEXT NOT NULL,
    model    TEXT NOT NULL,    -- id of the model that it is of; empty if of none
    created  INTEGER NOT NULL, -- times are microseconds since 1970
    modified INTEGER NOT NULL,
    version  INTEGER NOT NULL, -- grows with each change
    body     TEXT NOT NULL CHECK (json_valid(body)),
    UNIQUE (kind, region, account, name)
) STRICT;

CREATE INDEX resources_by_time ON resources (kind, region, account, created, seq);

CREATE TABLE tags (
    resource INTEGER NOT NULL REFERENCES resources (seq) ON DELETE CASCADE,
    key      TEXT NOT NULL CHECK (key <> ''),
    value    TEXT NOT NULL,
    PRIMARY KEY (resource, key)
) STRICT, WITHOUT ROWID;

-- The idempotency tokens of creations. They outlive what was created, so that
-- a late repetition does not create it again.
CREATE TABLE tokens (
    operation  TEXT NOT NULL CHECK (operation <> ''),
    region     TEXT NOT NULL,
    account    TEXT NOT NULL,
    token      TEXT NOT NULL CHECK (token <> ''),
    parameters BLOB NOT NULL CHECK (length(parameters) = 32), -- SHA-256
    arn        TEXT NOT NULL, -- of what was created
    created    INTEGER NOT NULL,
    PRIMARY KEY (operation, region, account, token)
) STRICT, WITHOUT ROWID;

CREATE INDEX tokens_by_time ON tokens (created);

-- +goose Down
DROP TABLE tokens;
DROP TABLE tags;
DROP TABLE resources;
