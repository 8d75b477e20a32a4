-- The fourteenth migration: what the first message of a thread became at a destination. `about` is the application or add-on, else
-- the owner.
CREATE TABLE threads (
  destination INTEGER NOT NULL, about ANY NOT NULL, root TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (destination, about)
) STRICT, WITHOUT ROWID;
CREATE INDEX threads_by_age ON threads (at);
