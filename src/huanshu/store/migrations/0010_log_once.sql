-- Most entries have no idempotency key: only those that have one are kept in its index. A group of entries without keys
-- is appended with one index less to write.
CREATE UNIQUE INDEX entry_once ON log.entry (once) WHERE once IS NOT NULL;
ALTER TABLE log.entry DROP CONSTRAINT entry_once_key;
