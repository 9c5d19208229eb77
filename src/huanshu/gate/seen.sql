-- name: entries
SELECT leaf FROM log.entry WHERE index = ANY(%s) ORDER BY index

-- name: settled
-- How authorised deliveries ended, from the first that is asked about on.
SELECT leaf FROM log.entry
WHERE event IN ('exchange.delivery.arrived', 'exchange.delivery.stopped') AND index > %s
ORDER BY index

-- name: lent
SELECT DISTINCT entry_index FROM log.loan WHERE entry_index = ANY(%s)

-- name: quarantined
-- Entries that opened a quarantined row whose identifier belongs to these subjects, and that bind nobody.
SELECT e.index
FROM log.entry e, LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS b) j
JOIN (
    SELECT batch, row, link FROM district.quarantine
    UNION ALL SELECT batch, row, link FROM district.quarantine_looked
) q ON q.batch = b -> 'detail' ->> 'batch' AND q.row = (b -> 'detail' ->> 'row')::integer
JOIN district.subject s ON s.kind IN ('person', 'organisation') AND s.link = q.link
WHERE e.event = 'access.quarantine.authorised' AND e.index < %s AND NOT b ? 'subjects' AND s.ordinal = ANY(%s)
