-- Corrections (回流更正): what communities propose, how it was judged and answered; and the workbooks given out.
--
-- Trust: whoever can change these tables can hide, repeat or mis-route a proposal, never read one and never make one
-- accepted: a proposed value is sealed and bound to its correction, record and base version, and the keeper re-seals a
-- record only against the entry of a steward's acceptance. What was proposed and answered, by whom, is in the log.

CREATE TABLE district.correction_batch (
    batch       text PRIMARY KEY,                             -- hex SHA-256 of what was signed (with its nonce), or of the workbook
    dataset     text    NOT NULL,
    sender      text    NOT NULL,                             -- the community
    channel     text    NOT NULL CHECK (channel IN ('signed', 'workbook')),
    sequence    bigint  NOT NULL CHECK (sequence > 0),
    state       text    NOT NULL CHECK (state IN ('received', 'judged')),
    person      text    NOT NULL,
    post        text    NOT NULL,
    entry_index bigint  NOT NULL,                             -- correction.batch.authorised
    received_at timestamptz NOT NULL DEFAULT now(),
    judged_at   timestamptz,
    UNIQUE (dataset, sender, channel, sequence)               -- replay and gap: the next number, exactly
);

CREATE TABLE district.correction (
    correction  text PRIMARY KEY,                             -- <first 12 digits of the batch>.<row>
    batch       text    NOT NULL REFERENCES district.correction_batch,
    row         integer NOT NULL,                             -- 1-based place in the batch
    dataset     text    NOT NULL,
    home        text    NOT NULL,                             -- the community that proposes
    record      bigint  NOT NULL,
    field       text    NOT NULL,
    base        integer NOT NULL,                             -- the version that the proposer saw
    epoch       integer NOT NULL,
    value       bytea,                                        -- sealed; none where it was refused unread
    evidence    text    NOT NULL,                             -- kind of evidence, a word of a closed list
    reference   bytea,                                        -- sealed text of the evidence
    state       text    NOT NULL CHECK
                (state IN ('received', 'proposed', 'accepted', 'refused', 'conflict', 'withdrawn')),
    reason      text,                                         -- a code, never a sentence
    rules       text[]  NOT NULL DEFAULT '{}',                -- rules that failed and may be named to the proposer
    steward     text    NOT NULL,                             -- the post that answers
    due         timestamptz,                                  -- when the answer is due
    version     integer,                                      -- of the record, made by acceptance
    source_mark bytea CHECK (length(source_mark) = 16),       -- of the department's own value at acceptance
    standing    boolean NOT NULL DEFAULT false,               -- accepted, and the department's own value is the old one
    entry_index bigint,                                       -- of the answer
    answered_at timestamptz,
    UNIQUE (batch, row)
);
CREATE INDEX correction_open ON district.correction (dataset, home) WHERE state IN ('received', 'proposed');
CREATE UNIQUE INDEX correction_standing ON district.correction (dataset, record, field) WHERE standing;

CREATE TABLE district.workbook (
    workbook    text PRIMARY KEY,                             -- random
    dataset     text    NOT NULL,
    domain      text    NOT NULL,
    sequence    bigint  NOT NULL CHECK (sequence > 0),
    contract    text    NOT NULL,
    rows        integer NOT NULL,
    person      text    NOT NULL,
    post        text    NOT NULL,
    purpose     text    NOT NULL,
    entry_index bigint  NOT NULL,                             -- access.workbook.authorised
    issued_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (dataset, domain, sequence)
);

-- Which version of each record a community's workbooks have shown last: what "changes since the last one" is from.
CREATE TABLE district.workbook_shown (
    dataset text    NOT NULL,
    domain  text    NOT NULL,
    record  bigint  NOT NULL,
    version integer NOT NULL,
    PRIMARY KEY (dataset, domain, record)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON
    district.correction_batch, district.correction, district.workbook, district.workbook_shown TO huanshu_app;
