-- What answers who saw somebody: the bitmaps beside the log, turned by subject; policy bundles that were ever current.
--
-- Trust: seen.* is a cache. Its pages are sealed by the keeper and bound to their place; what is missing, changed or of
-- another log is made again from the bitmaps. Who can change it gains a slow answer, never a wrong one.

CREATE SCHEMA seen;

CREATE TABLE seen.segment (
    first bigint PRIMARY KEY CHECK (first >= 0),              -- covers the log's entries from here …
    past  bigint NOT NULL CHECK (past > first),               -- … to before here; the next segment's first
    head  bytea  NOT NULL                                     -- sealed: which entries, which pages
);
CREATE TABLE seen.page (
    first  bigint  NOT NULL REFERENCES seen.segment ON DELETE CASCADE,
    page   bigint  NOT NULL,                                  -- subjects' ordinals ÷ 4096
    sealed bytea   NOT NULL,                                  -- Roaring bitmap of (entry's place, subject)
    PRIMARY KEY (first, page)
);
GRANT USAGE ON SCHEMA seen TO huanshu_keeper;
GRANT SELECT, INSERT, DELETE ON seen.segment, seen.page TO huanshu_keeper;

-- Trust: a bundle is believed only when its files have the digest that an entry of the log names. Who can change it can
-- make an old decision impossible to replay, never make it read otherwise.
CREATE TABLE log.bundle (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),     -- as policy.bundle.adopted says it
    files  bytea NOT NULL                                     -- zlib of a JSON object: path → text
);
GRANT SELECT, INSERT ON log.bundle TO huanshu_keeper;
GRANT SELECT ON log.bundle TO huanshu_app;
