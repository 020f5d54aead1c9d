-- name: list_deliveries
-- Every delivery, latest last, with its refusal as one sentence.
SELECT d.delivery_id, d.source_id AS source, d.file_name, d.file_sha256, d.byte_count, d.for_date, d.outcome, d.format_name,
    d.format_version, d.file_reference, d.same_as, d.line_count, d.added_count, d.changed_count, d.withdrawn_count,
    d.unchanged_count, d.refusal_code,
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
