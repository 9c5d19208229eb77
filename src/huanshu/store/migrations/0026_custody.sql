-- Keys that are rotated and destroyed, subjects that are erased.

-- Destroying a key is deleting its wrapped form. Trust: whoever deletes one makes values unopenable, as before.
GRANT DELETE ON keys.wrapped TO huanshu_keeper;

-- A rotation under way, one line each: how a run finds its way back. The lists of what it wrote lie in district.written
-- under its name. Trust: who changes a line makes a run begin another rotation of what is left, no more.
CREATE TABLE district.rotation (
    rotation    text PRIMARY KEY,                             -- rotation/<16 hex digits>
    dataset     text    NOT NULL,
    epoch       integer NOT NULL,
    generation  integer NOT NULL,
    entry_index bigint,                                       -- keys.rotation.authorised
    told        boolean NOT NULL DEFAULT false
);

-- How many times the links of all tables were made anew: link = CMAC(kn, … CMAC(k1, identifier)). Changed in the one
-- transaction that changes the links. Trust: another number makes look-ups miss and an intake refuse; it opens nothing.
CREATE TABLE district.link_generation (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    generation integer NOT NULL CHECK (generation > 0)
);
INSERT INTO district.link_generation (generation) VALUES (1);

-- Who was erased: the link stays, and nothing else of the person, so that a row that comes again is recognised.
-- Trust: who deletes a line lets the person be taken in anew, under a new number; the verifier misses the line, for the
-- entry binds how many there are and their digest. Who adds one keeps somebody out, which quarantine shows.
CREATE TABLE district.tombstone (
    dataset       text   NOT NULL,
    kind          text   NOT NULL,                            -- of district.subject
    link          bytea  NOT NULL CHECK (length(link) = 16),
    ordinal       bigint NOT NULL,
    erasure       bigint NOT NULL,                            -- erasure.subject.confirmed
    backups_until date   NOT NULL,                            -- the last backup that holds the person has expired then
    PRIMARY KEY (dataset, kind, link)
);

-- What an erasure took, in counts and record numbers, written in its one transaction: how a run that was killed before it
-- told the log knows what to tell. Trust: who changes it makes an entry say other counts; the lists say which rows are left.
CREATE TABLE district.erasure (
    erasure     bigint PRIMARY KEY,                           -- erasure.subject.confirmed
    dataset     text     NOT NULL,
    removed     integer  NOT NULL,
    quarantined integer  NOT NULL,
    corrections integer  NOT NULL,
    tombstones  integer  NOT NULL,
    records     bigint[] NOT NULL                             -- numbers that lead to nobody any more
);

-- Which list of a batch and home holds now: the one that was written last. Trust: who changes the order makes a renewal
-- refuse, for the rows are then not as the list says.
ALTER TABLE district.written ADD COLUMN sequence bigint GENERATED ALWAYS AS IDENTITY;

-- A list may be replaced by one without rows: what a batch wrote may have been erased, all of it.
ALTER TABLE district.written DROP CONSTRAINT written_rows_check,
    ADD CONSTRAINT written_rows_check CHECK (length(rows) % 44 = 0);

GRANT USAGE ON SCHEMA district TO huanshu_keeper;
GRANT SELECT ON district.link_generation TO huanshu_keeper;
GRANT SELECT, UPDATE ON district.link_generation TO huanshu_app;
GRANT SELECT, INSERT, UPDATE ON district.rotation, district.tombstone, district.erasure TO huanshu_app;
