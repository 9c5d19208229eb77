-- Deliveries by the chunk and books by the receiver: one row each, whose arrays are read and written whole. A row per
-- record and receiver (0001) wrote every record of a first delivery three times over before it had left the district.
--
-- Trust: as district.delivery. Records and versions are numbers; the bitmap names subjects by ordinal, as the records do.

DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM district.delivery WHERE state IN ('frozen', 'authorised')) THEN
        RAISE EXCEPTION 'a delivery is under way: finish it with the version that began it, then upgrade';
    END IF;
END $$;

CREATE TABLE district.delivery_chunk (
    delivery  text    NOT NULL REFERENCES district.delivery ON DELETE CASCADE,
    chunk     integer NOT NULL,
    records   bigint[] NOT NULL,                              -- upserts, ascending
    versions  bigint[] NOT NULL,                              -- of each
    withdrawn bigint[] NOT NULL,                              -- records that leave the slice; all in chunk 0
    subjects  bytea   NOT NULL,                               -- Roaring bitmap of the upserts' subjects
    PRIMARY KEY (delivery, chunk)
);
ALTER TABLE district.delivery_chunk
    ALTER records SET STORAGE EXTERNAL, ALTER versions SET STORAGE EXTERNAL, ALTER withdrawn SET STORAGE EXTERNAL;
DROP TABLE district.delivery_item;

-- What each receiver holds of each flow, as of its last arrived delivery.
ALTER TABLE district.delivered RENAME TO delivered_by_record;
CREATE TABLE district.delivered (
    flow     text     NOT NULL,
    receiver text     NOT NULL,
    records  bigint[] NOT NULL,                               -- ascending
    versions bigint[] NOT NULL,                               -- of each
    CONSTRAINT delivered_key PRIMARY KEY (flow, receiver)
);
ALTER TABLE district.delivered ALTER records SET STORAGE EXTERNAL, ALTER versions SET STORAGE EXTERNAL;
INSERT INTO district.delivered (flow, receiver, records, versions)
    SELECT flow, receiver, array_agg(record ORDER BY record), array_agg(version::bigint ORDER BY record)
    FROM district.delivered_by_record GROUP BY flow, receiver;
DROP TABLE district.delivered_by_record;

GRANT SELECT, INSERT, UPDATE, DELETE ON district.delivery_chunk, district.delivered TO huanshu_app;
