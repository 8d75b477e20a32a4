-- The thirteenth migration: a known text, sealed with the key this store was made with.
CREATE TABLE seal (mark BLOB NOT NULL) STRICT;
