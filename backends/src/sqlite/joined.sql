-- The third migration: since when somebody is a member: the newest event there was when they joined.
ALTER TABLE members ADD COLUMN since INTEGER NOT NULL DEFAULT 0;
