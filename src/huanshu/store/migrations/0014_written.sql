-- What each batch wrote into a dataset of the district store, one list a home: for every row its record, version and
-- digest, 44 bytes each, ascending by record (docs/FORMAT.md, 14). Under the empty home: what the batch ended, the last
-- 32 bytes zero. A batch is an extract, an accepted correction or a repaired row.
--
-- Trust: the digest of a batch's lists is in the entry that tells of the batch, so a changed list, a missing one and one
-- too many are found by the verifier, and so is every row that is not what its list says. Lists hold no value.
DO $$ BEGIN
    IF EXISTS (SELECT FROM district.batch b WHERE state = 'promoted' AND NOT EXISTS (SELECT FROM log.entry
               WHERE once IN ('exchange.intake.promoted/' || b.entry_index, 'quarantine.repair/' || b.entry_index)))
       OR EXISTS (SELECT FROM district.correction c WHERE state = 'accepted' AND NOT EXISTS (SELECT FROM log.entry
               WHERE once = 'correction.change.accepted/' || c.entry_index)) THEN
        RAISE EXCEPTION 'an intake or an acceptance is not told yet: finish it with the version that began it, then upgrade';
    END IF;
END $$;

CREATE TABLE district.written (
    batch text  NOT NULL,
    home  text  NOT NULL,
    rows  bytea NOT NULL CHECK (length(rows) > 0 AND length(rows) % 44 = 0),
    PRIMARY KEY (batch, home)
);
ALTER TABLE district.written ALTER rows SET STORAGE EXTERNAL;  -- digests do not compress

GRANT SELECT, INSERT ON district.written TO huanshu_app;
