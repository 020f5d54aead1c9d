-- Everything the daily run reads and writes, by name. Ledger rows come from the ledger's published views and are filtered
-- by the run's snapshot, so that all reads of one run see one moment.

-- name: from_another_server
-- A journal line that is visible now although its transaction number is still to come: the database was restored from
-- another server's dump, and transaction numbers compare with nothing any more.
SELECT max(j.xid::text::numeric)::text
FROM ledger.journal_line_v1 AS j
WHERE j.account = ANY(%(accounts)s) AND j.xid >= pg_snapshot_xmax(pg_current_snapshot())

-- name: last_run
-- How far the source was reconciled, and what the last successful run could see.
SELECT max(r.business_date) AS done_to,
       (array_agg(r.data_snapshot::text ORDER BY r.run_id DESC))[1] AS data_snapshot,
       (array_agg(r.rules_digest ORDER BY r.run_id DESC))[1] AS rules_digest,
       (array_agg(r.run_id ORDER BY r.run_id DESC))[1] AS run_id
FROM recon.run AS r
WHERE r.source_id = %(source)s AND r.state = 'succeeded'

-- name: days_changed
-- The earliest business date of whatever came on the external side since a snapshot.
SELECT least(
    (SELECT min(l.booking_date) FROM recon.line AS l
     WHERE l.source_id = %(source)s AND l.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(l.xid, %(since)s::pg_snapshot)),
    (SELECT min(l.booking_date) FROM recon.line_closure AS c JOIN recon.line AS l ON l.line_id = c.line_id
     WHERE l.source_id = %(source)s AND c.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(c.xid, %(since)s::pg_snapshot)),
    (SELECT min(coalesce(s.to_date, d.for_date, %(done_to)s::date)) FROM recon.delivery AS d
     LEFT JOIN recon.statement AS s ON s.delivery_id = d.delivery_id
     WHERE d.source_id = %(source)s AND d.outcome <> 'redelivered' AND d.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(d.xid, %(since)s::pg_snapshot)
       -- a refused file that comes again is no news either
       AND NOT (d.outcome = 'rejected' AND EXISTS (
           SELECT FROM recon.delivery AS o
           WHERE o.source_id = d.source_id AND o.file_sha256 = d.file_sha256 AND o.outcome = 'rejected'
             AND o.for_date IS NOT DISTINCT FROM d.for_date AND o.delivery_id < d.delivery_id))),
    (SELECT min(g.as_of) FROM recon.decision AS x JOIN recon.match_group AS g ON g.group_key = x.content_key
     WHERE x.source_id = %(source)s AND x.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(x.xid, %(since)s::pg_snapshot))
) AS changed_from

-- name: open_external
-- What is in play: the window's own lines, matched or not, for the fold decides about them anew; and of the days before it
-- what was open after the last run, or is held by a group of the window. History that is settled is not looked at, unless
-- the rules are others than the last run had.
WITH older AS (
    SELECT m.line_id FROM recon.exception_member AS m JOIN recon.exception AS e ON e.exception_id = m.exception_id
    WHERE e.source_id = %(source)s AND m.side = 'external'
    UNION
    SELECT m.line_id FROM recon.match_group AS g JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'external'
    WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.as_of >= %(first)s
    UNION
    SELECT l.line_id FROM recon.line AS l
    WHERE NOT %(same_rules)s AND l.source_id = %(source)s AND l.booking_date < %(first)s
), chosen AS (
    SELECT l.line_id FROM recon.line AS l
    WHERE l.source_id = %(source)s AND l.booking_date BETWEEN %(first)s AND %(last)s
    UNION ALL
    SELECT o.line_id FROM older AS o JOIN recon.line AS l ON l.line_id = o.line_id
    WHERE l.booking_date >= %(start_date)s AND l.booking_date < %(first)s
      AND NOT EXISTS (
          SELECT FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
          WHERE m.line_id = o.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger' AND g.as_of < %(first)s)
)
SELECT l.line_id, l.line_key, l.version, l.booking_date, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind
FROM chosen AS n
JOIN recon.line AS l ON l.line_id = n.line_id
WHERE NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)

