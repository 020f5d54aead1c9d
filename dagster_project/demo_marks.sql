-- What the pipeline left behind, for the marks of a demo.

-- name: exceptions
SELECT e.exception_id, e.source, e.class, e.kind, e.side, e.status, e.line_key, e.entry_key, e.line_no, e.amount_minor, e.difference_minor,
    e.asset, e.account, e.item_date, e.cleared_on
FROM recon.exception_v1 AS e
ORDER BY e.exception_id

-- name: timing_lines
SELECT e.source_id AS source, m.side, l.line_key, j.entry_key, m.line_no, coalesce(l.amount_minor, j.amount_minor) AS amount_minor,
    coalesce(l.asset, j.asset) AS asset
FROM recon.exception AS e
JOIN recon.exception_member AS m ON m.exception_id = e.exception_id
LEFT JOIN recon.line AS l ON l.line_id = m.line_id
LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_id = m.entry_id AND j.line_no = m.line_no
WHERE e.class = 'timing' AND e.cleared_on IS NULL

-- name: members
SELECT g.group_id, g.leg, m.side, l.source_id AS source, l.line_key, m.entry_key, m.line_no
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.live
LEFT JOIN recon.line AS l ON l.line_id = m.line_id

-- name: proofs
SELECT p.source, p.account, p.business_date, p.unexplained_minor,
    EXISTS (SELECT FROM recon.exception AS e
            WHERE e.source_id = p.source AND e.kind IN ('balance_break', 'missing_file', 'control_total', 'sequence_gap')
              AND coalesce(e.account, p.account) = p.account AND e.opened_on <= p.business_date
              AND (e.cleared_on IS NULL OR e.cleared_on > p.business_date)) AS explained
FROM recon.balance_proof_v1 AS p
ORDER BY p.source, p.business_date, p.account
