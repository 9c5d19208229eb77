-- name: quarantine_past
-- Settled rows that are past their period; rows that still wait for somebody are not deleted, they are overdue.
SELECT count(*) FILTER (WHERE q.state NOT IN ('open', 'ordered')), count(*) FILTER (WHERE q.state IN ('open', 'ordered'))
FROM district.quarantine q JOIN district.batch b USING (batch)
WHERE coalesce(q.settled_at, b.settled_at) < %s

-- name: delete_quarantine
DELETE FROM district.quarantine q USING district.batch b
WHERE b.batch = q.batch AND q.state NOT IN ('open', 'ordered') AND coalesce(q.settled_at, b.settled_at) < %s

-- name: leaf
SELECT leaf FROM log.entry WHERE index = %s

-- name: size
SELECT coalesce(max(index) + 1, 0) FROM log.entry

-- name: deliveries_before
SELECT count(*) FROM log.entry WHERE event LIKE 'exchange.delivery.%%' AND index < %s
