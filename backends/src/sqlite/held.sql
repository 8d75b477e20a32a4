-- The ninth migration: when the owner of a hook that holds was told that what it holds will be given up.
ALTER TABLE hooks ADD COLUMN told INTEGER;
