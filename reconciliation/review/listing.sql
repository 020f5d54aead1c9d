-- The list of exceptions: rows in the order of an index from a place on, and what a filter's rows add up to. The condition, the
-- place and the order are constants of `conditions.py` and `listing.py`; they stand between these parts.

-- name: rows
SELECT e.exception_id, e.version, e.source_id AS source, e.class AS class_, e.kind, e.severity, e.severity_rank, e.status,
       e.value_minor, e.amount_minor, e.difference_minor, e.asset, e.age_business_days AS age_days, e.opened_on, e.cleared_on,
       e.sla_due_on AS due_on, e.snoozed_until, e.reference, e.counterparty, e.best_millibits,
       e.candidates, e.assignee, e.team
FROM recon.exception AS e

-- name: totals
SELECT e.asset, count(*) AS count, sum(e.amount_minor) AS amount_minor, sum(e.value_minor) AS value_minor
FROM recon.exception AS e

-- name: saved
SELECT f.name, f.query, f.letter FROM recon.saved_filter AS f ORDER BY f.name

-- name: save
SELECT recon.save_filter(%(name)s, %(query)s, %(letter)s)

-- name: forget
SELECT recon.forget_filter(%(name)s)
