-- name: entry
SELECT leaf FROM log.entry WHERE index = %s

-- name: adopted
-- The adoption that was in force when an entry was appended.
SELECT leaf FROM log.entry WHERE event = 'policy.bundle.adopted' AND index <= %s ORDER BY index DESC LIMIT 1

-- name: bundle
SELECT files FROM log.bundle WHERE digest = %s
