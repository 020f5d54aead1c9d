-- What the daily run writes, by name: the difference to what is there already.

-- name: live_groups
-- Live groups of the window, to be compared with what the fold found.
SELECT g.group_id
FROM recon.match_group AS g
WHERE g.source_id = %(source)s AND g.leg = %(leg)s AND g.as_of >= %(first)s AND g.state = 'confirmed'
  AND NOT EXISTS (SELECT FROM recon.match_revocation AS r WHERE r.group_id = g.group_id)

-- name: live_suggestions
-- What the last run suggested, whenever its lines came.
SELECT g.group_id
FROM recon.match_group AS g
WHERE g.source_id = %(source)s AND g.state = 'suggested'
  AND NOT EXISTS (SELECT FROM recon.match_revocation AS r WHERE r.group_id = g.group_id)

-- name: groups_still_made
-- Which of these the fold makes again, word for word: the same lines for another reason are another group.
SELECT g.group_id, g.group_key
FROM recon.match_group AS g
JOIN incoming_group AS i ON i.group_key = g.group_key AND i.state = g.state AND i.as_of = g.as_of AND i.match_pass = g.match_pass AND i.evidence = g.evidence
WHERE g.group_id = ANY(%(groups)s::bigint[])

-- name: groups_on_closed_lines
-- Live groups, of any leg, that rest on a line which no longer speaks.
SELECT DISTINCT g.group_id
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.live
JOIN recon.line_closure AS c ON c.line_id = m.line_id
JOIN recon.line AS l ON l.line_id = m.line_id
WHERE l.source_id = %(source)s

-- name: revoke_groups
INSERT INTO recon.match_revocation (group_id, reason, actor)
SELECT g, %(reason)s, recon.actor() FROM unnest(%(groups)s::bigint[]) AS g
ON CONFLICT ON CONSTRAINT revoked_once DO NOTHING -- somebody else was faster

-- name: refresh_statistics
SELECT recon.refresh_match_statistics()

-- name: next_run
SELECT nextval('recon.run_run_id_seq')

-- name: incoming_tables
-- Where the day's results land before they are compared and written.
CREATE TEMP TABLE incoming_group (
    group_key text, leg text, match_pass text, as_of date, asset text, external_minor bigint, ledger_minor bigint,
    difference_minor bigint, evidence jsonb, state text, evidence_millibits bigint, margin_millibits bigint, solutions bigint
) ON COMMIT DROP;
CREATE TEMP TABLE incoming_member (
    group_key text, member_no integer, side text, line_id bigint, entry_id bigint, line_no integer, entry_key text,
    business_date date, account text, asset text, allocated_minor bigint, role text
) ON COMMIT DROP

-- name: write_groups
-- Groups and their members in one statement, as the database demands.
WITH made AS (
    INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor, ledger_minor,
        difference_minor, evidence, state, evidence_millibits, margin_millibits, solutions, run_id)
    SELECT i.group_key, %(source)s, i.leg, i.match_pass, i.as_of, i.asset, i.external_minor, i.ledger_minor, i.difference_minor,
        i.evidence, i.state, i.evidence_millibits, i.margin_millibits, i.solutions, %(run_id)s
    FROM incoming_group AS i
    ORDER BY i.as_of, i.group_key
    RETURNING group_id, group_key, leg, state
)
INSERT INTO recon.match_member (group_id, member_no, leg, side, line_id, entry_id, line_no, entry_key, business_date, account, asset,
    allocated_minor, role, live)
SELECT m.group_id, i.member_no, m.leg, i.side, i.line_id, i.entry_id, i.line_no, i.entry_key, i.business_date, i.account,
    i.asset, i.allocated_minor, i.role, m.state = 'confirmed'
FROM made AS m
JOIN incoming_member AS i ON i.group_key = m.group_key
ORDER BY m.group_id, i.member_no

-- name: incoming_exceptions
CREATE TEMP TABLE incoming_exception (
    exception_key text, class text, kind text, severity text, side text, line_key text, line_id bigint, entry_key text,
    entry_id bigint, line_no integer, account text, amount_minor bigint, difference_minor bigint, asset text,
    item_date date, due_on date, expected_clear_on date, age_business_days integer, factors jsonb
) ON COMMIT DROP;
CREATE TEMP TABLE incoming_exception_member (
    exception_key text, side text, line_id bigint, entry_id bigint, line_no integer
) ON COMMIT DROP

