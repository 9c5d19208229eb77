-- name: quarantine_past
-- Settled rows that are past their period; rows that still wait for somebody are not deleted, they are overdue.
SELECT count(*) FILTER (WHERE q.state NOT IN ('open', 'ordered')), count(*) FILTER (WHERE q.state IN ('open', 'ordered'))
FROM district.quarantine q JOIN district.batch b USING (batch)
WHERE coalesce(q.settled_at, b.settled_at) < %s

-- name: delete_quarantine
-- Whom a row was about stays where somebody has looked at it.
WITH gone AS (
    DELETE FROM district.quarantine q USING district.batch b
    WHERE b.batch = q.batch AND q.state NOT IN ('open', 'ordered') AND coalesce(q.settled_at, b.settled_at) < %s
    RETURNING q.batch, q.row, q.link
), looked AS (
    INSERT INTO district.quarantine_looked (batch, row, link)
    SELECT g.batch, g.row, g.link FROM gone g
    WHERE g.link IS NOT NULL AND EXISTS (
        SELECT 1 FROM log.entry e, LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb -> 'detail' AS d) j
        WHERE e.event = 'access.quarantine.authorised' AND d ->> 'batch' = g.batch AND (d ->> 'row')::integer = g.row)
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM gone

-- name: leaf
SELECT leaf FROM log.entry WHERE index = %s

-- name: size
SELECT coalesce(max(index) + 1, 0) FROM log.entry

-- name: deliveries_before
SELECT count(*) FROM log.entry WHERE event LIKE 'exchange.delivery.%%' AND index < %s
