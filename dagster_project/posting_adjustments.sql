-- Entries that two people agreed on, by name.

-- name: waiting
SELECT a.proposal_id, a.source, a.entry_key, a.entry, a.reference_columns, a.corrects_entry_key, a.proposed_by, a.approved_by, a.reason
FROM recon.adjustment_waiting_v1 AS a
WHERE %(source)s::text IS NULL OR a.source = %(source)s::text
ORDER BY a.proposal_id

-- name: record
SELECT recon.record_adjustment(%(proposal)s, %(outcome)s, %(said)s)
