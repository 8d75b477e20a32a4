-- The seventh migration: signing in. Links and sessions by the SHA-256 of what people hold; a used link stays until it would
-- have been too old, so that it can be said that it was used.
ALTER TABLE users ADD COLUMN zone TEXT NOT NULL DEFAULT '';
CREATE INDEX users_by_address ON users (lower(email)) WHERE closed = 0;
CREATE TABLE links (
  digest BLOB PRIMARY KEY, user BLOB NOT NULL, until INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_age ON links (until);
CREATE TABLE sessions (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, user BLOB NOT NULL, agent TEXT NOT NULL,
  created_at INTEGER NOT NULL, seen_at INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user);
CREATE INDEX sessions_by_age ON sessions (seen_at);
