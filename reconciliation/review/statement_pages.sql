-- What the pages of statements read beside the statement itself, by name.

-- name: exception_ids
SELECT e.exception_key, e.exception_id FROM recon.exception AS e WHERE e.exception_key = ANY (%(keys)s::text[])

-- name: neighbours
-- The days with a proof next to a day.
SELECT (SELECT max(p.business_date) FROM recon.balance_proof AS p WHERE p.source_id = %(source)s AND p.business_date < %(day)s),
       (SELECT min(p.business_date) FROM recon.balance_proof AS p WHERE p.source_id = %(source)s AND p.business_date > %(day)s)