-- name: open_ledger
-- Journal lines on the source's accounts, seen by this run, likewise.
WITH older AS (
    SELECT m.entry_id, m.line_no FROM recon.exception_member AS m JOIN recon.exception AS e ON e.exception_id = m.exception_id
    WHERE e.source_id = %(source)s AND m.side = 'ledger'
    UNION
    SELECT m.entry_id, m.line_no FROM recon.match_group AS g
    JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'ledger'
    WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.as_of >= %(first)s
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE NOT %(same_rules)s AND j.account = ANY(%(accounts)s) AND j.effective_at < %(first_from)s
), chosen AS (
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE j.account = ANY(%(accounts)s) AND j.effective_at >= %(first_from)s AND j.effective_at < %(before)s
    UNION ALL
    SELECT o.entry_id, o.line_no FROM older AS o
    JOIN ledger.journal_line_v1 AS j ON j.entry_id = o.entry_id AND j.line_no = o.line_no
    WHERE j.effective_at >= %(from)s AND j.effective_at < %(first_from)s
      AND NOT EXISTS (
          SELECT FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
          WHERE m.entry_id = o.entry_id AND m.line_no = o.line_no AND m.side = 'ledger' AND m.live AND m.leg = 'ledger'
            AND g.as_of < %(first)s)
)
SELECT j.entry_id, j.line_no, j.entry_key, j.effective_at, j.account, j.amount_minor, j.asset, j.kind, j.ref_end_to_end, j.ref_uetr,
    j.ref_servicer, j.ref_psp, j.ref_merchant, j.ref_payout, j.ref_arn, j.ref_rrn, j.ref_auth_code, j.batch_ref,
    j.counterparty, j.fx_rate::text AS fx_rate, j.fx_asset, j.fx_amount_minor
FROM chosen AS n
JOIN ledger.journal_line_v1 AS j ON j.entry_id = n.entry_id AND j.line_no = n.line_no
WHERE j.account = ANY(%(accounts)s) AND pg_visible_in_snapshot(j.xid, %(snapshot)s::pg_snapshot)

-- name: withdrawn
-- Lines that a corrected file dropped and nothing brought back.
SELECT l.line_id, l.line_key, l.version, l.booking_date, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind
FROM recon.line AS l
JOIN recon.line_closure AS c ON c.line_id = l.line_id AND c.reason = 'withdrawn'
WHERE l.source_id = %(source)s AND l.booking_date BETWEEN %(start_date)s AND %(last)s
  AND NOT EXISTS (SELECT FROM recon.line AS n WHERE n.source_id = l.source_id AND n.line_key = l.line_key AND n.version > l.version)

-- name: wanted_references
-- References of what is still open, for the two questions below.
CREATE TEMP TABLE IF NOT EXISTS wanted_reference (reference text) ON COMMIT DROP;
TRUNCATE wanted_reference

-- name: analyze_references
ANALYZE wanted_reference

-- name: taken_external
-- Lines matched before the window that carry one of these references: an open line like one of them is a duplicate.
WITH found AS (
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON l.ref_end_to_end = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON l.ref_uetr = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON l.ref_servicer = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON l.ref_psp = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON l.ref_payout = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON l.ref_arn = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON l.ref_rrn = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON l.batch_ref = w.reference WHERE l.source_id = %(source)s
)
SELECT l.line_id, l.line_key, l.version, l.booking_date, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind
FROM found AS f
JOIN recon.line AS l ON l.line_id = f.line_id
JOIN recon.match_member AS m ON m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger'
JOIN recon.match_group AS g ON g.group_id = m.group_id AND g.as_of < %(first)s

-- name: taken_ledger
-- Journal lines matched before the window that carry one of these references.
WITH found AS (
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_end_to_end = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_uetr = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_servicer = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_psp = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_payout = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_arn = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_rrn = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.batch_ref = w.reference WHERE j.account = ANY(%(accounts)s)
)
SELECT j.entry_id, j.line_no, j.entry_key, j.effective_at, j.account, j.amount_minor, j.asset, j.kind, j.ref_end_to_end, j.ref_uetr,
    j.ref_servicer, j.ref_psp, j.ref_merchant, j.ref_payout, j.ref_arn, j.ref_rrn, j.ref_auth_code, j.batch_ref,
    j.counterparty, j.fx_rate::text AS fx_rate, j.fx_asset, j.fx_amount_minor