-- name: empty_exceptions
TRUNCATE incoming_exception, incoming_exception_member

-- name: update_exceptions
-- What is known already moves on; a cleared one that is back is open again, with the age it had.
UPDATE recon.exception AS e
SET as_of = %(as_of)s, class = i.class, kind = i.kind, severity = i.severity, side = i.side, line_key = i.line_key, line_id = i.line_id,
    entry_key = i.entry_key, entry_id = i.entry_id, line_no = i.line_no, account = i.account, amount_minor = i.amount_minor,
    difference_minor = i.difference_minor, asset = i.asset, item_date = i.item_date, due_on = i.due_on,
    expected_clear_on = i.expected_clear_on, age_business_days = i.age_business_days, factors = i.factors,
    status = CASE WHEN e.cleared_on IS NOT NULL OR e.carried_until <= %(as_of)s AND e.assignee IS NULL THEN 'open'
                  WHEN e.carried_until <= %(as_of)s THEN 'taken' ELSE e.status END,
    carried_until = CASE WHEN e.cleared_on IS NULL AND e.carried_until > %(as_of)s THEN e.carried_until END,
    cycle = e.cycle + (e.cleared_on IS NOT NULL)::integer, cleared_on = NULL, cleared_by_group = NULL,
    sla_due_on = CASE WHEN i.class = 'timing' THEN NULL WHEN e.cleared_on IS NULL AND e.class <> 'timing' AND e.severity = i.severity THEN e.sla_due_on
                      ELSE (%(sla)s::jsonb ->> i.severity)::date END,
    version = e.version + 1
FROM incoming_exception AS i
WHERE e.exception_key = i.exception_key AND e.source_id = %(source)s
  AND (e.as_of, e.class, e.kind, e.severity, e.side, e.line_key, e.line_id, e.entry_key, e.entry_id, e.line_no, e.account, e.amount_minor,
       e.difference_minor, e.asset, e.item_date, e.due_on, e.expected_clear_on, e.age_business_days, e.factors, e.cleared_on IS NOT NULL OR coalesce(e.carried_until <= %(as_of)s, false))
      IS DISTINCT FROM
      (%(as_of)s::date, i.class, i.kind, i.severity, i.side, i.line_key, i.line_id, i.entry_key, i.entry_id, i.line_no, i.account,
       i.amount_minor, i.difference_minor, i.asset, i.item_date, i.due_on, i.expected_clear_on, i.age_business_days, i.factors, false)

-- name: insert_exceptions
WITH line AS (
    SELECT DISTINCT ON (m.exception_key) m.exception_key, coalesce(l.ref_end_to_end, l.ref_psp, l.ref_payout, l.ref_arn, l.ref_merchant, l.batch_ref,
        l.native_id, j.ref_end_to_end, j.ref_psp, j.ref_payout, j.ref_arn, j.ref_merchant, j.batch_ref, j.entry_key) AS reference,
        coalesce(l.counterparty, j.counterparty) AS counterparty
    FROM incoming_exception_member AS m
    LEFT JOIN recon.line AS l ON l.line_id = m.line_id
    LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_id = m.entry_id AND j.line_no = m.line_no
    ORDER BY m.exception_key, m.side, l.line_key, j.entry_key, m.line_no
)
INSERT INTO recon.exception (exception_key, source_id, opened_on, as_of, class, kind, severity, status, side, line_key, line_id, entry_key,
    entry_id, line_no, account, amount_minor, difference_minor, asset, item_date, due_on, expected_clear_on,
    age_business_days, factors, team, sla_due_on, reference, counterparty)
SELECT i.exception_key, %(source)s, %(as_of)s, %(as_of)s, i.class, i.kind, i.severity, 'open', i.side, i.line_key, i.line_id, i.entry_key,
    i.entry_id, i.line_no, i.account, i.amount_minor, i.difference_minor, i.asset, i.item_date, i.due_on, i.expected_clear_on,
    i.age_business_days, i.factors, %(teams)s::jsonb ->> i.kind, CASE WHEN i.class <> 'timing' THEN (%(sla)s::jsonb ->> i.severity)::date END,
    l.reference, l.counterparty
