-- Lines that are told but not booked for good: kept apart, never counted, replaced by the statement that covers them.

-- name: name_provisional_lines
-- What is told and not booked for good, under its content and a count. A movement is told once for each report day of an account,
-- however many intraday reports repeat it; what a statement calls pending belongs to that statement.
DROP TABLE IF EXISTS pg_temp.told_provisional;
CREATE TEMP TABLE told_provisional ON COMMIT DROP AS
SELECT d.position, d.statement_no, d.status,
    d.digest || ':' || row_number() OVER (PARTITION BY d.account, d.statement_no, d.digest ORDER BY d.position) || '@' || d.told_by AS line_key
FROM (
    SELECT l.position, l.statement_no, t.account,
        CASE WHEN l.status = 'booked' THEN 'interim' ELSE l.status END AS status,
        CASE WHEN t.interim THEN t.to_date::text ELSE t.statement_ref || '/' || t.to_date END AS told_by,
        encode(sha256(convert_to(ROW('provisional/1', t.account, l.value_date - date '2000-01-01', l.amount_minor, l.asset,
            l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.batch_ref, l.counterparty, l.text, l.kind, l.type_code)::text,
            'UTF8')), 'hex') AS digest
    FROM pg_temp.told_line AS l
    JOIN pg_temp.told_statement AS t ON t.statement_no = l.statement_no
    WHERE t.interim OR l.status <> 'booked'
) AS d

-- name: write_provisional_lines
INSERT INTO recon.provisional_line (delivery_id, source_id, account, report_ref, report_date, line_key, status, record_no, native_id,
    booking_date, value_date, amount_minor, asset, kind, type_code, ref_end_to_end, ref_uetr, ref_servicer, batch_ref, other_refs,
    counterparty, text)
SELECT %(delivery_id)s, %(source_id)s, t.account, t.statement_ref, t.to_date, p.line_key, p.status, l.record_no, l.native_id,
    l.booking_date, l.value_date, l.amount_minor, l.asset, l.kind, l.type_code, l.ref_end_to_end, l.ref_uetr, l.ref_servicer,
    l.batch_ref, l.other_refs, l.counterparty, l.text
FROM pg_temp.told_provisional AS p
JOIN pg_temp.told_line AS l ON l.position = p.position
JOIN pg_temp.told_statement AS t ON t.statement_no = p.statement_no
ORDER BY p.position
ON CONFLICT ON CONSTRAINT provisional_line_once DO NOTHING

-- name: provisional_changed
-- Whether a told statement calls other lines pending than those it is known to.
SELECT EXISTS (
    SELECT FROM pg_temp.told_provisional AS p
    JOIN pg_temp.told_statement AS t ON t.statement_no = p.statement_no
    WHERE NOT t.interim AND NOT EXISTS (
        SELECT FROM recon.provisional_line AS o
        WHERE o.source_id = %(source_id)s AND o.account = t.account AND o.line_key = p.line_key)
) OR EXISTS (
    SELECT FROM pg_temp.told_statement AS t
    JOIN recon.provisional_line AS o ON o.source_id = %(source_id)s AND o.account = t.account AND o.report_date = t.to_date
        AND o.report_ref = t.statement_ref AND right(o.line_key, length(t.statement_ref) + 12) = '@' || t.statement_ref || '/' || t.to_date
    WHERE NOT t.interim
      AND NOT EXISTS (SELECT FROM recon.provisional_end AS e WHERE e.provisional_id = o.provisional_id)
      AND NOT EXISTS (SELECT FROM pg_temp.told_provisional AS p WHERE p.line_key = o.line_key))

-- name: end_dropped_lines
-- What a corrected statement no longer calls pending.
INSERT INTO recon.provisional_end (provisional_id, statement_id)
SELECT o.provisional_id, s.statement_id
FROM pg_temp.told_statement AS t
JOIN recon.statement_v1 AS s ON s.source_id = %(source_id)s AND s.account = t.account AND s.statement_ref = t.statement_ref AND s.to_date = t.to_date
JOIN recon.provisional_line AS o ON o.source_id = s.source_id AND o.account = s.account AND o.report_date = s.to_date
    AND o.report_ref = s.statement_ref AND right(o.line_key, length(t.statement_ref) + 12) = '@' || t.statement_ref || '/' || t.to_date
    AND o.delivery_id <> %(delivery_id)s
