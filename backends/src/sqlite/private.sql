-- The sixth migration: private letters. Their events and deliveries are in bucket 0, which no list walks; a row here is one
-- whose content, sealed in its event's frame, is still there.
CREATE TABLE private_letters (event INTEGER PRIMARY KEY, expires INTEGER NOT NULL) STRICT;
CREATE INDEX private_letters_by_expiry ON private_letters (expires);
