-- The tenth migration: what changes of the counts of hooks goes to the end of a log, and is added up later.
CREATE TABLE tally_log (seq INTEGER PRIMARY KEY, hook INTEGER NOT NULL, held INTEGER NOT NULL, dead INTEGER NOT NULL) STRICT;
