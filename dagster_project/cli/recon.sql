-- What the command on deliveries reads of exceptions.

-- name: missing_files
SELECT e.source, e.kind, e.item_date, e.account, e.factors ->> 'why' AS why
FROM recon.exception_v1 AS e
WHERE e.class = 'source_gap' AND e.cleared_on IS NULL AND (%(source)s::text IS NULL OR e.source = %(source)s::text)
ORDER BY e.item_date, e.source, e.account