FROM incoming_exception AS i
LEFT JOIN line AS l ON l.exception_key = i.exception_key
WHERE NOT EXISTS (SELECT FROM recon.exception AS e WHERE e.exception_key = i.exception_key)
ORDER BY i.item_date, i.exception_key

-- name: remove_members
DELETE FROM recon.exception_member AS m USING recon.exception AS e
WHERE e.exception_id = m.exception_id AND e.source_id = %(source)s

-- name: clear_exceptions
-- What was open and is no longer found: cleared, by the live group that took its line if there is one; resolved where people
-- decided it.
UPDATE recon.exception AS e
SET status = CASE WHEN e.status = 'approved' THEN 'resolved' ELSE 'cleared' END, carried_until = NULL, cleared_on = %(as_of)s, as_of = %(as_of)s, version = e.version + 1,
    cleared_by_group = least(
        (SELECT min(m.group_id) FROM recon.line AS l -- any version of its line
         JOIN recon.match_member AS m ON m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger'
         WHERE l.source_id = e.source_id AND l.line_key = e.line_key),
        (SELECT m.group_id FROM recon.match_member AS m
         WHERE m.entry_id = e.entry_id AND m.line_no = e.line_no AND m.side = 'ledger' AND m.live AND m.leg = 'ledger'))
WHERE e.source_id = %(source)s AND e.cleared_on IS NULL
  AND NOT EXISTS (SELECT FROM incoming_exception AS i WHERE i.exception_key = e.exception_key)

-- name: insert_members
INSERT INTO recon.exception_member (exception_id, side, line_id, entry_id, line_no)
SELECT e.exception_id, i.side, i.line_id, i.entry_id, i.line_no
FROM incoming_exception_member AS i
JOIN recon.exception AS e ON e.exception_key = i.exception_key
ORDER BY e.exception_id, i.side, i.line_id, i.entry_id, i.line_no

-- name: remember_members
-- Which exception explains each open line from this day on, where that is news.
INSERT INTO recon.exception_line (exception_id, side, line_id, entry_id, line_no, as_of)
SELECT m.exception_id, m.side, m.line_id, m.entry_id, m.line_no, %(as_of)s
FROM recon.exception_member AS m JOIN recon.exception AS e ON e.exception_id = m.exception_id AND e.source_id = %(source)s
LEFT JOIN LATERAL (
    SELECT n.exception_id FROM recon.exception_line AS n
    WHERE m.side = 'external' AND n.side = 'external' AND n.line_id = m.line_id AND n.as_of <= %(as_of)s ORDER BY n.as_of DESC, n.place DESC LIMIT 1
) AS x ON true
LEFT JOIN LATERAL (
    SELECT n.exception_id FROM recon.exception_line AS n
    WHERE m.side = 'ledger' AND n.side = 'ledger' AND n.entry_id = m.entry_id AND n.line_no = m.line_no AND n.as_of <= %(as_of)s
    ORDER BY n.as_of DESC, n.place DESC LIMIT 1
) AS y ON true
WHERE coalesce(x.exception_id, y.exception_id) IS DISTINCT FROM m.exception_id
ORDER BY m.exception_id, m.side, m.line_id, m.entry_id, m.line_no

-- name: return_to_owner
-- Exceptions whose proposal waited too long, or was approved and carried out and changed nothing, are their owner's again.
UPDATE recon.exception AS e SET status = CASE WHEN e.assignee IS NULL THEN 'open' ELSE 'taken' END, version = e.version + 1
WHERE e.source_id = %(source)s AND e.cleared_on IS NULL AND CASE e.status
    WHEN 'proposed' THEN NOT EXISTS (
        SELECT FROM recon.proposal AS p
        WHERE p.exception_id = e.exception_id AND coalesce(p.expires_on >= %(as_of)s, true)
          AND NOT EXISTS (SELECT FROM recon.proposal_verdict AS v WHERE v.proposal_id = p.proposal_id))
    WHEN 'approved' THEN NOT EXISTS (
        SELECT FROM recon.proposal AS p
        JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND v.verdict = 'approved'
        WHERE p.exception_id = e.exception_id AND (
            p.entry IS NOT NULL AND NOT EXISTS (SELECT FROM recon.adjustment AS a WHERE a.proposal_id = p.proposal_id)
            OR (p.entry ->> 'effective_date')::date > %(as_of)s
            OR EXISTS (SELECT FROM recon.decision AS d WHERE d.proposal_id = p.proposal_id AND d.as_of > %(as_of)s)))
    ELSE false END

