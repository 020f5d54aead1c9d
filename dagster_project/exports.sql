-- The exports, in the contract's columns and a fixed order of rows.

-- name: lines
SELECT l.source, l.line_key, l.file_name, l.file_sha256, l.record_no, l.statement_ref, l.booking_date, l.value_date, l.amount_minor, l.asset,
    l.fee_minor, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout, l.ref_arn, l.ref_rrn,
    l.ref_auth_code, l.batch_ref, l.counterparty, l.text, l.kind, l.version, l.status
FROM recon.line_v1 AS l
WHERE (%(source)s::text IS NULL OR l.source = %(source)s::text) AND l.booking_date >= coalesce(%(from_date)s::date, '-infinity')
  AND l.booking_date <= coalesce(%(to_date)s::date, 'infinity')
ORDER BY l.source, l.booking_date, l.line_key, l.version

-- name: matches
SELECT m.group_id, m.source, m.as_of, m.match_pass, m.state, m.side, m.line_key, m.entry_key, m.line_no, m.allocated_minor, m.asset, m.role,
    m.evidence_bits, m.margin_bits, m.solutions
FROM recon.match_v1 AS m
WHERE (%(source)s::text IS NULL OR m.source = %(source)s::text) AND m.as_of >= coalesce(%(from_date)s::date, '-infinity')
  AND m.as_of <= coalesce(%(to_date)s::date, 'infinity')
ORDER BY m.group_id, m.side, m.line_key, m.entry_key, m.line_no

-- name: exceptions
SELECT e.exception_id, e.source, e.opened_on, e.as_of, e.class, e.kind, e.severity, e.status, e.side, e.line_key, e.entry_key, e.line_no,
    e.amount_minor, e.difference_minor, e.asset, e.due_on, e.expected_clear_on, e.age_business_days, e.assignee, e.cleared_by_group
FROM recon.exception_v1 AS e
WHERE (%(source)s::text IS NULL OR e.source = %(source)s::text) AND e.as_of >= coalesce(%(from_date)s::date, '-infinity')
  AND e.as_of <= coalesce(%(to_date)s::date, 'infinity')
ORDER BY e.exception_id

-- name: statements
SELECT p.source, p.account, p.asset, p.business_date, p.basis, p.opening_minor, p.movement_minor, p.closing_minor, p.ledger_minor,
    p.timing_external_minor, p.timing_ledger_minor, p.genuine_external_minor, p.genuine_ledger_minor,
    p.excluded_external_minor, p.excluded_ledger_minor, p.allocation_difference_minor, p.unexplained_minor, p.matched_count, p.timing_count, p.genuine_count, p.excluded_count, p.line_count
FROM recon.balance_proof_v1 AS p
WHERE (%(source)s::text IS NULL OR p.source = %(source)s::text) AND p.business_date >= coalesce(%(from_date)s::date, '-infinity')
  AND p.business_date <= coalesce(%(to_date)s::date, 'infinity')
ORDER BY p.source, p.business_date, p.account
