-- A list as a file, by name. The condition is one of `conditions.py`; it stands between the parts.

-- name: exceptions
SELECT e.exception_id, e.source_id AS source, e.opened_on, e.as_of, e.class, e.kind, e.severity, e.status, e.side, e.line_key, e.entry_key,
    e.line_no, e.amount_minor, e.difference_minor, e.asset, e.due_on, e.expected_clear_on, e.age_business_days, e.assignee, e.cleared_by_group,
    e.account, e.item_date, e.reference, e.counterparty, e.team, e.reason, e.sla_due_on, e.snoozed_until, e.carried_until, e.cycle,
    e.cleared_on, e.value_minor
FROM recon.exception AS e

-- name: order
ORDER BY e.exception_id LIMIT %(limit)s

-- name: record
SELECT recon.record_export(%(what)s, %(query)s, %(rows)s, %(sha256)s)