-- name: describe_exceptions
-- What open exceptions are listed and searched by: reference and counterparty of their first line, and the best suggested match.
-- New ones came with the first two. Where a run wrote many rows the planner was told of them before.
WITH line AS (
    SELECT DISTINCT ON (m.exception_id) m.exception_id, coalesce(l.ref_end_to_end, l.ref_psp, l.ref_payout, l.ref_arn, l.ref_merchant, l.batch_ref, l.native_id,
        j.ref_end_to_end, j.ref_psp, j.ref_payout, j.ref_arn, j.ref_merchant, j.batch_ref, j.entry_key) AS reference,
        coalesce(l.counterparty, j.counterparty) AS counterparty
    FROM recon.exception_member AS m
    JOIN recon.exception AS e ON e.exception_id = m.exception_id AND e.source_id = %(source)s AND e.cleared_on IS NULL
    LEFT JOIN recon.line AS l ON l.line_id = m.line_id
    LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_id = m.entry_id AND j.line_no = m.line_no
    ORDER BY m.exception_id, m.side, l.line_key, j.entry_key, m.line_no
), suggested AS (
    SELECT m.group_id, g.group_key, g.evidence_millibits, m.side, m.line_id, m.entry_id, m.line_no
    FROM recon.match_group AS g
    JOIN recon.match_member AS m ON m.group_id = g.group_id
    WHERE g.source_id = %(source)s AND g.state = 'suggested'
      AND NOT EXISTS (SELECT FROM recon.match_revocation AS r WHERE r.group_id = g.group_id)
), suggestion AS (
    SELECT x.exception_id, count(*)::integer AS candidates, max(x.evidence_millibits) AS best_millibits,
        (array_agg(x.group_id ORDER BY x.evidence_millibits DESC NULLS LAST, x.group_key))[1] AS best_group
    FROM (
        SELECT o.exception_id, s.group_id, s.group_key, s.evidence_millibits
        FROM suggested AS s JOIN recon.exception_member AS o ON o.line_id = s.line_id WHERE s.side = 'external'
        UNION
        SELECT o.exception_id, s.group_id, s.group_key, s.evidence_millibits
        FROM suggested AS s JOIN recon.exception_member AS o ON o.entry_id = s.entry_id AND o.line_no = s.line_no WHERE s.side = 'ledger'
    ) AS x
    GROUP BY x.exception_id
)
UPDATE recon.exception AS e SET reference = t.reference, counterparty = t.counterparty, best_group = t.best_group, best_millibits = t.best_millibits,
    candidates = t.candidates
FROM (
    SELECT o.exception_id, l.reference, l.counterparty, s.best_group, s.best_millibits, coalesce(s.candidates, 0) AS candidates
    FROM recon.exception AS o
    LEFT JOIN line AS l ON l.exception_id = o.exception_id
    LEFT JOIN suggestion AS s ON s.exception_id = o.exception_id
    WHERE o.source_id = %(source)s AND o.cleared_on IS NULL
) AS t
WHERE e.exception_id = t.exception_id AND (e.reference, e.counterparty, e.best_group, e.best_millibits, e.candidates)
    IS DISTINCT FROM (t.reference, t.counterparty, t.best_group, t.best_millibits, t.candidates)

-- name: newly_open
-- What became a cause for alarm on each day of the window, by cause: counts and sums alone, no personal data. An item
-- counts on the day it ceased to be timing, was first seen otherwise, or came back.
SELECT v.as_of, e.kind, e.class, e.severity, e.asset, count(*) AS item_count, sum(abs(e.amount_minor))::bigint AS amount_minor
FROM recon.exception AS e
JOIN recon.exception_event AS v ON v.exception_id = e.exception_id
WHERE e.source_id = %(source)s AND v.as_of = ANY(%(days)s) AND e.cleared_on IS NULL AND e.class <> 'timing'
  AND v.event IN ('opened', 'changed', 'reopened') AND v.after ->> 'class' <> 'timing'
  AND (v.event <> 'changed' OR v.before ->> 'class' = 'timing')
GROUP BY v.as_of, e.kind, e.class, e.severity, e.asset
ORDER BY v.as_of, e.kind, e.class, e.severity, e.asset

