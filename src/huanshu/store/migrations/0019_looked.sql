-- Whom a quarantined row was about that somebody looked at and whose retention has ended: otherwise the look would vanish
-- from the answers who saw whom. The row's values are gone; what is left is the keyed link, as long as the log has the look.
--
-- Trust: whoever can change it can hide such a look from an answer, not from the log: its entry names batch and row.
CREATE TABLE district.quarantine_looked (
    batch text    NOT NULL,
    row   integer NOT NULL,
    link  bytea   NOT NULL CHECK (length(link) = 16),
    PRIMARY KEY (batch, row)
);
GRANT SELECT, INSERT ON district.quarantine_looked TO huanshu_app;
