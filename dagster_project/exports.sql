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

-- name: exceptions_with_work
SELECT e.exception_id, e.source, e.opened_on, e.as_of, e.class, e.kind, e.severity, e.status, e.side, e.line_key, e.entry_key, e.line_no,
    e.amount_minor, e.difference_minor, e.asset, e.due_on, e.expected_clear_on, e.age_business_days, e.assignee, e.cleared_by_group,
    e.team, e.reason, e.sla_due_on, e.cycle
FROM recon.exception_v1 AS e
WHERE (%(source)s::text IS NULL OR e.source = %(source)s::text) AND e.as_of >= coalesce(%(from_date)s::date, '-infinity')
  AND e.as_of <= coalesce(%(to_date)s::date, 'infinity')
ORDER BY e.exception_id

-- name: events
SELECT v.event_id, v.exception_id, e.source_id, v.at, v.as_of, v.event, v.actor, v.reason, v.note, v.before, v.after, l.origin, l.chain_no,
    encode(l.hash, 'hex') AS hash
FROM recon.exception_event AS v
JOIN recon.exception AS e ON e.exception_id = v.exception_id
LEFT JOIN recon.event_link AS l ON l.event_id = v.event_id
WHERE (%(source)s::text IS NULL OR e.source_id = %(source)s::text) AND v.as_of >= coalesce(%(from_date)s::date, '-infinity')
  AND v.as_of <= coalesce(%(to_date)s::date, 'infinity')
ORDER BY v.event_id

-- name: proposals
SELECT p.proposal_id, p.source, p.exception_id, p.action, p.state, p.reason_code, p.reason, p.stake_minor, p.asset, p.members, p.entry,
    p.proposed_by, p.proposed_at, p.expires_on, p.judged_by, p.judged_at, p.note, p.acts_from, p.posting, p.posting_said
FROM recon.proposal_v1 AS p
WHERE (%(source)s::text IS NULL OR p.source = %(source)s::text)
  AND (p.proposed_at AT TIME ZONE 'UTC')::date BETWEEN coalesce(%(from_date)s::date, '-infinity') AND coalesce(%(to_date)s::date, 'infinity')
ORDER BY p.proposal_id

-- name: decisions
-- One row for each line of a decision; the undoing of a match has one without a line.
SELECT x.decision_id, x.source_id, x.kind, x.content_key, n.side, n.line_key, n.version, n.entry_key, n.line_no, n.role, n.allocated_minor,
    coalesce(l.asset, j.asset) AS asset, x.reason, x.actor, x.approved_by, x.proposal_id, x.as_of, x.decided_at
FROM recon.decision AS x
LEFT JOIN recon.decision_member AS n ON n.decision_id = x.decision_id
LEFT JOIN recon.line AS l ON l.source_id = x.source_id AND l.line_key = n.line_key AND l.version = n.version
LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_key = n.entry_key AND j.line_no = n.line_no AND j.layer = 'posted'
WHERE (%(source)s::text IS NULL OR x.source_id = %(source)s::text)
  AND coalesce(x.as_of, (x.decided_at AT TIME ZONE 'UTC')::date)
      BETWEEN coalesce(%(from_date)s::date, '-infinity') AND coalesce(%(to_date)s::date, 'infinity')
ORDER BY x.decision_id, n.member_no

-- name: sign_offs
SELECT s.sign_off_id, s.source_id, s.business_date, s.state, s.prepared_by, s.prepared_at, s.note, s.reviewed_by, s.reviewed_at, s.review_note,
    s.content_sha256, s.books_sha256, s.known_at, array_to_string(recon.changed_since_sign_off(s.sign_off_id), '; ') AS changed_since
FROM recon.sign_off_v1 AS s
WHERE (%(source)s::text IS NULL OR s.source_id = %(source)s::text) AND s.business_date >= coalesce(%(from_date)s::date, '-infinity')
  AND s.business_date <= coalesce(%(to_date)s::date, 'infinity')
ORDER BY s.sign_off_id

-- name: people
SELECT p.login, p.name, array_to_string(p.roles, ' ') AS roles, p.team, p.same_as, p.state, p.known_by, p.made_at
FROM recon.person AS p
ORDER BY p.login
