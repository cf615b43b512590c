-- +goose Up
CREATE TABLE keys (
    id      TEXT PRIMARY KEY NOT NULL CHECK (id <> ''),
    kind    TEXT NOT NULL CHECK (kind IN ('access-key', 'api-key')),
    name    TEXT NOT NULL,
    account TEXT NOT NULL CHECK (length(account) = 12),
    arn     TEXT NOT NULL,
    actions TEXT NOT NULL, -- JSON array of patterns
    models  TEXT NOT NULL, -- JSON array of patterns
    secret  BLOB,          -- access keys: the secret, sealed
    token   BLOB,          -- access keys: the session token, sealed; NULL if there is none
    kek     TEXT,          -- id of the key-encryption key that sealed both
    hash    BLOB UNIQUE,   -- API keys: SHA-256 of the key
    created INTEGER NOT NULL, -- times are milliseconds since 1970
    expires INTEGER,
    revoked INTEGER,
    CHECK (revoked IS NOT NULL
        OR kind = 'access-key' AND secret IS NOT NULL AND kek IS NOT NULL AND hash IS NULL
        OR kind = 'api-key' AND length(hash) = 32 AND secret IS NULL AND token IS NULL)
) STRICT;

-- +goose Down
DROP TABLE keys;
