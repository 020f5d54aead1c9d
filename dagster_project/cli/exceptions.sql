-- What the commands on exceptions read.

-- name: exceptions
SELECT e.exception_id, e.source, e.opened_on, e.as_of, e.class, e.kind, e.severity, e.status, e.side, e.line_key, e.entry_key, e.line_no,
    e.amount_minor, e.difference_minor, e.asset, e.due_on, e.expected_clear_on, e.age_business_days, e.assignee, e.cleared_by_group,
    e.sla_due_on, e.team
FROM recon.exception_v1 AS e
WHERE (%(source)s::text IS NULL OR e.source = %(source)s::text)
  AND (%(with_closed)s OR e.cleared_on IS NULL)
  AND (%(classes)s::text[] IS NULL OR e.class = ANY(%(classes)s::text[]))
  AND (%(kinds)s::text[] IS NULL OR e.kind = ANY(%(kinds)s::text[]))
  AND (%(severities)s::text[] IS NULL OR e.severity = ANY(%(severities)s::text[]))
  AND (%(statuses)s::text[] IS NULL OR e.status = ANY(%(statuses)s::text[]))
  AND (%(owner)s::text IS NULL OR coalesce(e.assignee, 'none') = %(owner)s::text)
  AND (%(team)s::text IS NULL OR coalesce(e.team, 'none') = %(team)s::text)
  AND (%(late_on)s::date IS NULL OR e.sla_due_on < %(late_on)s::date)
ORDER BY e.severity_rank DESC, e.source, e.exception_id

-- name: exception
SELECT e.exception_id, e.source, e.account, e.class, e.kind, e.severity, e.status, e.side, e.line_key, e.entry_key, e.line_no,
    e.amount_minor, e.difference_minor, e.asset, e.opened_on, e.as_of, e.item_date, e.due_on, e.expected_clear_on,
    e.age_business_days, e.assignee, e.team, e.reason, e.sla_due_on, e.snoozed_until, e.carried_until, e.cycle, e.version,
    e.cleared_on, e.cleared_by_group, e.factors::text AS factors
FROM recon.exception_v1 AS e
WHERE e.exception_id = %(id)s

-- name: exception_lines
SELECT m.side, coalesce(l.line_key, j.entry_key || ' / ' || j.line_no) AS key, coalesce(l.booking_date, j.effective_at::date) AS business_date,
    coalesce(l.amount_minor, j.amount_minor) AS amount_minor, coalesce(l.asset, j.asset) AS asset, coalesce(l.kind, j.kind) AS kind,
    coalesce(l.ref_end_to_end, l.ref_psp, l.ref_payout, l.ref_arn, l.batch_ref, j.ref_end_to_end, j.ref_psp, j.ref_payout, j.ref_arn,
        j.batch_ref) AS reference
FROM recon.exception_member AS m
LEFT JOIN recon.line AS l ON l.line_id = m.line_id
LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_id = m.entry_id AND j.line_no = m.line_no
WHERE m.exception_id = %(id)s
ORDER BY m.side, m.line_id, m.entry_id, m.line_no

-- name: exception_events
SELECT v.at, v.event, v.actor, v.as_of, v.reason, v.note,
    (SELECT string_agg(format('%%s %%s -> %%s', f.key, coalesce(v.before ->> f.key, '-'), coalesce(f.value, '-')), ', ' ORDER BY f.key)
     FROM jsonb_each_text(v.after) AS f WHERE v.before IS NOT NULL AND v.before ->> f.key IS DISTINCT FROM f.value) AS change
FROM recon.exception_event AS v
WHERE v.exception_id = %(id)s
ORDER BY v.event_id

-- name: chains
SELECT c.source_id, c.origin, c.length, encode(c.head, 'hex') AS head
FROM recon.event_chain AS c
ORDER BY c.source_id, c.origin