-- name: newly_late
-- What is open and should have been dealt with by the business day before each of these days: counts and sums alone.
SELECT d.day AS as_of, e.severity, e.asset, count(*) AS item_count, sum(abs(e.amount_minor))::bigint AS amount_minor
FROM unnest(%(days)s::date[], %(days_before)s::date[]) AS d (day, day_before)
JOIN recon.exception AS e ON e.sla_due_on = d.day_before AND e.source_id = %(source)s AND e.cleared_on IS NULL AND e.class <> 'timing'
GROUP BY d.day, e.severity, e.asset
ORDER BY d.day, e.severity, e.asset

-- name: forget_lessons
DELETE FROM recon.lag_observation AS o WHERE o.source_id = %(source)s AND o.as_of BETWEEN %(first)s AND %(last)s

-- name: write_lesson
INSERT INTO recon.lag_observation (source_id, as_of, lag_business_days, observations)
SELECT %(source)s, %(day)s, n.lag, n.observations FROM unnest(%(lags)s::integer[], %(observations)s::bigint[]) AS n (lag, observations)

-- name: incoming_proofs
CREATE TEMP TABLE incoming_proof (
    account text, asset text, business_date date, basis text, opening_minor bigint, movement_minor bigint, closing_minor bigint,
    ledger_minor bigint, timing_external_minor bigint, timing_ledger_minor bigint, genuine_external_minor bigint,
    genuine_ledger_minor bigint, excluded_external_minor bigint, excluded_ledger_minor bigint, allocation_difference_minor bigint,
    unexplained_minor bigint, matched_count bigint,
    timing_count bigint, genuine_count bigint, excluded_count bigint, line_count bigint
) ON COMMIT DROP

-- name: write_proofs
-- A proof that says what the latest one said is not repeated.
INSERT INTO recon.balance_proof (run_id, source_id, account, asset, business_date, basis, opening_minor, movement_minor, closing_minor,
    ledger_minor, timing_external_minor, timing_ledger_minor, genuine_external_minor, genuine_ledger_minor,
    excluded_external_minor, excluded_ledger_minor, allocation_difference_minor, unexplained_minor, matched_count, timing_count,
    genuine_count, excluded_count, line_count)
SELECT %(run_id)s, %(source)s, i.account, i.asset, i.business_date, i.basis, i.opening_minor, i.movement_minor, i.closing_minor,
    i.ledger_minor, i.timing_external_minor, i.timing_ledger_minor, i.genuine_external_minor, i.genuine_ledger_minor,
    i.excluded_external_minor, i.excluded_ledger_minor, i.allocation_difference_minor, i.unexplained_minor, i.matched_count, i.timing_count, i.genuine_count, i.excluded_count, i.line_count
FROM incoming_proof AS i
LEFT JOIN recon.balance_proof_v1 AS p ON p.source = %(source)s AND p.account = i.account AND p.business_date = i.business_date
WHERE (p.basis, p.opening_minor, p.movement_minor, p.closing_minor, p.ledger_minor, p.timing_external_minor, p.timing_ledger_minor,
       p.genuine_external_minor, p.genuine_ledger_minor, p.excluded_external_minor, p.excluded_ledger_minor,
       p.allocation_difference_minor, p.unexplained_minor,
       p.matched_count, p.timing_count, p.genuine_count, p.excluded_count, p.line_count)
      IS DISTINCT FROM
      (i.basis, i.opening_minor, i.movement_minor, i.closing_minor, i.ledger_minor, i.timing_external_minor, i.timing_ledger_minor,
       i.genuine_external_minor, i.genuine_ledger_minor, i.excluded_external_minor, i.excluded_ledger_minor,
       i.allocation_difference_minor, i.unexplained_minor,
       i.matched_count, i.timing_count, i.genuine_count, i.excluded_count, i.line_count)
ORDER BY i.business_date, i.account

-- name: write_run
INSERT INTO recon.run (run_id, source_id, business_date, from_date, state, rules_digest, calendar_version, code_version, data_snapshot,
    counts, actor, started_at)
OVERRIDING SYSTEM VALUE
VALUES (%(run_id)s, %(source)s, %(business_date)s, %(from_date)s, %(state)s, %(rules_digest)s, %(calendar_version)s, %(code_version)s,
    %(data_snapshot)s::pg_snapshot, %(counts)s, recon.actor(), %(started_at)s)
