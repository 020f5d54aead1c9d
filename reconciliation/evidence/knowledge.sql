-- Moments of knowledge, by name.

-- name: snapshot_now
SELECT pg_current_snapshot()::text

-- name: signed_snapshot
SELECT s.known_at::text FROM recon.sign_off AS s
WHERE s.sign_off_id = %(sign_off)s AND s.source_id = %(source)s AND s.business_date = %(day)s

-- name: last_run_by
-- The last run of a source that was over by an instant: what it could see, and its own transaction.
SELECT r.data_snapshot::text, r.xid::text FROM recon.run AS r
WHERE r.source_id = %(source)s AND r.state = 'succeeded' AND r.finished_at <= %(instant)s
ORDER BY r.run_id DESC LIMIT 1