FROM found AS f
JOIN ledger.journal_line_v1 AS j ON j.entry_id = f.entry_id AND j.line_no = f.line_no
JOIN recon.match_member AS m ON m.entry_id = j.entry_id AND m.line_no = j.line_no AND m.side = 'ledger' AND m.live AND m.leg = 'ledger'
JOIN recon.match_group AS g ON g.group_id = m.group_id AND g.as_of < %(first)s

-- name: rejected_groups
-- Matches that people undid: they are not made again.
SELECT x.content_key FROM recon.decision AS x WHERE x.source_id = %(source)s AND x.kind = 'reject_match'

-- name: statements
-- Current statements, for balances, sequences and the calendar of files.
SELECT s.account, s.asset, s.from_date, s.to_date, s.sequence_no, s.opening_minor, s.closing_minor
FROM recon.statement_v1 AS s
WHERE s.source_id = %(source)s AND s.to_date BETWEEN %(start_date)s AND %(last)s
ORDER BY s.account, s.to_date, s.sequence_no

-- name: refusals
-- Files that were refused; a later good file for the day makes them history.
SELECT d.delivery_id, d.file_name, d.for_date, d.refusal_code
FROM recon.delivery AS d
WHERE d.source_id = %(source)s AND d.outcome = 'rejected'
ORDER BY d.delivery_id

-- name: external_totals
-- Sum of the lines of each account that speak, before a day.
SELECT l.account, sum(l.amount_minor)::bigint AS amount_minor
FROM recon.line AS l
WHERE l.source_id = %(source)s AND l.booking_date >= %(start_date)s AND l.booking_date < %(first)s
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
GROUP BY l.account

-- name: allocation_differences
-- Sum of what live groups before the window explained as difference, by account of their external members.
SELECT m.account, sum(g.difference_minor)::bigint AS difference_minor
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.member_no = 1
WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.as_of < %(first)s AND g.difference_minor <> 0 AND m.live
GROUP BY m.account

-- name: open_in_leg
-- Lines of a source that speak and are not taken in a leg before a day, nor by another source; all kinds if none is named.
SELECT l.line_id, l.line_key, l.version, l.booking_date, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind
FROM recon.line AS l
WHERE l.source_id = %(source)s AND l.booking_date BETWEEN %(start_date)s AND %(last)s
  AND (%(kind)s::text IS NULL OR l.kind = %(kind)s::text)
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
  AND NOT EXISTS (
      SELECT FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
      WHERE m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = %(leg)s
        AND (g.as_of < %(first)s OR g.source_id <> %(leg_of)s))

-- name: unexplained_before
-- What the bridges of the days before the window left unexplained, where they did.
SELECT p.account, p.business_date, p.unexplained_minor
FROM recon.balance_proof_v1 AS p
WHERE p.source = %(source)s AND p.business_date < %(first)s AND p.unexplained_minor <> 0

-- name: live_groups
-- Live groups of the window, to be compared with what the fold found.
SELECT g.group_id
FROM recon.match_group AS g
WHERE g.source_id = %(source)s AND g.leg = %(leg)s AND g.as_of >= %(first)s
  AND NOT EXISTS (SELECT FROM recon.match_revocation AS r WHERE r.group_id = g.group_id)

-- name: groups_still_made
-- Which of these the fold makes again, word for word: the same lines for another reason are another group.
SELECT g.group_id, g.group_key
FROM recon.match_group AS g
JOIN incoming_group AS i ON i.group_key = g.group_key AND i.as_of = g.as_of AND i.match_pass = g.match_pass AND i.evidence = g.evidence
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
    difference_minor bigint, evidence jsonb
) ON COMMIT DROP;
CREATE TEMP TABLE incoming_member (
    group_key text, member_no integer, side text, line_id bigint, entry_id bigint, line_no integer, entry_key text,
    business_date date, account text, asset text, allocated_minor bigint, role text
) ON COMMIT DROP

