-- name: list_deliveries
-- Every delivery, latest last, with its refusal as one sentence.
SELECT d.delivery_id, d.source_id AS source, d.file_name, d.file_sha256, d.byte_count, d.for_date, d.outcome, d.format_name,
    d.format_version, d.file_reference, d.same_as, d.line_count, d.added_count, d.changed_count, d.withdrawn_count,
    d.unchanged_count, d.provisional_count, d.package_name, d.refusal_code,
    d.refusal_place || ': expected ' || d.refusal_expected || ', found ' || d.refusal_found || '. ' || d.refusal_remedy AS refusal,
    array_to_string(d.notes, '; ') AS notes, d.received_at, d.received_by
FROM recon.delivery AS d
WHERE (%(source_id)s::text IS NULL OR d.source_id = %(source_id)s::text)
  AND (%(outcome)s::text IS NULL OR d.outcome = %(outcome)s::text)
ORDER BY d.delivery_id

-- name: register_sources
INSERT INTO recon.source_version (source_id, rules_digest, definition)
SELECT s.source_id, s.rules_digest, s.definition
FROM jsonb_to_recordset(%(versions)s::jsonb) AS s (source_id text, rules_digest text, definition jsonb)
ON CONFLICT ON CONSTRAINT source_version_key DO NOTHING

-- name: put_delivery
INSERT INTO recon.delivery (source_id, file_name, file_sha256, content_sha256, package_name, byte_count, for_date, outcome, format_name,
    format_version, file_reference, same_as, line_count, added_count, changed_count, withdrawn_count, unchanged_count,
    provisional_count, refusal_code, refusal_place, refusal_expected, refusal_found, refusal_remedy, notes)
VALUES (%(source_id)s, %(file_name)s, %(file_sha256)s, %(content_sha256)s, %(package_name)s, %(byte_count)s, %(for_date)s, %(outcome)s,
    %(format_name)s, %(format_version)s, %(file_reference)s, %(same_as)s, %(line_count)s, %(added_count)s, %(changed_count)s,
    %(withdrawn_count)s, %(unchanged_count)s, %(provisional_count)s, %(refusal_code)s, %(refusal_place)s, %(refusal_expected)s,
    %(refusal_found)s, %(refusal_remedy)s, %(notes)s)
RETURNING delivery_id

-- name: find_same_bytes
-- The first delivery of these bytes, if they were taken in before.
SELECT coalesce(d.same_as, d.delivery_id), d.line_count
FROM recon.delivery AS d
WHERE d.source_id = %(source_id)s AND d.content_sha256 = %(content_sha256)s AND d.outcome <> 'rejected'
ORDER BY d.delivery_id
LIMIT 1

-- name: find_released_codes
-- What people waived for these bytes.
SELECT DISTINCT r.code, r.actor, r.reason
FROM recon.release AS r
WHERE r.source_id = %(source_id)s AND r.content_sha256 = %(content_sha256)s
ORDER BY 1, 2, 3

-- name: release_delivery
SELECT recon.release_delivery(%(delivery_id)s, %(reason)s)

-- name: find_delivery
SELECT d.delivery_id, d.source_id AS source, d.file_name, d.package_name, d.file_sha256, d.content_sha256, d.for_date, d.outcome,
    d.refusal_code, r.actor AS released_by, r.reason AS release_reason, r.released_at
FROM recon.delivery AS d
LEFT JOIN recon.release AS r ON r.delivery_id = d.delivery_id
WHERE d.delivery_id = %(delivery_id)s

-- name: find_line_record
-- Where the newest version of a line stands in what was delivered.
SELECT d.content_sha256, d.file_name, l.record_no, l.byte_offset, l.byte_length
FROM recon.line AS l
JOIN recon.statement AS s ON s.statement_id = l.statement_id
JOIN recon.delivery AS d ON d.delivery_id = s.delivery_id
WHERE l.source_id = %(source_id)s AND l.line_key = %(line_key)s
ORDER BY l.version DESC
LIMIT 1
