-- What a rotation has to do is in the rows, quarantined ones too; and a line says which of its two kinds it is.

-- Trust: another epoch here makes a rotation look at the row once more, or not at all; it opens nothing. A row that was not
-- looked at opens under its key as long as that key is not destroyed, and a destruction names its epochs in the log.
ALTER TABLE district.quarantine ADD COLUMN epoch integer CHECK (epoch > 0);
-- A rotation has brought all rows of its dataset to its epoch, and no row lies under an earlier key than the first.
UPDATE district.quarantine q SET epoch = coalesce(
    (SELECT max(r.epoch) FROM district.rotation r WHERE r.dataset = b.dataset AND r.told), 1)
FROM district.batch b WHERE b.batch = q.batch;
UPDATE district.quarantine SET epoch = 1 WHERE epoch IS NULL;
ALTER TABLE district.quarantine ALTER epoch SET NOT NULL;

-- Trust: who changes it makes a run go on with a ticket that lends it no key; the run then stops.
ALTER TABLE district.rotation ADD COLUMN what text NOT NULL DEFAULT 'cells' CHECK (what IN ('cells', 'links'));
ALTER TABLE district.rotation ALTER what DROP DEFAULT;

-- Who was looked at in quarantine is found by links of the generation in force.
GRANT UPDATE ON district.quarantine_looked TO huanshu_app;
