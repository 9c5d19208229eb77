-- name: there
-- Whether there is such an entry, and the adoption that was in force when it was appended.
SELECT EXISTS (SELECT 1 FROM log.entry WHERE index = %s),
       (SELECT index FROM log.entry WHERE event = 'policy.bundle.adopted' AND index <= %s ORDER BY index DESC LIMIT 1)

-- name: bundle
SELECT files FROM log.bundle WHERE digest = %s
