-- What is read to carry out what was approved, by name.

-- name: last_reconciled
SELECT max(r.business_date) FROM recon.run AS r WHERE r.source_id = %(source)s AND r.state = 'succeeded'

-- name: unseen_entries
SELECT p.source_id, a.proposal_id
FROM recon.adjustment AS a
JOIN recon.proposal AS p ON p.proposal_id = a.proposal_id
CROSS JOIN LATERAL (
    SELECT r.business_date, r.data_snapshot FROM recon.run AS r
    WHERE r.source_id = p.source_id AND r.state = 'succeeded' ORDER BY r.run_id DESC LIMIT 1
) AS last
WHERE a.outcome = 'posted' AND (%(source)s::text IS NULL OR p.source_id = %(source)s::text)
  AND NOT pg_visible_in_snapshot(a.xid, last.data_snapshot) AND (p.entry ->> 'effective_date')::date <= last.business_date
ORDER BY p.source_id, a.proposal_id

-- name: unseen_decisions
-- Whether people decided something of days that are reconciled, or undid a match of them, since the last run looked.
SELECT count(*) > 0
FROM recon.decision AS d
CROSS JOIN LATERAL (
    SELECT r.business_date, r.data_snapshot FROM recon.run AS r
    WHERE r.source_id = d.source_id AND r.state = 'succeeded' ORDER BY r.run_id DESC LIMIT 1
) AS last
WHERE d.source_id = %(source)s AND d.xid >= pg_snapshot_xmin(last.data_snapshot) AND NOT pg_visible_in_snapshot(d.xid, last.data_snapshot)
  AND coalesce(d.as_of <= last.business_date, true)
