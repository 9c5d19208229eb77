-- name: tombstones
INSERT INTO district.tombstone (dataset, kind, link, ordinal, erasure, backups_until)
SELECT %(dataset)s, kind, link, ordinal, %(erasure)s, %(until)s FROM district.subject
WHERE kind = %(kind)s AND ordinal = ANY(%(subjects)s) ON CONFLICT (dataset, kind, link) DO NOTHING

-- name: quarantined
DELETE FROM district.quarantine q USING district.batch b, district.tombstone t
WHERE b.batch = q.batch AND b.dataset = %(dataset)s AND t.dataset = %(dataset)s AND t.link = q.link
  AND t.erasure = %(erasure)s AND NOT %(rule)s = ANY(q.rules)  -- who came again is for the steward to see

-- name: corrections
UPDATE district.correction SET value = NULL, reference = NULL, standing = false
WHERE dataset = %(dataset)s AND record = ANY(%(records)s) AND (value IS NOT NULL OR reference IS NOT NULL)

-- name: workbooks
DELETE FROM district.workbook_shown WHERE dataset = %(dataset)s AND record = ANY(%(records)s)

-- name: records
DELETE FROM district.record WHERE dataset = %(dataset)s AND record = ANY(%(records)s)

-- name: subjects
-- A person of other datasets too keeps the number there: as whom a record is about, or as one whom it names.
DELETE FROM district.subject s WHERE s.kind = %(kind)s AND s.ordinal = ANY(%(subjects)s)
  AND NOT s.ordinal = ANY(%(kept)s) AND NOT EXISTS (SELECT FROM district.record r WHERE r.link = s.link)

-- name: note
INSERT INTO district.erasure (erasure, dataset, removed, quarantined, corrections, tombstones, records)
VALUES (%(erasure)s, %(dataset)s, %(removed)s, %(quarantined)s, %(corrections)s, %(tombstones)s, %(records)s)
ON CONFLICT (erasure) DO UPDATE SET dataset = excluded.dataset, removed = excluded.removed, quarantined = excluded.quarantined,
    corrections = excluded.corrections, tombstones = excluded.tombstones, records = excluded.records

-- name: left
-- Whether a store that was put back from a backup has something of an erased person again, beside the rows.
SELECT EXISTS (SELECT FROM district.quarantine q JOIN district.batch b USING (batch) JOIN district.tombstone t USING (link)
               WHERE b.dataset = %(dataset)s AND t.dataset = %(dataset)s AND t.erasure = %(erasure)s
                 AND NOT %(rule)s = ANY(q.rules))
    OR EXISTS (SELECT FROM district.correction WHERE dataset = %(dataset)s AND record = ANY(%(records)s)
               AND (value IS NOT NULL OR reference IS NOT NULL))
    OR EXISTS (SELECT FROM district.workbook_shown WHERE dataset = %(dataset)s AND record = ANY(%(records)s))
    OR EXISTS (SELECT FROM district.record WHERE dataset = %(dataset)s AND record = ANY(%(records)s))
    OR EXISTS (SELECT FROM district.subject s WHERE s.kind = %(kind)s AND s.ordinal = ANY(%(subjects)s)
               AND NOT EXISTS (SELECT FROM district.tombstone t WHERE t.ordinal = s.ordinal AND t.erasure = %(erasure)s))

-- name: buried
SELECT kind, ordinal FROM district.tombstone WHERE erasure = %(erasure)s

-- name: done
SELECT removed, quarantined, corrections, tombstones FROM district.erasure WHERE erasure = %(erasure)s

-- name: records_of
SELECT unnest(records) FROM district.erasure WHERE erasure = %(erasure)s

-- name: held_by
SELECT DISTINCT receiver FROM district.delivered
WHERE flow = ANY(%(flows)s) AND records && %(records)s::bigint[] ORDER BY receiver

-- name: gone
SELECT link FROM district.tombstone WHERE dataset = %(dataset)s AND kind = %(kind)s