-- name: write_groups
-- Groups and their members in one statement, as the database demands.
WITH made AS (
    INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor, ledger_minor,
        difference_minor, evidence, run_id)
    SELECT i.group_key, %(source)s, i.leg, i.match_pass, i.as_of, i.asset, i.external_minor, i.ledger_minor, i.difference_minor,
        i.evidence, %(run_id)s
    FROM incoming_group AS i
    ORDER BY i.as_of, i.group_key
    RETURNING group_id, group_key, leg
)
INSERT INTO recon.match_member (group_id, member_no, leg, side, line_id, entry_id, line_no, entry_key, business_date, account, asset,
    allocated_minor, role)
SELECT m.group_id, i.member_no, m.leg, i.side, i.line_id, i.entry_id, i.line_no, i.entry_key, i.business_date, i.account,
    i.asset, i.allocated_minor, i.role
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
    status = CASE WHEN e.status = 'cleared' THEN 'open' ELSE e.status END, cleared_on = NULL, cleared_by_group = NULL,
    version = e.version + 1
FROM incoming_exception AS i
WHERE e.exception_key = i.exception_key AND e.source_id = %(source)s
  AND (e.as_of, e.class, e.kind, e.severity, e.side, e.line_key, e.line_id, e.entry_key, e.entry_id, e.line_no, e.account, e.amount_minor,
       e.difference_minor, e.asset, e.item_date, e.due_on, e.expected_clear_on, e.age_business_days, e.factors, e.status = 'cleared')
      IS DISTINCT FROM
      (%(as_of)s::date, i.class, i.kind, i.severity, i.side, i.line_key, i.line_id, i.entry_key, i.entry_id, i.line_no, i.account,
       i.amount_minor, i.difference_minor, i.asset, i.item_date, i.due_on, i.expected_clear_on, i.age_business_days, i.factors, false)

-- name: insert_exceptions
INSERT INTO recon.exception (exception_key, source_id, opened_on, as_of, class, kind, severity, status, side, line_key, line_id, entry_key,
    entry_id, line_no, account, amount_minor, difference_minor, asset, item_date, due_on, expected_clear_on,
    age_business_days, factors)
SELECT i.exception_key, %(source)s, %(as_of)s, %(as_of)s, i.class, i.kind, i.severity, 'open', i.side, i.line_key, i.line_id, i.entry_key,
    i.entry_id, i.line_no, i.account, i.amount_minor, i.difference_minor, i.asset, i.item_date, i.due_on, i.expected_clear_on,
    i.age_business_days, i.factors
FROM incoming_exception AS i
WHERE NOT EXISTS (SELECT FROM recon.exception AS e WHERE e.exception_key = i.exception_key)
ORDER BY i.item_date, i.exception_key

-- name: remove_members
DELETE FROM recon.exception_member AS m USING recon.exception AS e
WHERE e.exception_id = m.exception_id AND e.source_id = %(source)s

-- name: clear_exceptions
-- What was open and is no longer found: cleared, by the live group that took its line if there is one.
UPDATE recon.exception AS e
SET status = 'cleared', cleared_on = %(as_of)s, as_of = %(as_of)s, version = e.version + 1,
    cleared_by_group = least(
        (SELECT min(m.group_id) FROM recon.line AS l -- any version of its line
         JOIN recon.match_member AS m ON m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger'
         WHERE l.source_id = e.source_id AND l.line_key = e.line_key),
        (SELECT m.group_id FROM recon.match_member AS m
         WHERE m.entry_id = e.entry_id AND m.line_no = e.line_no AND m.side = 'ledger' AND m.live AND m.leg = 'ledger'))
WHERE e.source_id = %(source)s AND e.status <> 'cleared'
  AND NOT EXISTS (SELECT FROM incoming_exception AS i WHERE i.exception_key = e.exception_key)

-- name: insert_members
INSERT INTO recon.exception_member (exception_id, side, line_id, entry_id, line_no)
SELECT e.exception_id, i.side, i.line_id, i.entry_id, i.line_no
FROM incoming_exception_member AS i
JOIN recon.exception AS e ON e.exception_key = i.exception_key
ORDER BY e.exception_id, i.side, i.line_id, i.entry_id, i.line_no

