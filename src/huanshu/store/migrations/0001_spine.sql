-- The district database. Roles (made by huanshu.store.roles before this file runs):
--   huanshu_owner   owns every object, used by migrations only
--   huanshu_keeper  the keeper process: appends to log.*, owns the wrapped keys
--   huanshu_app     everything else: reads the log, reads and writes the district store
-- The dataset tables (district.<dataset>, district.<dataset>_staging) are made from the contracts
-- by huanshu.exchange.tables, not here.

CREATE SCHEMA log;
CREATE SCHEMA keys;
CREATE SCHEMA district;

-- ------------------------------------------------------------------------------------------------ log
-- Trust: whoever can change log.* can deny service; every change is found against the signed
-- checkpoints and the keeper's head, which lie outside this database.
CREATE TABLE log.entry (
    index     bigint PRIMARY KEY CHECK (index >= 0),
    event     text   NOT NULL,
    leaf      bytea  NOT NULL CHECK (length(leaf) <= 65535),  -- RFC 8785 bytes of the entry
    leaf_hash bytea  NOT NULL CHECK (length(leaf_hash) = 32), -- SHA-256(0x00 || leaf), RFC 6962 2.1
    once      text   UNIQUE                                   -- idempotency key, e.g. exchange.delivery.arrived/<id>
);
CREATE INDEX entry_event ON log.entry (event, index);

CREATE TABLE log.checkpoint (
    size bigint PRIMARY KEY CHECK (size > 0),
    note text   NOT NULL                                      -- C2SP signed-note of the tlog-checkpoint
);

-- Attachments too large for an entry, bound by digest in the entry. Sealed under the log's own key.
CREATE TABLE log.bitmap (
    sealed_sha256 bytea PRIMARY KEY CHECK (length(sealed_sha256) = 32),
    sealed        bytea NOT NULL
);

-- One row per loan of keys or opening of values; written and committed before anything leaves the keeper.
CREATE TABLE log.loan (
    loan        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry_index bigint NOT NULL REFERENCES log.entry (index),
    kind        text   NOT NULL CHECK (kind IN ('keys', 'opened')),
    chunk       integer NOT NULL,
    fields      text[] NOT NULL,
    amount      integer NOT NULL,                             -- keys lent, or values opened
    at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX loan_entry ON log.loan (entry_index);

GRANT USAGE ON SCHEMA log TO huanshu_keeper, huanshu_app;
GRANT SELECT, INSERT ON log.entry, log.checkpoint, log.bitmap, log.loan TO huanshu_keeper;
GRANT SELECT ON ALL TABLES IN SCHEMA log TO huanshu_app;

-- ----------------------------------------------------------------------------------------------- keys
-- Trust: whoever can change keys.* can make values unopenable, never open one: every key is wrapped
-- (AES-SIV, RFC 5297) under the root key, with its own name as associated data.
CREATE TABLE keys.wrapped (
    name    text PRIMARY KEY,                                 -- data/<domain>/<dataset>/<field>/<epoch> · link/<kind> · …
    wrapped bytea NOT NULL,
    born_at timestamptz NOT NULL DEFAULT now()
);
GRANT USAGE ON SCHEMA keys TO huanshu_keeper;
GRANT SELECT, INSERT ON keys.wrapped TO huanshu_keeper;

-- ------------------------------------------------------------------------------------------- district
-- Trust: whoever can change district.* can withhold, mis-route or duplicate ciphertext; sealing binds each
-- cell to its place and version, and fsck --data compares slices with the digests in the log.
CREATE TABLE district.subject (
    kind    text   NOT NULL,
    ordinal bigint GENERATED ALWAYS AS IDENTITY,              -- never reused
    link    bytea  NOT NULL CHECK (length(link) = 16),
    PRIMARY KEY (kind, link),
    UNIQUE (ordinal)
);

CREATE TABLE district.record (
    dataset text   NOT NULL,
    record  bigint GENERATED ALWAYS AS IDENTITY,
    link    bytea  NOT NULL CHECK (length(link) = 16),        -- of the contract's primary key
    PRIMARY KEY (dataset, link),
    UNIQUE (record)
);

CREATE TABLE district.batch (
    batch       text PRIMARY KEY,                             -- hex of the manifest digest
    dataset     text   NOT NULL,
    sender      text   NOT NULL,
    sequence    bigint NOT NULL CHECK (sequence > 0),
    state       text   NOT NULL CHECK (state IN ('staging', 'promoted', 'refused')),
    verdict     jsonb,                                        -- counts and rule names only, never values
    entry_index bigint NOT NULL,                              -- exchange.intake.authorised
    settled_at  timestamptz,
    UNIQUE (dataset, sender, sequence, batch)
);

CREATE TABLE district.quarantine (
    batch  text    NOT NULL REFERENCES district.batch,
    row    integer NOT NULL,                                  -- 1-based data row of the extract
    rules  text[]  NOT NULL,
    sealed bytea   NOT NULL,                                  -- the whole source row, sealed
    PRIMARY KEY (batch, row)
);

CREATE TABLE district.delivery (
    delivery     text PRIMARY KEY,                            -- hex SHA-256, see huanshu.exchange.delivery
    flow         text   NOT NULL,
    receiver     text   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('frozen', 'authorised', 'arrived', 'stopped')),
    upserts      integer NOT NULL,
    withdrawals  integer NOT NULL,
    entry_index  bigint,                                      -- exchange.delivery.authorised
    frozen_at    timestamptz NOT NULL DEFAULT now(),
    settled_at   timestamptz
);
CREATE INDEX delivery_flow ON district.delivery (flow, receiver);

CREATE TABLE district.delivery_item (
    delivery text    NOT NULL REFERENCES district.delivery ON DELETE CASCADE,
    chunk    integer NOT NULL,
    record   bigint  NOT NULL,
    version  integer NOT NULL,
    act      text    NOT NULL CHECK (act IN ('upsert', 'withdraw')),
    PRIMARY KEY (delivery, chunk, record)
);

-- What each receiver holds of each flow, as of its last arrived delivery.
CREATE TABLE district.delivered (
    flow     text    NOT NULL,
    receiver text    NOT NULL,
    record   bigint  NOT NULL,
    version  integer NOT NULL,
    PRIMARY KEY (flow, receiver, record)
);

GRANT USAGE, CREATE ON SCHEMA district TO huanshu_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA district TO huanshu_app;