WHERE NOT t.interim
  AND NOT EXISTS (SELECT FROM recon.provisional_end AS e WHERE e.provisional_id = o.provisional_id)
  AND NOT EXISTS (SELECT FROM pg_temp.told_provisional AS p WHERE p.line_key = o.line_key)

-- name: end_provisional_lines
-- The first statement of the account up to an intraday report's day or later replaces its lines; what a statement calls pending is
-- replaced by the first one after it. Where a booked line of that statement has the same amount, day and references, the line is
-- said to have become it.
WITH ending AS (
    SELECT p.provisional_id, p.amount_minor, p.asset, p.value_date, s.statement_id,
        coalesce(p.ref_end_to_end, p.ref_uetr, p.ref_servicer) AS reference,
        row_number() OVER (PARTITION BY s.statement_id, p.amount_minor, p.asset, p.value_date
            ORDER BY coalesce(p.ref_end_to_end, p.ref_uetr, p.ref_servicer, ''), p.provisional_id) AS place
    FROM recon.provisional_line AS p
    LEFT JOIN LATERAL (
        SELECT max(o.sequence_no) AS sequence_no
        FROM recon.statement AS o
        WHERE o.source_id = p.source_id AND o.account = p.account AND o.statement_ref = p.report_ref AND o.to_date = p.report_date
    ) AS own ON right(p.line_key, 11) <> '@' || p.report_date
    CROSS JOIN LATERAL (
        SELECT o.statement_id
        FROM recon.statement AS o
        WHERE o.source_id = p.source_id AND o.account = p.account AND o.to_date >= p.report_date
          AND (right(p.line_key, 11) = '@' || p.report_date OR o.to_date > p.report_date OR o.sequence_no > own.sequence_no)
        ORDER BY o.to_date, o.statement_id
        LIMIT 1
    ) AS s
    WHERE p.source_id = %(source_id)s
      AND NOT EXISTS (SELECT FROM recon.provisional_end AS e WHERE e.provisional_id = p.provisional_id)
), booked AS (
    SELECT l.line_id, l.statement_id, l.amount_minor, l.asset, l.value_date,
        coalesce(l.ref_end_to_end, l.ref_uetr, l.ref_servicer) AS reference,
        row_number() OVER (PARTITION BY l.statement_id, l.amount_minor, l.asset, l.value_date
            ORDER BY coalesce(l.ref_end_to_end, l.ref_uetr, l.ref_servicer, ''), l.line_id) AS place
    FROM recon.line AS l
    WHERE l.statement_id IN (SELECT e.statement_id FROM ending AS e)
)
INSERT INTO recon.provisional_end (provisional_id, statement_id, line_id)
SELECT e.provisional_id, e.statement_id, b.line_id
FROM ending AS e
LEFT JOIN booked AS b ON b.statement_id = e.statement_id AND b.amount_minor = e.amount_minor AND b.asset = e.asset
    AND b.value_date IS NOT DISTINCT FROM e.value_date AND b.place = e.place
    AND (b.reference IS NULL OR e.reference IS NULL OR b.reference = e.reference)

-- name: count_provisional
SELECT count(*) FROM pg_temp.told_provisional

-- name: some_provisional
SELECT EXISTS (
    SELECT FROM recon.provisional_line AS p
    WHERE p.source_id = %(source_id)s
      AND NOT EXISTS (SELECT FROM recon.provisional_end AS e WHERE e.provisional_id = p.provisional_id))

-- name: list_provisional
-- What is told and not booked yet, by account and day.
SELECT p.source, p.account, p.report_ref, p.report_date, p.line_key, p.status, p.booking_date, p.value_date, p.amount_minor, p.asset,
    p.kind, p.ref_end_to_end, p.ref_uetr, p.ref_servicer, p.counterparty, p.text, p.live, p.became_line_key
FROM recon.provisional_line_v1 AS p
WHERE (%(source_id)s::text IS NULL OR p.source = %(source_id)s::text)
ORDER BY p.source, p.account, p.report_date, p.provisional_id
