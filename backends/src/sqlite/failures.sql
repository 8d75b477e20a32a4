-- The second migration: how the last attempts of each webhook failed. `n` counts up within a hook; `url` is sealed as it
-- stood at the destination.
CREATE TABLE failures (
  hook INTEGER NOT NULL, n INTEGER NOT NULL, destination INTEGER NOT NULL, format TEXT NOT NULL, url BLOB NOT NULL,
  at INTEGER NOT NULL, status INTEGER, note TEXT, excerpt TEXT, PRIMARY KEY (hook, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX failures_by_age ON failures (at);
CREATE INDEX failures_with_excerpt ON failures (at) WHERE excerpt IS NOT NULL;
