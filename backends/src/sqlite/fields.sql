-- The fourth migration: what a destination needs besides its URL, sealed as one JSON object.
ALTER TABLE destinations ADD COLUMN fields BLOB;
