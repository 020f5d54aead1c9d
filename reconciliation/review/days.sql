-- Business days of sources between two dates, as people sign them.

-- name: days
-- What is known of each day that was proved, put before somebody, or lacks a file. Lines that people decided are told apart from
-- those that the engine explained.
WITH proved AS (
    SELECT p.source, p.business_date, bool_and(p.unexplained_minor = 0) AS tied_out, sum(p.matched_count)::bigint AS matched_count,
        sum(p.line_count)::bigint AS line_count, sum(p.genuine_count)::bigint AS genuine_count, sum(p.timing_count)::bigint AS timing_count
    FROM recon.balance_proof_v1 AS p
    WHERE p.source = ANY (%(sources)s::text[]) AND p.business_date BETWEEN %(from_date)s AND %(to_date)s
    GROUP BY p.source, p.business_date
), decided AS (
    SELECT x.source_id, x.as_of, count(*) AS decided_count
    FROM recon.decision AS x JOIN recon.decision_member AS m ON m.decision_id = x.decision_id
    WHERE x.kind = 'force_match' AND x.source_id = ANY (%(sources)s::text[]) AND x.as_of BETWEEN %(from_date)s AND %(to_date)s
    GROUP BY x.source_id, x.as_of
), signed AS (
    SELECT DISTINCT ON (s.source_id, s.business_date) s.source_id, s.business_date, s.sign_off_id, s.state, s.prepared_by, s.reviewed_by,
        s.reviewed_at, CASE s.state WHEN 'signed' THEN recon.changed_since_sign_off(s.sign_off_id) ELSE '{}' END AS changed
    FROM recon.sign_off_v1 AS s
    WHERE s.source_id = ANY (%(sources)s::text[]) AND s.business_date BETWEEN %(from_date)s AND %(to_date)s AND s.state IN ('prepared', 'signed')
    ORDER BY s.source_id, s.business_date, s.state = 'signed' DESC, s.sign_off_id DESC
), absent AS (
    SELECT e.source_id, e.item_date, count(*) AS missing_count
    FROM recon.exception AS e
    WHERE e.cleared_on IS NULL AND e.kind = 'missing_file' AND e.source_id = ANY (%(sources)s::text[])
      AND e.item_date BETWEEN %(from_date)s AND %(to_date)s
    GROUP BY e.source_id, e.item_date
), day AS (
    SELECT p.source AS source_id, p.business_date FROM proved AS p
    UNION SELECT s.source_id, s.business_date FROM signed AS s
    UNION SELECT a.source_id, a.item_date FROM absent AS a
)
SELECT d.source_id, d.business_date AS day, p.business_date IS NOT NULL AS is_proved, coalesce(p.tied_out, false) AS tied_out,
    coalesce(p.matched_count, 0) AS matched_count, coalesce(x.decided_count, 0) AS decided_count, coalesce(p.line_count, 0) AS line_count,
    coalesce(p.timing_count, 0) AS timing_count, coalesce(p.genuine_count, 0) AS genuine_count, coalesce(a.missing_count, 0) AS missing_count,
    s.sign_off_id, s.state AS signature, s.prepared_by, s.reviewed_by, s.reviewed_at, coalesce(s.changed, '{}') AS changed
FROM day AS d
LEFT JOIN proved AS p ON p.source = d.source_id AND p.business_date = d.business_date
LEFT JOIN decided AS x ON x.source_id = d.source_id AND x.as_of = d.business_date
LEFT JOIN signed AS s ON s.source_id = d.source_id AND s.business_date = d.business_date
LEFT JOIN absent AS a ON a.source_id = d.source_id AND a.item_date = d.business_date
ORDER BY d.source_id, d.business_date

-- name: last_days
-- The last day that each source was reconciled to.
SELECT r.source_id, max(r.business_date) AS last_day
FROM recon.run AS r
WHERE r.state = 'succeeded' AND r.source_id = ANY (%(sources)s::text[])
GROUP BY r.source_id
