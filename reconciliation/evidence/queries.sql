-- What the daily proof and its page read, by name.

-- name: files
-- Deliveries of a source that concern a business date: by their statements, or by the date they were meant for.
SELECT DISTINCT d.delivery_id, d.file_name, d.file_sha256, d.outcome, d.refusal_code, d.refusal_place, d.refusal_expected,
    d.refusal_found, d.refusal_remedy, d.line_count, d.received_at, f.flags
FROM recon.delivery AS d
LEFT JOIN recon.statement AS s ON s.delivery_id = d.delivery_id
LEFT JOIN LATERAL (
    SELECT string_agg(DISTINCT n.flag, '; ') AS flags
    FROM recon.statement AS o, unnest(o.flags) AS n (flag)
    WHERE o.delivery_id = d.delivery_id
) AS f ON true
WHERE d.source_id = %(source)s AND (s.to_date = %(day)s OR (s.statement_id IS NULL AND d.for_date = %(day)s))
ORDER BY d.delivery_id

-- name: matched_by_pass
-- The day's external lines by the pass that explained them; no pass for those that are open.
SELECT g.match_pass, count(*) AS line_count
FROM recon.line AS l
LEFT JOIN recon.match_member AS m ON m.line_id = l.line_id AND m.live AND m.leg = 'ledger'
LEFT JOIN recon.match_group AS g ON g.group_id = m.group_id
WHERE l.source_id = %(source)s AND l.booking_date > %(after)s AND l.booking_date <= %(day)s
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
GROUP BY g.match_pass
ORDER BY g.match_pass

-- name: open_exceptions
-- Open exceptions of a source by class, kind, severity and asset.
SELECT e.class, e.kind, e.severity, e.asset, count(*) AS item_count, sum(abs(e.amount_minor))::bigint AS amount_minor
FROM recon.exception AS e
WHERE e.source_id = %(source)s AND e.cleared_on IS NULL
GROUP BY e.class, e.kind, e.severity, e.asset
ORDER BY e.class, e.kind, e.severity, e.asset

-- name: proofs
SELECT p.account, p.asset, p.business_date, p.basis, p.opening_minor, p.movement_minor, p.closing_minor, p.ledger_minor,
    p.timing_external_minor, p.timing_ledger_minor, p.genuine_external_minor, p.genuine_ledger_minor,
    p.excluded_external_minor, p.excluded_ledger_minor, p.allocation_difference_minor, p.unexplained_minor, p.matched_count, p.timing_count, p.genuine_count, p.excluded_count,
    p.line_count
FROM recon.balance_proof_v1 AS p
WHERE p.source = %(source)s AND p.business_date = %(day)s
ORDER BY p.account

-- name: accounts_covered
-- Accounts with a statement that covers a day.
SELECT DISTINCT s.account
FROM recon.statement_v1 AS s
WHERE s.source_id = %(source)s AND %(day)s BETWEEN s.from_date AND s.to_date

-- name: alerts
SELECT count(*) FROM recon.alert AS a WHERE a.source_id = %(source)s AND a.business_date = %(day)s

-- name: runs
-- Who and what decided a day: the successful runs that reached it.
SELECT r.run_id, r.business_date, r.from_date, r.rules_digest, r.calendar_version, r.code_version, r.actor, r.finished_at
FROM recon.run AS r
WHERE r.source_id = %(source)s AND r.state = 'succeeded' AND %(day)s BETWEEN r.from_date AND r.business_date
ORDER BY r.run_id

-- name: open_items
-- What is open on the external side on a day, by the groups that were dated by then.
SELECT l.account, l.line_key, l.booking_date, l.amount_minor, l.asset, l.kind, coalesce(l.ref_end_to_end, l.ref_psp, l.ref_payout, l.ref_arn, l.batch_ref) AS reference
FROM recon.line AS l
WHERE l.source_id = %(source)s AND l.booking_date BETWEEN %(start_date)s AND %(day)s
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
  AND NOT EXISTS (
      SELECT FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
      WHERE m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger' AND g.as_of <= %(day)s)
ORDER BY l.account, l.booking_date, l.line_key
