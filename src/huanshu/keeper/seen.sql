-- name: segments
SELECT s.first, s.past, s.head, e.leaf_hash
FROM seen.segment s JOIN log.entry e ON e.index = s.past - 1
ORDER BY s.first

-- name: pages
SELECT first, page, sealed FROM seen.page WHERE page = ANY(%s) AND first = ANY(%s)

-- name: keep_segment
INSERT INTO seen.segment (first, past, head) VALUES (%s, %s, %s)

-- name: keep_pages
INSERT INTO seen.page (first, page, sealed) SELECT %s, * FROM unnest(%s::bigint[], %s::bytea[])

-- name: forget_pages
DELETE FROM seen.page WHERE first >= %s

-- name: forget
DELETE FROM seen.segment WHERE first >= %s

-- name: last_hash
SELECT leaf_hash FROM log.entry WHERE index = %s
