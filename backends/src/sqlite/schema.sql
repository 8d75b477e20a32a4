-- The first migration. Numbers for states, roles and shapes are in rows.rs; times are milliseconds since 1970.

-- who there is
CREATE TABLE users (
  id BLOB PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, lang TEXT NOT NULL,
  operator INTEGER NOT NULL, closed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX users_closed ON users (closed) WHERE closed > 0;
CREATE TABLE organisations (
  id BLOB PRIMARY KEY, name TEXT NOT NULL, closed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX organisations_closed ON organisations (closed) WHERE closed > 0;
CREATE TABLE members (
  organisation BLOB NOT NULL, user BLOB NOT NULL, role INTEGER NOT NULL, PRIMARY KEY (organisation, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_by_user ON members (user);
CREATE TABLE resources (
  id TEXT PRIMARY KEY, real_id TEXT UNIQUE, owner BLOB NOT NULL, name TEXT NOT NULL, closed INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX resources_by_owner ON resources (owner, id);
CREATE INDEX resources_closed ON resources (closed) WHERE closed > 0;
CREATE TABLE tokens (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, created_at INTEGER NOT NULL,
  digest BLOB UNIQUE, user BLOB, public TEXT UNIQUE, secret BLOB
) STRICT;

-- who wants to be told: a deleted hook and a removed destination stay until their deliveries have passed retention;
-- `deleted`, `gone` and `skip` are the last event there was then
CREATE TABLE hooks (
  id INTEGER PRIMARY KEY, owner BLOB NOT NULL, name TEXT NOT NULL, events TEXT, scope TEXT, targets TEXT,
  schedule TEXT, state INTEGER NOT NULL, created_at INTEGER NOT NULL,
  secret BLOB, previous BLOB, previous_until INTEGER,
  settle INTEGER NOT NULL DEFAULT 0, skip INTEGER, deleted INTEGER
) STRICT;
CREATE INDEX hooks_by_owner ON hooks (owner, created_at, id) WHERE deleted IS NULL;
CREATE INDEX hooks_to_settle ON hooks (id) WHERE settle <> 0;
CREATE INDEX hooks_deleted ON hooks (deleted) WHERE deleted IS NOT NULL;
CREATE TABLE destinations (
  id INTEGER PRIMARY KEY, hook INTEGER NOT NULL, position INTEGER NOT NULL, format TEXT NOT NULL, url BLOB,
  removed INTEGER NOT NULL DEFAULT 0, gone INTEGER
) STRICT;
CREATE INDEX destinations_by_hook ON destinations (hook, position);
CREATE INDEX destinations_to_settle ON destinations (id) WHERE removed = 1;
CREATE INDEX destinations_gone ON destinations (gone) WHERE gone IS NOT NULL;
CREATE TABLE tallies (hook INTEGER PRIMARY KEY, held INTEGER NOT NULL, dead INTEGER NOT NULL) STRICT;

-- what happened; `bucket` counts up every few thousand rows, so that an index by owner or hook is only ever
-- written at its end, however many owners there are
CREATE TABLE buckets (id INTEGER PRIMARY KEY, first INTEGER NOT NULL) STRICT;
CREATE TABLE events (
  id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, owner BLOB NOT NULL, kind TEXT NOT NULL, resource TEXT,
  content BLOB, frame BLOB NOT NULL
) STRICT;
CREATE INDEX events_by_owner ON events (bucket, owner);
CREATE TABLE key_log (seq INTEGER PRIMARY KEY, key BLOB NOT NULL, event INTEGER NOT NULL) STRICT;
CREATE TABLE event_keys (key BLOB PRIMARY KEY, event INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- how far ids have come, whatever was erased, and how far the house has walked
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE key_walk (key BLOB NOT NULL) STRICT;

-- what is owed; a schedule begins with the event, or anew at `since`, when `spent` attempts had been made
CREATE TABLE deliveries (
  event INTEGER NOT NULL, n INTEGER NOT NULL, bucket INTEGER NOT NULL, hook INTEGER, destination INTEGER NOT NULL,
  state INTEGER NOT NULL, due INTEGER, attempts INTEGER NOT NULL DEFAULT 0,
  letter INTEGER NOT NULL, address TEXT, user BLOB, since INTEGER, spent INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (event, n), CHECK ((due IS NOT NULL) = (state < 2))
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_by_hook ON deliveries (bucket, hook);
CREATE INDEX deliveries_ready ON deliveries (destination, due, event, n) WHERE due IS NOT NULL;
CREATE INDEX deliveries_dead ON deliveries (destination, event, n) WHERE state BETWEEN 10 AND 19;
CREATE INDEX deliveries_held ON deliveries (destination, event, n) WHERE state BETWEEN 20 AND 29;
CREATE TABLE attempts (
  event INTEGER NOT NULL, n INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, took INTEGER NOT NULL,
  status INTEGER, note TEXT, excerpt TEXT, succeeded INTEGER NOT NULL, PRIMARY KEY (event, n, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempts_with_excerpt ON attempts (at) WHERE excerpt IS NOT NULL;
