-- name: line
-- The rotation of a dataset that is not told yet: at most one of a kind, since a run takes it up before it begins another.
SELECT rotation, epoch, generation FROM district.rotation
WHERE dataset = %(dataset)s AND what = %(what)s AND NOT told ORDER BY rotation LIMIT 1

-- name: under_way
SELECT rotation FROM district.rotation WHERE dataset = %(dataset)s AND NOT told ORDER BY what LIMIT 1

-- name: begin
INSERT INTO district.rotation (rotation, dataset, what, epoch, generation)
VALUES (%(rotation)s, %(dataset)s, %(what)s, %(epoch)s, %(generation)s) ON CONFLICT (rotation) DO NOTHING

-- name: refused
-- A line that no entry authorised and under which nothing was written has nothing to tell.
UPDATE district.rotation r SET told = true
WHERE rotation = %(rotation)s AND NOT EXISTS (SELECT FROM district.written w WHERE w.batch = r.rotation)

-- name: told
UPDATE district.rotation SET told = true WHERE rotation = %(rotation)s

-- name: relinked
UPDATE district.link_generation SET generation = %(generation)s

-- name: quarantined
SELECT q.batch, q.row, q.ordered, q.sealed, q.repair FROM district.quarantine q JOIN district.batch b USING (batch)
WHERE b.dataset = %(dataset)s AND q.epoch < %(epoch)s ORDER BY q.batch, q.row FOR UPDATE OF q

-- name: quarantined_behind
SELECT count(*) FROM district.quarantine q JOIN district.batch b USING (batch)
WHERE b.dataset = %(dataset)s AND q.epoch < %(epoch)s

-- name: requarantine
UPDATE district.quarantine SET sealed = coalesce(%(sealed)s, sealed), repair = coalesce(%(repair)s, repair),
    epoch = %(epoch)s
WHERE batch = %(batch)s AND row = %(row)s

-- name: corrections
SELECT correction, home, field, record, base, epoch, value, reference FROM district.correction
WHERE dataset = %(dataset)s AND epoch < %(epoch)s AND (value IS NOT NULL OR reference IS NOT NULL)
ORDER BY correction FOR UPDATE

-- name: corrections_behind
SELECT count(*) FROM district.correction
WHERE dataset = %(dataset)s AND epoch < %(epoch)s AND (value IS NOT NULL OR reference IS NOT NULL)

-- name: forsake
-- What lies under a destroyed key nobody opens any more.
UPDATE district.correction SET value = NULL, reference = NULL, standing = false WHERE correction = %(correction)s

-- name: recorrect
UPDATE district.correction SET epoch = %(epoch)s, value = %(value)s, reference = %(reference)s
WHERE correction = %(correction)s

-- name: slices_again
-- What receivers hold lies there in another shape from now on: due again, all of it.
UPDATE district.delivery d SET shape = NULL FROM district.delivered l
WHERE l.last = d.delivery AND l.flow = ANY(%(flows)s)

-- name: slices_due_again
SELECT count(*) FROM district.delivered l JOIN district.delivery d ON d.delivery = l.last
WHERE l.flow = ANY(%(flows)s) AND d.shape IS NULL
