-- The eleventh migration: what people want no letters of: a kind or a resource, the other one empty.
CREATE TABLE mutes (
  user BLOB NOT NULL, kind TEXT NOT NULL, resource TEXT NOT NULL, PRIMARY KEY (user, kind, resource)
) STRICT, WITHOUT ROWID;
CREATE INDEX mutes_by_resource ON mutes (resource);