-- name: newly_open
-- What became a cause for alarm on each day of the window, by cause: counts and sums alone, no personal data. An item
-- counts on the day it ceased to be timing, was first seen otherwise, or came back.
SELECT v.as_of, e.kind, e.class, e.severity, e.asset, count(*) AS item_count, sum(abs(e.amount_minor))::bigint AS amount_minor
FROM recon.exception AS e
JOIN recon.exception_event AS v ON v.exception_id = e.exception_id
WHERE e.source_id = %(source)s AND v.as_of = ANY(%(days)s) AND e.status <> 'cleared' AND e.class <> 'timing'
  AND v.event IN ('opened', 'changed', 'reopened') AND v.after ->> 'class' <> 'timing'
  AND (v.event <> 'changed' OR v.before ->> 'class' = 'timing')
GROUP BY v.as_of, e.kind, e.class, e.severity, e.asset
ORDER BY v.as_of, e.kind, e.class, e.severity, e.asset

-- name: incoming_proofs
CREATE TEMP TABLE incoming_proof (
    account text, asset text, business_date date, basis text, opening_minor bigint, movement_minor bigint, closing_minor bigint,
    ledger_minor bigint, timing_external_minor bigint, timing_ledger_minor bigint, genuine_external_minor bigint,
    genuine_ledger_minor bigint, allocation_difference_minor bigint, unexplained_minor bigint, matched_count bigint,
    timing_count bigint, genuine_count bigint, excluded_count bigint, line_count bigint
) ON COMMIT DROP

-- name: write_proofs
-- A proof that says what the latest one said is not repeated.
INSERT INTO recon.balance_proof (run_id, source_id, account, asset, business_date, basis, opening_minor, movement_minor, closing_minor,
    ledger_minor, timing_external_minor, timing_ledger_minor, genuine_external_minor, genuine_ledger_minor,
    allocation_difference_minor, unexplained_minor, matched_count, timing_count, genuine_count, excluded_count, line_count)
SELECT %(run_id)s, %(source)s, i.account, i.asset, i.business_date, i.basis, i.opening_minor, i.movement_minor, i.closing_minor,
    i.ledger_minor, i.timing_external_minor, i.timing_ledger_minor, i.genuine_external_minor, i.genuine_ledger_minor,
    i.allocation_difference_minor, i.unexplained_minor, i.matched_count, i.timing_count, i.genuine_count, i.excluded_count, i.line_count
FROM incoming_proof AS i
LEFT JOIN recon.balance_proof_v1 AS p ON p.source = %(source)s AND p.account = i.account AND p.business_date = i.business_date
WHERE (p.basis, p.opening_minor, p.movement_minor, p.closing_minor, p.ledger_minor, p.timing_external_minor, p.timing_ledger_minor,
       p.genuine_external_minor, p.genuine_ledger_minor, p.allocation_difference_minor, p.unexplained_minor,
       p.matched_count, p.timing_count, p.genuine_count, p.excluded_count, p.line_count)
      IS DISTINCT FROM
      (i.basis, i.opening_minor, i.movement_minor, i.closing_minor, i.ledger_minor, i.timing_external_minor, i.timing_ledger_minor,
       i.genuine_external_minor, i.genuine_ledger_minor, i.allocation_difference_minor, i.unexplained_minor,
       i.matched_count, i.timing_count, i.genuine_count, i.excluded_count, i.line_count)
ORDER BY i.business_date, i.account

-- name: write_run
INSERT INTO recon.run (run_id, source_id, business_date, from_date, state, rules_digest, calendar_version, code_version, data_snapshot,
    counts, actor, started_at)
OVERRIDING SYSTEM VALUE
VALUES (%(run_id)s, %(source)s, %(business_date)s, %(from_date)s, %(state)s, %(rules_digest)s, %(calendar_version)s, %(code_version)s,
    %(data_snapshot)s::pg_snapshot, %(counts)s, recon.actor(), %(started_at)s)
