-- Lines that are told but not booked for good: kept apart, never counted, replaced by the statement that covers them.

-- name: write_provisional_lines
-- A movement is told once for each report day of an account, however many intraday reports repeat it; what a statement calls
-- pending belongs to that statement.
INSERT INTO recon.provisional_line (delivery_id, source_id, account, report_ref, report_date, line_key, status, record_no, native_id,
    booking_date, value_date, amount_minor, asset, kind, type_code, ref_end_to_end, ref_uetr, ref_servicer, batch_ref, other_refs,
    counterparty, text)
SELECT %(delivery_id)s, %(source_id)s, d.account, d.statement_ref, d.to_date,
    d.digest || ':' || row_number() OVER (PARTITION BY d.account, d.statement_no, d.digest ORDER BY d.position) || '@' || d.told_by,
    d.status, d.record_no, d.native_id, d.booking_date, d.value_date, d.amount_minor, d.asset, d.kind, d.type_code,
    d.ref_end_to_end, d.ref_uetr, d.ref_servicer, d.batch_ref, d.other_refs, d.counterparty, d.text
FROM (
    SELECT l.position, l.statement_no, t.account, t.statement_ref, t.to_date, l.record_no, l.native_id, l.booking_date, l.value_date,
        l.amount_minor, l.asset, l.kind, l.type_code, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.batch_ref, l.other_refs,
        l.counterparty, l.text,
        CASE WHEN l.status = 'booked' THEN 'interim' ELSE l.status END AS status,
        CASE WHEN t.interim THEN t.to_date::text ELSE t.statement_ref || '/' || t.to_date END AS told_by,
        encode(sha256(convert_to(ROW('provisional/1', t.account, l.value_date - date '2000-01-01', l.amount_minor, l.asset,
            l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.batch_ref, l.counterparty, l.text, l.kind, l.type_code)::text,
            'UTF8')), 'hex') AS digest
    FROM pg_temp.told_line AS l
    JOIN pg_temp.told_statement AS t ON t.statement_no = l.statement_no
    WHERE t.interim OR l.status <> 'booked'
) AS d
ON CONFLICT ON CONSTRAINT provisional_line_once DO NOTHING

-- name: end_provisional_lines
-- The first statement that another delivery told of the account, up to the report's day or later, replaces a provisional line;
-- where a booked line of that statement has the same amount, day and references, the line is said to have become it.
WITH ending AS (
    SELECT p.provisional_id, p.amount_minor, p.asset, p.value_date, s.statement_id,
        coalesce(p.ref_end_to_end, p.ref_uetr, p.ref_servicer) AS reference,
        row_number() OVER (PARTITION BY s.statement_id, p.amount_minor, p.asset, p.value_date
            ORDER BY coalesce(p.ref_end_to_end, p.ref_uetr, p.ref_servicer, ''), p.provisional_id) AS place
    FROM recon.provisional_line AS p
    CROSS JOIN LATERAL (
        SELECT o.statement_id
        FROM recon.statement AS o
        WHERE o.source_id = p.source_id AND o.account = p.account AND o.to_date >= p.report_date AND o.delivery_id <> p.delivery_id
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
SELECT count(*)
FROM pg_temp.told_line AS l
JOIN pg_temp.told_statement AS t ON t.statement_no = l.statement_no
WHERE t.interim OR l.status <> 'booked'

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
