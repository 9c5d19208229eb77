-- name: selected
-- Entries that bind subjects, by one selector; :events, :from, :to, :before bound all of them.
SELECT e.index, e.leaf
FROM log.entry e, LATERAL (SELECT convert_from(e.leaf, 'UTF8')::jsonb AS b) j
WHERE e.event = ANY(%(events)s) AND e.index > %(after)s AND e.index < %(before)s
  AND (b ->> 'at')::timestamptz >= %(from)s AND (b ->> 'at')::timestamptz < %(to)s
  AND CASE %(kind)s
      WHEN 'person'   THEN b ->> 'person' = %(name)s
      WHEN 'account'  THEN b -> 'established' ->> 'account' = %(name)s
      WHEN 'session'  THEN b ->> 'trace' = %(name)s OR b -> 'flow' ->> 'run' = %(name)s
      WHEN 'workbook' THEN b -> 'detail' ->> 'workbook' = %(name)s
      WHEN 'domain'   THEN b ->> 'domain' = %(name)s
      WHEN 'key'      THEN b ->> 'domain' = %(domain)s AND b ->> 'dataset' = %(dataset)s AND b -> 'fields' ? %(field)s
      ELSE false
      END
ORDER BY e.index
LIMIT %(limit)s

-- name: settled
-- The entries that say how an authorised delivery ended; a stopped one binds whom it had really opened.
SELECT leaf FROM log.entry
WHERE event IN ('exchange.delivery.arrived', 'exchange.delivery.stopped') AND index > %s AND index < %s
ORDER BY index

-- name: lent
SELECT DISTINCT entry_index FROM log.loan WHERE entry_index = ANY(%s)
