-- The twelfth migration: keys that are written for good, in sorted runs, each with what tells which keys it cannot hold. `event_keys` is
-- what many runs are folded into.
CREATE TABLE key_runs (run INTEGER NOT NULL, key BLOB NOT NULL, event INTEGER NOT NULL, PRIMARY KEY (run, key)) STRICT, WITHOUT ROWID;
CREATE TABLE key_filters (run INTEGER PRIMARY KEY, newest INTEGER NOT NULL, filter BLOB NOT NULL) STRICT;
