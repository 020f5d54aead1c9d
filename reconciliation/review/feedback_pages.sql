-- What the page of feedback reads beside the counts, by name.

-- name: latest_days
SELECT DISTINCT p.business_date
FROM recon.balance_proof AS p
WHERE p.source_id = %(source)s
ORDER BY p.business_date DESC
LIMIT %(limit)s
