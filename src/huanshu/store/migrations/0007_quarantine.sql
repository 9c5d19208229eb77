-- What becomes of a quarantined row. The row itself stays, sealed, until its retention ends.
--
-- Trust: whoever can change these columns can hide an open row or mix up its history; no value lies here in plain. An order
-- to repair is an entry of the log, its new values are sealed by the keeper and bound to batch and row.
ALTER TABLE district.quarantine
    ADD COLUMN state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'ordered', 'repaired', 'resubmitted', 'superseded', 'dismissed')),
    ADD COLUMN link        bytea CHECK (length(link) = 16),   -- of the contract's primary key; none where the row has none
    ADD COLUMN ordered     bigint,                            -- quarantine.repair.ordered
    ADD COLUMN repair      bytea,                             -- the new values, sealed
    ADD COLUMN failed      text[] NOT NULL DEFAULT '{}',      -- rules that the last repair failed
    ADD COLUMN settled_by  text,                              -- batch that carried the corrected row, or that of the repair
    ADD COLUMN entry_index bigint,                            -- of the repair's settlement or the dismissal
    ADD COLUMN settled_at  timestamptz;
CREATE INDEX quarantine_open ON district.quarantine (batch) WHERE state IN ('open', 'ordered');
