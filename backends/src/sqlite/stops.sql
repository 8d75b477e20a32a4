-- The eighth migration: what stops letters. A `key` is the keyed digest of an address, an `address` the address sealed.
CREATE TABLE suppressions (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, address BLOB NOT NULL, why INTEGER NOT NULL, note TEXT,
  first INTEGER NOT NULL, last INTEGER NOT NULL, event INTEGER, n INTEGER
) STRICT;
CREATE TABLE stopped (
  hook INTEGER NOT NULL, key BLOB NOT NULL, address BLOB NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (hook, key)
) STRICT, WITHOUT ROWID;
-- strangers' addresses that were asked whether they want an owner's letters; `settle` while what they were held is let go
CREATE TABLE confirmations (
  key BLOB NOT NULL, owner BLOB NOT NULL, asked INTEGER NOT NULL, confirmed INTEGER, settle INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (key, owner)
) STRICT, WITHOUT ROWID;
CREATE INDEX confirmations_asked ON confirmations (owner, asked) WHERE confirmed IS NULL;
CREATE INDEX confirmations_to_settle ON confirmations (key, owner) WHERE settle <> 0;
-- letters let go in each hour, and those held until they are confirmed or the hour turns
CREATE TABLE let_go (
  hour INTEGER NOT NULL, key BLOB NOT NULL, event INTEGER NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (hour, key, event, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE kept_back (
  why INTEGER NOT NULL, key BLOB NOT NULL, owner BLOB NOT NULL, until INTEGER NOT NULL, event INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (why, key, owner, event, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_back_until ON kept_back (why, until, key);
-- hooks (0 is the house) whose held letters one letter already stands for, while they are moved
CREATE TABLE summed_up (
  key BLOB NOT NULL, until INTEGER NOT NULL, hook INTEGER NOT NULL, PRIMARY KEY (key, until, hook)
) STRICT, WITHOUT ROWID;
